"""Who of those that a sentence counts has died, and not how or where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from detectors.scan import event_json, scan

if TYPE_CHECKING:
    from detectors.engine import Engine

TOLLS = [
    ("Un pharmacien de Lille a été tué mardi de plusieurs coups de marteau.", [(1, 1)]),
    ("Une cycliste a perdu la vie à Vierzon, une des trois communes traversées par la course.", [(1, 1)]),
    ("Quatre promeneuses ont été tuées à Gap par deux avalanches successives.", [(4, 4)]),
    ("Deux gendarmes ont été tués à Nouméa, et trois émeutiers blessés.", [(2, 2)]),
    ("L'armée malienne a abattu douze assaillants près de Gao.", [(12, 12)]),
]
NO_TOLLS = [
    "La mairie de Béjaïa a éliminé 40 dépotoirs sauvages en une semaine.",
    "Les bûcherons ont abattu deux cents hêtres malades dans les Vosges.",
    "À Charleroi, l'ambulancier exécute alors un massage cardiaque.",
    "Le patron de l'office de tourisme déplore de voir massacrée la réputation de Nice.",
]


@pytest.mark.parametrize(("text", "bounds"), TOLLS)
def test_behind_whoever_died_stands_how_and_where(
    engine: Engine, text: str, bounds: list[tuple[int, int | None]]
) -> None:
    events = [event_json(event) for event in scan(engine, id="1", title="", text=text, language="fr").events]

    assert [(event["min"], event["max"]) for event in events] == bounds


@pytest.mark.parametrize("text", NO_TOLLS)
def test_what_befalls_things_too_is_a_death_only_of_people(engine: Engine, text: str) -> None:
    assert scan(engine, id="1", title="", text=text, language="fr").events == ()


def test_below_the_top_a_bracket_only_reminds_of_a_toll(engine: Engine) -> None:
    opening = ["Le prévenu est arrivé menotté.", "La salle était comble.", "Son avocate s'est levée tôt."]
    reminder = "Il avait acheté les armes des attaques de Nairobi (67 morts et 175 blessés)."

    below = scan(engine, id="1", title="", text=" ".join([*opening, reminder]), language="fr")
    above = scan(engine, id="1", title="", text="Nouvelle attaque à Nairobi (67 morts et 175 blessés).", language="fr")

    assert below.events == ()
    assert len(above.events) == 1


def test_a_round_number_of_things_is_no_year(engine: Engine) -> None:
    text = "Au sein de 2000 rassemblements, des heurts ont fait un mort à Lyon."

    assert len(scan(engine, id="1", title="", text=text, language="fr").events) == 1


def test_an_article_on_a_trial_retells_its_dead_below(engine: Engine) -> None:
    opening = "Un conducteur a été condamné à six ans de prison pour la mort d'un cycliste à Metz."
    between = ["La salle était comble."] * 6

    retold = "L'homme a été tué sur le coup, vers minuit, par la voiture du prévenu."
    result = scan(engine, id="1", title="", text=" ".join([opening, *between, retold]), language="fr")

    assert result.events == ()


def test_a_pronoun_stands_for_those_counted_before(engine: Engine) -> None:
    text = "Six spéléologues étaient bloqués ; leur décès a été confirmé par les secours de Split."
    events = scan(engine, id="1", title="", text=text, language="fr").events

    assert [(event_json(event)["min"], event_json(event)["max"]) for event in events] == [(6, 6)]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("fr", "Le Tchad a demandé à Kigali l'envoi de deux bataillons."),
        ("it", "Il Ciad ha chiesto a Kigali l'invio di due battaglioni."),
    ],
)
def test_whoever_is_asked_for_soldiers_sends_them(engine: Engine, language: str, text: str) -> None:
    (event,) = (event_json(event) for event in scan(engine, id="1", title="", text=text, language=language).events)

    assert (event["from"], event["to"], event["certainty"]) == (["RW"], "TD", "possible")
