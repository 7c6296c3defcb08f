"""Tolls against one another: the rise, the slower newsroom, the round number, the correction, the stale copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tocsin.records import Certainty, Speaker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from .state import Claim

ROUND_OFF: Final = 0.15  # "about 50" and 47 are the same count
LEAST_SHARE: Final = 0.5  # a figure below half of what is known is taken for a part of it, not for a correction
STEPS: Final = (1, 5, 10, 25, 50, 100, 250, 500)


def band(count: int) -> int:
    """Return how many of the steps 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, … *count* has reached."""
    passed = sum(count >= step for step in STEPS)
    unit = 1000
    while count >= unit:
        passed += sum(count >= unit * factor // 10 for factor in (10, 25, 50))
        unit *= 10
    return passed


def contradicted(claim: Claim, live: Sequence[Claim], *, heard: Sequence[Claim], settle: timedelta) -> list[Claim]:
    """Return the claims that *claim*, a lower figure, means to take back.

    A text that names the figure it withdraws means all between that and its own. One that names none must be sure,
    closed upwards, new to us, more than half of what was known, and told some time after the rise: otherwise it is
    an older count, or a part.
    """
    most = None if claim.toll is None else claim.toll.max
    if claim.withdrawn is not None:
        ceiling = claim.withdrawn.max or claim.withdrawn.min
        top = most if most is not None else claim.low
        return [
            held
            for held in live
            if held.low > top
            and (ceiling is None or held.low <= ceiling)
            and (held.certainty.rank <= claim.certainty.rank or held.owner == claim.owner)
        ]
    if most is None or claim.certainty is not Certainty.CONFIRMED or not _is_official(claim):
        return []
    sure = [held for held in live if held.certainty is Certainty.CONFIRMED]
    floor = max((held.low for held in sure), default=0)
    above = [held for held in live if most < held.low <= floor and not is_refined_by(held, claim)]
    if not above or most < floor * LEAST_SHARE:
        return []
    if any(claim.low == other.low or _was_mentioned(claim.low, other) for other in (*live, *heard)):
        return []
    reached = min(held.told_at for held in sure if held.low == floor)
    return above if claim.told_at - reached >= settle else []


def is_retold(claim: Claim, fallen: Sequence[Claim]) -> bool:
    """Say whether *claim* repeats a figure that was taken back, or one rounded from it."""
    return any(
        claim.low == old.low or (claim.toll is not None and claim.toll.approx and _is_near(claim.low, old.low))
        for old in fallen
        if claim.certainty.rank <= old.certainty.rank
    )


def is_refined_by(rough: Claim, exact: Claim) -> bool:
    """Say whether *exact* is the count of which *rough* is the round number."""
    return (
        rough.toll is not None
        and rough.toll.approx
        and exact.toll is not None
        and not exact.toll.approx
        and exact.certainty.rank >= rough.certainty.rank
        and _is_near(rough.low, exact.low)
    )


def _is_near(a: int, b: int) -> bool:
    return abs(a - b) <= ROUND_OFF * max(a, b)


def _was_mentioned(count: int, claim: Claim) -> bool:
    return any(figure.toll.min == count for figure in claim.also)


def _is_official(claim: Claim) -> bool:
    return claim.attribution is None or claim.attribution.speaker is Speaker.AUTHORITY
