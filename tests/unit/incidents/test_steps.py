from __future__ import annotations

import pytest

from incidents.state import Known
from incidents.steps import step
from incidents.tolls import band
from tocsin.records import Certainty, DismissalKind, Sender, Step, Toll

POSSIBLE, REPORTED, CONFIRMED = Certainty.POSSIBLE, Certainty.REPORTED, Certainty.CONFIRMED


def deaths(
    confirmed: int = 0,
    reported: int = 0,
    possible: int = 0,
    *,
    approx: bool = False,
    withdrawn: bool = False,
    disputed: bool = False,
) -> Known:
    """Known tolls by certainty; a surer one holds for the less sure levels, too."""
    return Known(
        type="deaths",
        certainty=CONFIRMED if confirmed else REPORTED if reported else POSSIBLE,
        floors=(max(confirmed, reported, possible), max(confirmed, reported), confirmed),
        toll=Toll(min=confirmed or reported or possible, max=None, approx=approx),
        withdrawn=withdrawn,
        disputed=disputed,
    )


def troops(*senders: tuple[str, Certainty]) -> Known:
    named = tuple(Sender(code=code, certainty=certainty) for code, certainty in senders)
    surest = max((sender.certainty for sender in named), key=lambda certainty: certainty.rank)
    return Known(type="foreign_troops", certainty=surest, senders=named)


def government(kind: DismissalKind, certainty: Certainty, *, withdrawn: bool = False) -> Known:
    return Known(type="government_dismissal", certainty=certainty, kind=kind, withdrawn=withdrawn)


DISMISSED, RESIGNED, TOPPLED = DismissalKind.DISMISSED, DismissalKind.RESIGNED, DismissalKind.TOPPLED


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        # the first of an incident, and the first of a type in it
        ((), (deaths(reported=2),), Step.NEW),
        ((), (deaths(reported=2), government(DISMISSED, POSSIBLE)), Step.NEW),
        ((deaths(3),), (deaths(3), government(DISMISSED, POSSIBLE)), Step.ESCALATION),
        ((deaths(3),), (deaths(3), Known(type="internet_shutdown", certainty=REPORTED)), Step.ESCALATION),
        ((), (deaths(3, withdrawn=True),), None),
        # tolls
        ((deaths(3),), (deaths(3),), None),
        ((deaths(3),), (deaths(4),), Step.UPDATE),
        ((deaths(4),), (deaths(5),), Step.ESCALATION),
        ((deaths(4),), (deaths(11),), Step.ESCALATION),
        ((deaths(999),), (deaths(1000),), Step.ESCALATION),
        ((deaths(reported=2),), (deaths(3),), Step.ESCALATION),
        ((deaths(reported=12),), (deaths(11, reported=12),), Step.ESCALATION),
        ((deaths(3),), (deaths(3, reported=4),), Step.UPDATE),
        ((deaths(3),), (deaths(3, reported=30),), Step.ESCALATION),
        ((deaths(3),), (deaths(3, possible=300),), Step.UPDATE),
        ((deaths(possible=3),), (deaths(possible=30),), Step.ESCALATION),
        # taken back
        ((deaths(11),), (deaths(9),), Step.CORRECTION),
        ((deaths(11),), (deaths(reported=11),), Step.CORRECTION),
        ((deaths(11, reported=60),), (deaths(11, reported=12),), Step.CORRECTION),
        ((deaths(11),), (deaths(11, withdrawn=True),), Step.CORRECTION),
        ((deaths(11, withdrawn=True),), (deaths(11, withdrawn=True),), None),
        ((deaths(11, withdrawn=True),), (deaths(11),), Step.ESCALATION),
        ((deaths(50, approx=True),), (deaths(47),), Step.UPDATE),
        ((deaths(11),), (deaths(11, disputed=True),), Step.UPDATE),
        ((deaths(11, disputed=True),), (deaths(11, disputed=True),), None),
        # troops
        ((troops(("RU", REPORTED)),), (troops(("RU", REPORTED)),), None),
        ((troops(("RU", REPORTED)),), (troops(("RU", CONFIRMED)),), Step.ESCALATION),
        ((troops(("RU", REPORTED)),), (troops(("RU", REPORTED), ("CSTO", POSSIBLE)),), Step.ESCALATION),
        ((troops(("CSTO", POSSIBLE)),), (troops(("CSTO", POSSIBLE), ("RU", POSSIBLE)),), Step.UPDATE),
        ((troops(("CSTO", CONFIRMED)),), (troops(("CSTO", CONFIRMED), ("AM", CONFIRMED)),), Step.UPDATE),
        ((troops(("CSTO", CONFIRMED)),), (troops(("CSTO", CONFIRMED), ("AM", POSSIBLE)),), Step.UPDATE),
        ((troops(("CSTO", CONFIRMED), ("RU", REPORTED)),), (troops(("CSTO", CONFIRMED)),), Step.CORRECTION),
        ((troops(("", REPORTED)),), (troops(("", POSSIBLE)),), Step.CORRECTION),
        ((troops(("", REPORTED)),), (troops(("RU", REPORTED)),), Step.UPDATE),
        # governments
        ((government(DISMISSED, POSSIBLE),), (government(DISMISSED, CONFIRMED),), Step.ESCALATION),
        ((government(DISMISSED, CONFIRMED),), (government(RESIGNED, CONFIRMED),), Step.UPDATE),
        ((government(RESIGNED, CONFIRMED),), (government(TOPPLED, CONFIRMED),), Step.ESCALATION),
        ((government(DISMISSED, CONFIRMED),), (government(DISMISSED, CONFIRMED, withdrawn=True),), Step.CORRECTION),
        # the loudest of several
        ((deaths(3),), (deaths(4), government(DISMISSED, POSSIBLE)), Step.ESCALATION),
    ],
)
def test_a_change_is_worth(before: tuple[Known, ...], after: tuple[Known, ...], expected: Step | None) -> None:
    assert step(before, after) is expected


def test_the_steps_of_a_toll_go_on_in_every_decade() -> None:
    crossed = [count for count in range(1, 100_001) if band(count) > band(count - 1)]

    assert crossed == [1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000]
