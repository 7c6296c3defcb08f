"""What a change of knowledge is worth: nothing, a quiet update, a ring, a correction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tocsin.matcher import DEATHS, FOREIGN_TROOPS
from tocsin.records import Certainty, DismissalKind, Step

from .tolls import ROUND_OFF, band

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tocsin.records import Sender

    from .state import Known

LOUDEST_FIRST: Final = (Step.NEW, Step.ESCALATION, Step.CORRECTION, Step.UPDATE)


def step(before: Sequence[Known], after: Sequence[Known]) -> Step | None:
    """Return the loudest step from *before*, what was last told, to *after*; None when nothing is new."""
    told = set(changes(before, after).values())
    return next((kind for kind in LOUDEST_FIRST if kind in told), None)


def changes(before: Sequence[Known], after: Sequence[Known]) -> Mapping[str, Step]:
    """Return, for each type of which something new is known, what that is worth."""
    was = {known.type: known for known in before}
    found: dict[str, Step] = {}
    for now in after:
        worth = _change(was.get(now.type), now, first=not before)
        if worth is not None:
            found[now.type] = worth
    return found


def _change(was: Known | None, now: Known, *, first: bool) -> Step | None:
    if was is None or was.withdrawn:
        if now.withdrawn:
            return None
        return Step.NEW if first else Step.ESCALATION
    if now.withdrawn:
        return Step.CORRECTION
    if now.type == DEATHS:
        worth = _deaths(was, now)
    elif now.type == FOREIGN_TROOPS:
        worth = _troops(was, now)
    else:
        worth = _plain(was, now)
    if worth is None and now.disputed and not was.disputed:
        return Step.UPDATE
    return worth


def _deaths(was: Known, now: Known) -> Step | None:
    told = [level for level in (Certainty.REPORTED, Certainty.CONFIRMED) if level.rank <= now.certainty.rank]
    told = told or [Certainty.POSSIBLE]
    if now.certainty.rank < was.certainty.rank:
        return Step.CORRECTION
    if any(now.floors[level.rank] < was.floors[level.rank] for level in told):
        return Step.UPDATE if _is_rounding(was, now) else Step.CORRECTION
    if now.certainty.rank > was.certainty.rank:
        return Step.ESCALATION
    if any(band(now.floors[level.rank]) > band(was.floors[level.rank]) for level in told):
        return Step.ESCALATION
    if now.floors != was.floors:
        return Step.UPDATE
    return None


def _is_rounding(was: Known, now: Known) -> bool:
    if was.toll is None or not was.toll.approx:
        return False
    return all(old - new <= ROUND_OFF * old for old, new in zip(was.floors, now.floors, strict=True))


def _troops(was: Known, now: Known) -> Step | None:
    old, new = _by_name(was.senders), _by_name(now.senders)
    lost = {name for name in old if name not in new or new[name].certainty.rank < old[name].certainty.rank}
    if lost or now.certainty.rank < was.certainty.rank:
        return Step.CORRECTION
    if now.certainty.rank > was.certainty.rank:
        return Step.ESCALATION
    joined = [sender for name, sender in new.items() if name not in old]
    # A formal request after mere reports is a further stage, although a text about it is less sure.
    if (
        was.certainty is Certainty.REPORTED
        and all(sender.certainty is not Certainty.POSSIBLE for sender in was.senders)
        and any(sender.certainty is Certainty.POSSIBLE and sender.code for sender in joined)
    ):
        return Step.ESCALATION
    return Step.UPDATE if new != old else None


def _by_name(senders: Sequence[Sender]) -> dict[tuple[str, bool], Sender]:
    return {(sender.code, sender.alliance): sender for sender in senders if sender.code}


def _plain(was: Known, now: Known) -> Step | None:
    if now.certainty.rank < was.certainty.rank:
        return Step.CORRECTION
    if now.certainty.rank > was.certainty.rank:
        return Step.ESCALATION
    if now.volume != was.volume:
        return Step.ESCALATION  # only a burst that has grown by a step is told again
    if now.kind is not was.kind:
        return Step.ESCALATION if now.kind is DismissalKind.TOPPLED else Step.UPDATE
    return None
