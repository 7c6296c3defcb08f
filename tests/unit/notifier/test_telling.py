"""What a person reads, word for word."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent

import pytest

from notifier.frames import FRAMES
from notifier.rendering import as_slack, as_text
from notifier.telling import headline, merged, tell
from tocsin.records import (
    Alert,
    Attribution,
    Certainty,
    Delivery,
    DismissalKind,
    Fact,
    Figure,
    MessageKind,
    Sender,
    Severity,
    SourceRef,
    Speaker,
    Step,
    Tier,
    Toll,
)
from tocsin.testing import NOON, an_alert

CONFIRMED, REPORTED, POSSIBLE = Certainty.CONFIRMED, Certainty.REPORTED, Certainty.POSSIBLE
DEAD = Fact(
    type="deaths",
    certainty=CONFIRMED,
    changed=True,
    country="KZ",
    toll=Toll(min=12, max=12),
    was=Toll(min=8, max=None),
    was_certainty=CONFIRMED,
    quote="Es gab zwölf Tote, teilte das Innenministerium mit.",
    language="de",
    attribution=Attribution(speaker=Speaker.AUTHORITY, who="Innenministerium"),
)
TROOPS = Fact(
    type="foreign_troops",
    certainty=REPORTED,
    changed=False,
    country="KZ",
    senders=(
        Sender(code="CSTO", alliance=True, certainty=REPORTED),
        Sender(code="RU", certainty=CONFIRMED),
    ),
    quote="Peacekeepers of the CSTO were on their way.",
    language="en",
)
SOURCES = tuple(
    SourceRef(owner=owner, tier=tier, url=url, title=title, language="en", published_at=None, seen_at=NOON)
    for owner, tier, url, title in (
        ("Northern Wire", Tier.WIRE, "https://wire.example/1", "Twelve dead in Almaty"),
        ("Abendblatt", Tier.NATIONAL, "ftp://abend.example/2", "Zwölf Tote in Almaty"),
    )
)


def unrest(**parts: object) -> Alert:
    alert = replace(
        an_alert(incident="almaty", countries=("KZ",), places=("Almaty",), step=Step.ESCALATION),
        facts=(DEAD, TROOPS),
        sources=SOURCES,
        happening="unrest",
        severity=Severity.EXTREME,
    )
    return replace(alert, **parts)  # type: ignore[arg-type]  # a test names only fields of Alert


def told(
    *alerts: Alert, language: str = "en", kind: MessageKind = MessageKind.ALERT, cause: str = "", total: int = 0
) -> str:
    ids = tuple(alert.id for alert in alerts) + tuple(f"more-{number}" for number in range(total - len(alerts)))
    delivery = Delivery(
        key="k",
        receiver="desk",
        kind=kind,
        alerts=ids,
        subscription="duty-desk",
        language=language,
        cause=cause,
        next_try=NOON,
        created_at=NOON,
        seen_at=NOON,
    )
    return as_text(tell(delivery, alerts, budget="20/day")).replace("\u200b", "")


def test_an_escalation_in_english() -> None:
    assert told(unrest()) == dedent("""\
        12 dead confirmed (was: at least 8) — unrest in Almaty, Kazakhstan
        Severity: extreme · Certainty: confirmed · Seen: 2026-03-04 12:00 UTC

        * 12 dead confirmed (was: at least 8)
          “Es gab zwölf Tote, teilte das Innenministerium mit.” (according to: Innenministerium; in German)

        Known before:
        * Foreign troops: CSTO, Russia (confirmed) → Kazakhstan, reported
          “Peacekeepers of the CSTO were on their way.”

        Sources (2 independent):
        - Northern Wire (news agency): Twelve dead in Almaty
          https://wire.example/1
        - Abendblatt (national): Zwölf Tote in Almaty

        --
        You get this because of the subscription duty-desk.
        """)


def test_an_escalation_in_german() -> None:
    assert told(unrest(), language="de") == dedent("""\
        12 Tote bestätigt (zuvor: mindestens 8) — Unruhen, Almaty, Kasachstan
        Schwere: extrem · Gewissheit: bestätigt · Gesehen: 2026-03-04 12:00 UTC

        * 12 Tote bestätigt (zuvor: mindestens 8)
          “Es gab zwölf Tote, teilte das Innenministerium mit.” (laut: Innenministerium)

        Schon bekannt:
        * Fremde Truppen: OVKS, Russland (bestätigt) → Kasachstan, gemeldet
          “Peacekeepers of the CSTO were on their way.” (auf Englisch)

        Quellen (2 unabhängige):
        - Northern Wire (Nachrichtenagentur): Twelve dead in Almaty
          https://wire.example/1
        - Abendblatt (überregional): Zwölf Tote in Almaty

        --
        Diese Nachricht kommt wegen des Abonnements duty-desk.
        """)


def test_an_escalation_in_russian() -> None:
    assert told(unrest(), language="ru") == dedent("""\
        12 погибших, подтверждено (было: не менее 8) — Almaty, Казахстан: беспорядки
        Тяжесть: чрезвычайная · Достоверность: подтверждено · Замечено: 2026-03-04 12:00 UTC

        * 12 погибших, подтверждено (было: не менее 8)
          “Es gab zwölf Tote, teilte das Innenministerium mit.” (источник: Innenministerium; язык: немецкий)

        Известно ранее:
        * Иностранные войска: ОДКБ, Россия (подтверждено) → Казахстан, по сообщениям
          “Peacekeepers of the CSTO were on their way.” (язык: английский)

        Источники (независимых: 2):
        - Northern Wire (агентство): Twelve dead in Almaty
          https://wire.example/1
        - Abendblatt (общенациональный): Zwölf Tote in Almaty

        --
        Вы получили это по подписке duty-desk.
        """)


def test_an_opening_picture_is_sorted_by_severity_and_says_what_it_leaves_out() -> None:
    accident = an_alert(incident="b", severity=Severity.MODERATE)

    text = told(accident, unrest(), kind=MessageKind.DIGEST, cause="opening", total=50)

    assert text == dedent("""\
        Opening picture: 50 open incidents

        These happened before I was watching, or were seen late. From now on each new step rings by itself.

        [extreme]
        * 12 dead confirmed (was: at least 8) — unrest in Almaty, Kazakhstan
          Northern Wire: https://wire.example/1

        [moderate]
        * 3 dead confirmed — Narva, Estonia
          Northern Wire: https://news.example/1
        … and 48 more

        --
        You get this because of the subscription duty-desk.
        """)


def test_the_digest_beyond_the_budget_says_so() -> None:
    text = told(unrest(), language="de", kind=MessageKind.DIGEST, cause="budget")

    assert text.startswith("Meldebudget verbraucht: ein weiteres Ereignis\n")
    assert "Das Abonnement duty-desk erlaubt 20/day Meldungen" in text


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        (replace(DEAD, was=None), "12 dead confirmed — unrest in Almaty, Kazakhstan"),
        (replace(DEAD, was=DEAD.toll, was_certainty=REPORTED), "12 dead confirmed (was: reported) — "),
        (replace(DEAD, was_certainty=POSSIBLE), "12 dead confirmed (was: at least 8, possible) — "),
        (replace(DEAD, was=None, toll=Toll(min=1, max=1)), "1 dead confirmed — "),
        (replace(DEAD, was=None, toll=Toll(min=40, max=40, approx=True)), "about 40 dead confirmed — "),
        (replace(DEAD, was=None, toll=Toll(min=None, max=30)), "up to 30 dead confirmed — "),
        (replace(DEAD, was=None, toll=Toll(min=3, max=5)), "3 to 5 dead confirmed — "),
        (replace(DEAD, was=None, toll=None), "an unknown number dead confirmed — "),
        (
            replace(DEAD, was=None, claimed=Figure(toll=Toll(min=60, max=None), certainty=REPORTED)),
            "12 dead confirmed (others say at least 60, reported) — ",
        ),
        (replace(DEAD, was=None, disputed=True), "12 dead confirmed (disputed) — "),
        (replace(DEAD, was=None, country="KG"), "Kyrgyzstan: 12 dead confirmed — "),
        (replace(DEAD, was=None, withdrawn=True), "12 dead confirmed (taken back) — "),
        (
            replace(DEAD, was=None, type="government_dismissal", kind=DismissalKind.TOPPLED),
            "Government toppled, confirmed — ",
        ),
        (
            replace(DEAD, was=None, type="internet_shutdown", country="KG"),
            "Internet shutdown: Kyrgyzstan, confirmed — ",
        ),
    ],
)
def test_a_headline_says_what_is_new_and_what_it_was(fact: Fact, said: str) -> None:
    assert headline(unrest(facts=(fact,)), FRAMES["en"]).startswith(said)


def test_a_correction_looks_like_one() -> None:
    lowered = replace(DEAD, toll=Toll(min=47, max=47), was=Toll(min=62, max=62))
    alert = unrest(step=Step.CORRECTION, facts=(lowered,))

    lines = [headline(alert, FRAMES[language]) for language in ("en", "de", "ru")]

    assert lines == [
        "CORRECTION: 47 dead confirmed (was: 62) — unrest in Almaty, Kazakhstan",
        "KORREKTUR: 47 Tote bestätigt (zuvor: 62) — Unruhen, Almaty, Kasachstan",
        "ИСПРАВЛЕНИЕ: 47 погибших, подтверждено (было: 62) — Almaty, Казахстан: беспорядки",
    ]


def test_steps_told_together_say_all_that_changed_since_before_the_first() -> None:
    first = unrest(revision=2, facts=(DEAD,))
    second = unrest(
        revision=3,
        facts=(
            replace(DEAD, changed=False, toll=Toll(min=20, max=20), was=Toll(min=12, max=12)),
            replace(TROOPS, changed=True),
        ),
    )

    line = headline(merged([first, second], MessageKind.ALERT), FRAMES["en"])

    assert line.startswith("20 dead confirmed (was: at least 8); Foreign troops: CSTO")


def test_what_was_corrected_before_it_was_told_is_no_correction() -> None:
    first = unrest(revision=1, step=Step.NEW, facts=(replace(DEAD, was=None),))
    second = unrest(revision=2, step=Step.CORRECTION, facts=(replace(DEAD, toll=Toll(min=9, max=9), was=DEAD.toll),))

    unheard = headline(merged([first, second], MessageKind.ALERT), FRAMES["en"])
    heard = headline(merged([first, second], MessageKind.CORRECTION), FRAMES["en"])

    assert unheard == "9 dead confirmed — unrest in Almaty, Kazakhstan"
    assert heard == "CORRECTION: 9 dead confirmed — unrest in Almaty, Kazakhstan"


def test_a_country_that_takes_an_article_gets_one() -> None:
    line = headline(unrest(places=(), countries=("US",)), FRAMES["en"])

    assert line.endswith("unrest in the United States")


def test_every_frame_speaks_of_everything() -> None:
    for frame in FRAMES.values():
        assert set(frame.severity) == set(Severity)
        assert set(frame.certainty) == set(Certainty)
        assert set(frame.tier) == set(Tier)
        assert set(frame.step) == set(Step)
        assert set(frame.dismissal) == {*DismissalKind, None}
        assert frame.happening.keys() == FRAMES["en"].happening.keys()


def test_what_slack_gets_in_one_section() -> None:
    alert = unrest(sources=SOURCES[:1])
    delivery = Delivery(
        key="k",
        receiver="desk",
        kind=MessageKind.ALERT,
        alerts=(alert.id,),
        next_try=NOON,
        created_at=NOON,
        seen_at=NOON,
    )

    payload = as_slack(tell(delivery, [alert]))

    assert payload["blocks"] == [
        {
            "type": "header",
            "text": {
                "type": "plain_text",
                "text": "12 dead confirmed (was: at least 8) — unrest in Almaty, Kazakhstan",
                "emoji": False,
            },
        },
        {
            "type": "section",
            "text": {
                "type": "mrkdwn",
                "verbatim": True,
                "text": dedent("""\
                    Severity: extreme · Certainty: confirmed · Seen: 2026-03-04 12:00 UTC
                    *12 dead confirmed (was: at least 8)*
                    > Es gab zwölf Tote, teilte das Innenministerium mit. (according to: Innenministerium; in German)
                    _Known before_
                    Foreign troops: CSTO, Russia (confirmed) → Kazakhstan, reported
                    > Peacekeepers of the CSTO were on their way.
                    *Source*
                    • <https://wire.example/1|Northern Wire> (news agency): Twelve dead in Almaty"""),
            },
        },
    ]
