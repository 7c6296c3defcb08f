"""Two stories of our own, as the readings that detectors would make of them, and what each of them should ring."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from incidents.engine import absorb
from incidents.settings import IncidentsSettings
from tocsin.records import (
    Alert,
    Attribution,
    Certainty,
    Detection,
    DismissalKind,
    Figure,
    IncidentState,
    Sender,
    Source,
    Speaker,
    Step,
    Tier,
    Toll,
)
from tocsin.testing import NOON, a_detection, a_reading, a_transaction, an_article

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.records import Reading

SETTINGS = IncidentsSettings()
POSSIBLE, REPORTED, CONFIRMED = Certainty.POSSIBLE, Certainty.REPORTED, Certainty.CONFIRMED
NEW, ESCALATION, UPDATE, CORRECTION = Step.NEW, Step.ESCALATION, Step.UPDATE, Step.CORRECTION
MINISTRY = Attribution(speaker=Speaker.AUTHORITY, who="the ministry")
WITNESSES = Attribution(speaker=Speaker.WITNESS, who="residents")
UNION = Attribution(speaker=Speaker.PARTY, who="the railway union")
TIERS = {"Indian Ocean Wire": Tier.WIRE, "Presse Sud": Tier.WIRE, "Blog of the South": Tier.OTHER}


@dataclass(frozen=True, kw_only=True)
class Told:
    """One article: minutes into the story, who tells it, what detectors read in it, what should ring, and where."""

    after: int
    owner: str
    language: str = "en"
    title: str
    lead: str = ""
    says: tuple[Detection, ...] = ()
    rings: tuple[Step, ...] = ()
    about: str = ""
    id: str = ""
    revises: bool = False

    def reading(self) -> Reading:
        at = NOON + timedelta(minutes=self.after)
        article = an_article(
            id=self.id or self.title,
            supersedes="an earlier revision" if self.revises else None,
            feed=self.owner,
            source=Source(owner=self.owner, tier=TIERS.get(self.owner, Tier.NATIONAL)),
            language=self.language,
            url=f"https://{self.owner.lower().replace(' ', '-')}.example/{self.after}",
            title=self.title,
            summary=self.lead,
            published_at=at,
            seen_at=at + timedelta(seconds=40),
        )
        return a_reading(*self.says, article=article)


def dead(
    low: int | None,
    high: int | None = -1,
    *,
    certainty: Certainty = CONFIRMED,
    country: str = "MG",
    places: tuple[str, ...] = (),
    happening: str | None = "unrest",
    by: Attribution | None = None,
    also: tuple[int, ...] = (),
    withdrawn: int | None = None,
    denied: bool = False,
    approx: bool = False,
) -> Detection:
    return a_detection(
        type="deaths",
        certainty=certainty,
        country=country,
        places=places,
        happening=happening,
        toll=None if denied else Toll(min=low, max=low if high == -1 else high, approx=approx),
        also=tuple(Figure(toll=Toll(min=n, max=n), certainty=certainty) for n in also),
        withdrawn=None if withdrawn is None else Toll(min=withdrawn, max=withdrawn),
        attribution=by,
        denied=denied,
    )


def troops(
    *senders: str, certainty: Certainty = CONFIRMED, by: Attribution | None = None, denied: bool = False
) -> Detection:
    return a_detection(
        type="foreign_troops",
        certainty=certainty,
        country="MG",
        toll=None,
        senders=tuple(Sender(code=code, alliance=code == "SADC", certainty=certainty) for code in senders),
        attribution=by,
        denied=denied,
    )


def government(kind: DismissalKind, certainty: Certainty = CONFIRMED) -> Detection:
    return a_detection(type="government_dismissal", certainty=certainty, country="MG", toll=None, kind=kind)


TOAMASINA, ANTSIRABE = ("Toamasina",), ("Antsirabe",)
DISMISSED = DismissalKind.DISMISSED

UNREST = (
    Told(
        after=0,
        owner="Island Post",
        title="Witnesses speak of deaths as Toamasina port strike turns violent",
        lead="Residents said they saw bodies near the harbour gate. Officials gave no figures.",
        says=(dead(2, None, certainty=REPORTED, places=TOAMASINA, by=WITNESSES),),
        rings=(NEW,),
        about="unrest",
    ),
    Told(
        after=12,
        owner="Morgenblick",
        language="de",
        title="Augenzeugen: Tote bei Hafenstreik in Toamasina",
        lead="Anwohner berichten von Leichen am Hafentor im Osten Madagaskars.",
        says=(dead(2, None, certainty=REPORTED, places=TOAMASINA, by=WITNESSES),),
        about="unrest",
    ),
    Told(
        after=45,
        owner="Indian Ocean Wire",
        title="Madagascar police confirm four killed in Toamasina",
        lead="Four people died in clashes at the port, the national police said on Wednesday.",
        says=(dead(4, places=TOAMASINA, by=MINISTRY),),
        rings=(ESCALATION,),
        about="unrest",
    ),
    Told(
        after=50,
        owner="Daily Copy",
        title="Madagascar police confirm four killed in Toamasina",
        lead="Four people died in clashes at the port, the national police said on Wednesday.",
        says=(dead(4, places=TOAMASINA, by=MINISTRY),),
        about="unrest",
    ),
    Told(
        after=80,
        owner="Presse Sud",
        language="fr",
        title="Madagascar : les violences gagnent Antsirabe, trois morts",
        lead="Trois manifestants ont été tués à Antsirabe, selon la gendarmerie.",
        says=(dead(3, places=ANTSIRABE, by=MINISTRY),),
        about="unrest",
    ),
    Told(
        after=95,
        owner="Presse Sud",
        language="fr",
        title="Madagascar : sept morts dans les émeutes",
        lead="Le bilan des émeutes de Toamasina et d'Antsirabe atteint sept morts, dit le ministère.",
        says=(dead(7, places=("Toamasina", "Antsirabe"), by=MINISTRY),),
        rings=(ESCALATION,),
        about="unrest",
    ),
    Told(
        after=110,
        owner="Island Post",
        title="Toamasina toll stands at four, police say",
        lead="An earlier count of four dead was repeated by police on local radio.",
        says=(dead(4, places=TOAMASINA, by=MINISTRY),),
        about="unrest",
    ),
    Told(
        after=140,
        owner="Morgenblick",
        language="de",
        title="Präsident in Antananarivo erwägt Entlassung der Regierung",
        says=(government(DISMISSED, POSSIBLE), dead(7, by=MINISTRY)),
        rings=(ESCALATION,),
        about="unrest",
    ),
    Told(
        after=150,
        owner="Madras Herald",
        title="Bus plunges into gorge in Peru, 16 killed",
        says=(dead(16, country="PE", places=("Cusco",), happening="accident"),),
        rings=(NEW,),
        about="bus",
    ),
    Told(
        after=170,
        owner="Island Post",
        title="South African soldiers seen at Ivato airport",
        lead="Two residents and a local radio station said they saw a transport aircraft unload troops.",
        says=(troops("ZA", certainty=REPORTED, by=WITNESSES),),
        rings=(ESCALATION,),
        about="unrest",
    ),
    Told(
        after=185,
        owner="Daily Copy",
        title="South African soldiers seen at airport in Madagascar",
        says=(troops("ZA", certainty=REPORTED, by=WITNESSES),),
        about="unrest",
    ),
    Told(
        after=230,
        owner="Indian Ocean Wire",
        title="Pretoria denies sending soldiers to Madagascar",
        lead="South Africa's defence department called the reports false.",
        says=(troops("ZA", by=Attribution(speaker=Speaker.PARTY, who="South Africa"), denied=True),),
        rings=(CORRECTION,),
        about="unrest",
    ),
    Told(
        after=240,
        owner="Morgenblick",
        language="de",
        title="Südafrikanische Soldaten in Madagaskar gesichtet",
        says=(troops("ZA", certainty=REPORTED, by=WITNESSES),),
        about="unrest",
    ),
    Told(
        after=300,
        owner="Presse Sud",
        language="fr",
        title="Madagascar : le président limoge le gouvernement",
        says=(government(DISMISSED),),
        rings=(ESCALATION,),
        about="unrest",
    ),
    Told(
        after=304,
        owner="Indian Ocean Wire",
        title="Madagascar president sacks government",
        says=(government(DISMISSED), dead(7, None, by=MINISTRY)),
        about="unrest",
    ),
    Told(
        after=420,
        owner="Indian Ocean Wire",
        title="Madagascar health ministry revises toll to six",
        lead="Six people died, not seven; one had been counted twice, a spokeswoman said.",
        says=(dead(6, by=MINISTRY, withdrawn=7),),
        rings=(CORRECTION,),
        about="unrest",
    ),
    Told(
        after=431,
        owner="Morgenblick",
        language="de",
        title="Madagaskar: Zahl der Toten auf sechs korrigiert",
        says=(dead(6, by=MINISTRY, withdrawn=7),),
        about="unrest",
    ),
    Told(
        after=440,
        owner="Daily Copy",
        title="Seven dead in Madagascar riots",
        says=(dead(7, by=MINISTRY),),
        about="unrest",
    ),
    Told(
        after=450,
        owner="Blog of the South",
        title="Nobody died in Madagascar, it is all staged",
        says=(dead(None, denied=True),),
        about="unrest",
        # A blog must not silence ministries; that somebody objects is told quietly.
        rings=(UPDATE,),
    ),
    Told(
        after=600,
        owner="Presse Sud",
        language="fr",
        title="Madagascar demande une force de paix à la SADC",
        says=(troops("SADC", certainty=POSSIBLE, by=MINISTRY),),
        rings=(ESCALATION,),
        about="unrest",
    ),
    Told(
        after=900,
        owner="Indian Ocean Wire",
        title="First SADC peacekeepers land in Antananarivo",
        says=(troops("SADC", "MZ", "TZ", by=MINISTRY), dead(6, by=MINISTRY)),
        rings=(ESCALATION,),
        about="unrest",
    ),
    Told(
        after=960,
        owner="Island Post",
        title="Zambia joins peace force in Madagascar",
        says=(troops("SADC", "ZM", by=MINISTRY),),
        rings=(UPDATE,),
        about="unrest",
    ),
    Told(
        after=990,
        owner="Island Post",
        title="Twelve bodies found in burnt Antsirabe market",
        says=(dead(12, places=ANTSIRABE, by=MINISTRY),),
        rings=(ESCALATION,),
        about="unrest",
    ),
)

ITARSI, DHANBAD = ("Itarsi",), ("Dhanbad",)


def rail(low: int | None, high: int | None = -1, **kw: object) -> Detection:
    return dead(low, high, country="IN", happening="accident", **kw)  # type: ignore[arg-type]  # the keywords of dead()


ACCIDENTS = (
    Told(
        after=0,
        owner="Indian Ocean Wire",
        title="Express train derails near Itarsi in central India, at least eight dead",
        lead="At least eight passengers were killed when the Bhopal express left the rails near Itarsi, police said.",
        says=(rail(8, None, places=ITARSI, by=MINISTRY),),
        rings=(NEW,),
        about="train",
    ),
    Told(
        after=10,
        owner="Madras Herald",
        title="Train derailment in Madhya Pradesh kills eight",
        lead="The Bhopal express derailed near Itarsi on Wednesday; eight bodies were recovered, railway police said.",
        says=(rail(8, places=ITARSI, by=MINISTRY),),
        about="train",
    ),
    Told(
        after=30,
        owner="Rundfunk Nord",
        language="de",
        title="Zugunglück in Indien: mindestens acht Tote",
        says=(rail(8, None, by=MINISTRY),),
        about="train",
    ),
    Told(
        after=55,
        owner="Madras Herald",
        title="Union says thirty dead in Itarsi derailment",
        lead="The railway union spoke of thirty dead in two crushed coaches; the railway did not confirm this.",
        says=(rail(30, certainty=REPORTED, places=ITARSI, by=UNION),),
        rings=(ESCALATION,),
        about="train",
    ),
    Told(
        after=60,
        owner="Coal Belt News",
        title="Mine roof collapses in Dhanbad, six workers killed",
        lead="Six miners died when a gallery collapsed in a colliery in Dhanbad, the district administration said.",
        says=(rail(6, places=DHANBAD, by=MINISTRY),),
        rings=(NEW,),
        about="mine",
    ),
    Told(
        after=75,
        owner="Rundfunk Nord",
        language="de",
        title="Sechs Bergleute sterben bei Grubenunglück in Dhanbad",
        says=(rail(6, places=DHANBAD, by=MINISTRY),),
        about="mine",
    ),
    Told(
        after=90,
        owner="Indian Ocean Wire",
        title="Railway puts Itarsi derailment toll at 14",
        lead="Fourteen people were killed near Itarsi, the railway board said, rejecting the figure of the union.",
        says=(rail(14, places=ITARSI, by=MINISTRY),),
        rings=(ESCALATION,),
        about="train",
    ),
    Told(
        after=100,
        owner="Presse Sud",
        language="fr",
        title="Inde : 14 morts dans le déraillement d'Itarsi",
        says=(rail(14, places=ITARSI, by=MINISTRY),),
        about="train",
    ),
    Told(
        after=130,
        owner="Coal Belt News",
        title="Two more miners found dead in Dhanbad colliery",
        lead="Rescuers recovered two more bodies from the collapsed gallery in Dhanbad; eight miners have died.",
        says=(rail(8, places=DHANBAD, by=MINISTRY, also=(2, 6)),),
        rings=(UPDATE,),
        about="mine",
    ),
    Told(
        after=150,
        owner="Madras Herald",
        title="India mourns: train toll 15, mine toll eight",
        lead="Fifteen people died near Itarsi and eight in the Dhanbad colliery in a black day for India.",
        says=(rail(15, places=ITARSI), rail(8, places=DHANBAD)),
        rings=(UPDATE,),
        about="train",
    ),
    Told(
        after=200,
        owner="Indian Ocean Wire",
        title="Railway corrects Itarsi toll to 13",
        lead="Thirteen people died, not fifteen, the railway board said after identification.",
        says=(rail(13, places=ITARSI, by=MINISTRY, withdrawn=15),),
        rings=(CORRECTION,),
        about="train",
    ),
    Told(
        after=215,
        owner="Presse Sud",
        language="fr",
        title="Inde : le bilan du déraillement d'Itarsi s'alourdit à 15 morts",
        says=(rail(15, places=ITARSI, by=MINISTRY),),
        about="train",
    ),
    Told(
        after=230,
        owner="Valley Times",
        title="Bus and lorry collide on Pune highway, five killed",
        lead="Five people were killed in a head-on collision on the highway to Pune.",
        says=(rail(5, places=("Pune",)),),
        rings=(NEW,),
        about="bus",
        id="pune",
    ),
    Told(
        after=250,
        owner="Valley Times",
        title="Bus and lorry collide on Pune highway, many hurt",
        lead="Nobody died in the collision on the highway to Pune, contrary to what we wrote first.",
        says=(),
        rings=(CORRECTION,),
        about="bus",
        id="pune",
        revises=True,
    ),
    Told(
        after=300,
        owner="Rundfunk Nord",
        language="de",
        title="Zugunglück in Indien: rund 30 Tote befürchtet",
        says=(rail(30, certainty=REPORTED, by=UNION, approx=True),),
        about="train",
    ),
    Told(
        after=360,
        owner="Coal Belt News",
        title="Four more bodies brought up, Dhanbad mine toll twelve",
        lead="Twelve miners have now died in the Dhanbad colliery, the district administration said.",
        says=(rail(12, places=DHANBAD, by=MINISTRY, also=(4,)),),
        rings=(ESCALATION,),
        about="mine",
    ),
    Told(
        after=1500,
        owner="Indian Ocean Wire",
        title="Death toll of Itarsi derailment reaches 26 as coach is lifted",
        lead="Thirteen more bodies lay under a coach near Itarsi, the railway board said; 26 people have died.",
        says=(rail(26, places=ITARSI, by=MINISTRY, also=(13,)),),
        rings=(ESCALATION,),
        about="train",
    ),
)


def play(story: Sequence[Told], *, twice: bool = False) -> list[tuple[str, tuple[Alert, ...]]]:
    with a_transaction() as tx:
        rung = []
        for told in story:
            rung.append((told.title, absorb(tx, told.reading(), settings=SETTINGS)))
            if twice:
                assert absorb(tx, told.reading(), settings=SETTINGS) == ()
        return rung


@pytest.mark.parametrize("story", [UNREST, ACCIDENTS], ids=["unrest", "accidents"])
def test_each_article_rings_what_is_new_in_it_and_nothing_else(story: tuple[Told, ...]) -> None:
    rung = play(story)

    expected = [(told.title, told.rings) for told in story]
    assert [(title, tuple(alert.step for alert in alerts)) for title, alerts in rung] == expected


@pytest.mark.parametrize("story", [UNREST, ACCIDENTS], ids=["unrest", "accidents"])
def test_each_alert_belongs_to_the_happening_that_it_tells_of(story: tuple[Told, ...]) -> None:
    rung = play(story)

    of: dict[str, set[str]] = {}
    for told, (_, alerts) in zip(story, rung, strict=True):
        of.setdefault(told.about, set()).update(alert.incident for alert in alerts)
    assert all(len(incidents) == 1 for incidents in of.values())
    assert len({min(incidents) for incidents in of.values()}) == len(of)


@pytest.mark.parametrize("story", [UNREST, ACCIDENTS], ids=["unrest", "accidents"])
def test_a_doubled_stream_rings_the_same(story: tuple[Told, ...]) -> None:
    assert play(story, twice=True) == play(story)


def test_what_the_desk_reads_says_what_is_new() -> None:
    headlines = [alert.headline for _, alerts in play(UNREST) for alert in alerts]

    assert headlines[:3] == [
        "At least 2 dead reported — unrest in Toamasina, Madagascar",
        "4 dead confirmed (was: at least 2 reported) — unrest in Toamasina, Madagascar",
        "7 dead confirmed (was: 4) — unrest in Toamasina, Antsirabe, Madagascar",
    ]
    assert "Correction: 6 dead confirmed (was: 7) — unrest in Toamasina, Antsirabe, Madagascar" in headlines
    assert "Foreign troops sent (SADC, Mozambique, Tanzania) — unrest in Toamasina, Antsirabe, Madagascar" in headlines


def test_conflicting_tolls_are_told_side_by_side() -> None:
    alerts = [alert for _, alerts in play(ACCIDENTS) for alert in alerts]

    official = next(alert for alert in alerts if alert.headline.startswith("14 dead"))
    assert official.headline == "14 dead confirmed, 30 reported (was: 8) — accident in Itarsi, India"


def test_an_incident_that_was_wholly_wrong_is_cancelled() -> None:
    with a_transaction() as tx:
        for told in ACCIDENTS:
            absorb(tx, told.reading(), settings=SETTINGS)

        cancelled = tx.incidents.standing(states=[IncidentState.CANCELLED])

    assert [row.headline for row in cancelled] == ["Correction: report of 5 dead taken back — accident in Pune, India"]


def test_copies_may_arrive_in_any_order() -> None:
    first, *copies = [told for told in UNREST if told.after < 60]
    rung = []
    for seed in range(6):
        shuffled = list(copies)
        random.Random(seed).shuffle(shuffled)
        at_once = [first, *shuffled]
        with a_transaction() as tx:
            told = [absorb(tx, one.reading(), settings=SETTINGS) for one in at_once]
            rung.append(sorted(alert.headline for alerts in told for alert in alerts))

    assert all(one == rung[0] for one in rung)
