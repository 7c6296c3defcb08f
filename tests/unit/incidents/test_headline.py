from __future__ import annotations

import pytest

from incidents.headline import count, headline
from tocsin.records import Certainty, DismissalKind, Fact, Figure, Sender, Step, Toll

POSSIBLE, REPORTED, CONFIRMED = Certainty.POSSIBLE, Certainty.REPORTED, Certainty.CONFIRMED


@pytest.mark.parametrize(
    ("low", "high", "approx", "expected"),
    [
        (12, 12, False, "12"),
        (8, None, False, "at least 8"),
        (50, 50, True, "about 50"),
        (20, 30, False, "20 to 30"),
        (None, 9, False, "up to 9"),
        (1200, None, False, "at least 1,200"),
        (None, None, False, "some"),
    ],
)
def test_an_interval_is_said_in_words(low: int | None, high: int | None, *, approx: bool, expected: str) -> None:
    assert count(Toll(min=low, max=high, approx=approx)) == expected


TOLL = Fact(
    type="deaths",
    certainty=CONFIRMED,
    changed=True,
    toll=Toll(min=12, max=12),
    was=Toll(min=8, max=None),
    was_certainty=CONFIRMED,
)
FALL = Fact(type="government_dismissal", certainty=CONFIRMED, changed=True, kind=DismissalKind.RESIGNED)
TROOPS = Fact(
    type="foreign_troops",
    certainty=REPORTED,
    changed=True,
    senders=(Sender(code="AU", alliance=True, certainty=REPORTED), Sender(code="KE", certainty=REPORTED)),
)


@pytest.mark.parametrize(
    ("step", "facts", "expected"),
    [
        (Step.ESCALATION, (TOLL,), "12 dead confirmed (was: at least 8) — unrest in Almaty, Kazakhstan"),
        (
            Step.ESCALATION,
            (TOLL, FALL),
            "Government resigned; 12 dead confirmed (was: at least 8) — unrest in Almaty, Kazakhstan",
        ),
        (Step.NEW, (TROOPS,), "Foreign troops reported (AU, Kenya) — unrest in Almaty, Kazakhstan"),
        (
            Step.CORRECTION,
            (TOLL,),
            "Correction: 12 dead confirmed (was: at least 8) — unrest in Almaty, Kazakhstan",
        ),
    ],
)
def test_a_headline_says_what_is_new_and_where(step: Step, facts: tuple[Fact, ...], expected: str) -> None:
    assert headline(step, facts, happening="unrest", places=("Almaty",), country="KZ") == expected


def test_what_did_not_change_is_not_in_the_headline() -> None:
    known = Fact(type="deaths", certainty=CONFIRMED, changed=False, toll=Toll(min=12, max=12))

    assert headline(Step.ESCALATION, (FALL, known), happening=None, places=(), country="KZ") == (
        "Government resigned — Kazakhstan"
    )


def test_a_claim_beside_what_is_confirmed_is_told_as_a_claim() -> None:
    fact = Fact(
        type="deaths",
        certainty=CONFIRMED,
        changed=True,
        toll=Toll(min=5, max=5),
        claimed=Figure(toll=Toll(min=30, max=None), certainty=REPORTED),
    )

    told = headline(Step.ESCALATION, (fact,), happening="accident", places=(), country=None)

    assert told == "5 dead confirmed, at least 30 reported — accident"


def test_a_type_of_the_operators_own_is_said_by_its_name() -> None:
    fact = Fact(type="internet_shutdown", certainty=REPORTED, changed=True)

    assert headline(Step.NEW, (fact,), happening=None, places=(), country="KZ") == (
        "Internet shutdown reported — Kazakhstan"
    )
