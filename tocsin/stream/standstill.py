"""Tells partitions in which nothing is new from those that bring nothing because their client is stuck.

Plain decisions: the time is an argument, and where the partitions end is asked by whoever holds this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STALL_S: Final = 2.0  # records wait and none came
STUCK_S: Final = 60.0  # the same for one partition while others flow; with much behind, each has to wait its turn
LOOK_S: Final = 1.0
LOOK_IN_FLOW_S: Final = 10.0
PATIENCE_CAP_S: Final = 300.0  # before a client is replaced once more, when that has not helped so far


class Standstill:
    """What one reader has seen move. A partition is stuck when records wait and its position stood at two looks."""

    def __init__(self) -> None:
        self._moved: dict[int, float] = {}
        self._looked_at = float("-inf")
        self._suspects: Mapping[int, int] = {}
        self._patience_s = STALL_S

    def moved(self, partitions: Iterable[int], *, now: float) -> None:
        """Note that these were given to us, or brought records."""
        self._moved.update(dict.fromkeys(partitions, now))
        self._suspects = {}

    def flowed(self) -> None:
        """Note that records came: whatever was replaced, it has helped."""
        self._patience_s = STALL_S

    def quiet(self, positions: Iterable[int], *, now: float, idle: bool) -> list[int]:
        """Return the partitions to ask about now; none until it is time to look again."""
        if now - self._looked_at < (LOOK_S if idle else LOOK_IN_FLOW_S):
            return []
        self._looked_at = now
        limit_s = self._patience_s if idle else STUCK_S
        return [one for one in positions if now - self._moved.get(one, now) >= limit_s]

    def stuck(self, positions: Mapping[int, int], ends: Mapping[int, int] | None) -> dict[int, int]:
        """Return how many records wait in each partition that is stuck, where *ends* were asked for and answered."""
        if ends is None:
            self._suspects = {}
            return {}
        waiting = {one: at for one, at in positions.items() if ends.get(one, at) > at}
        stuck = {one: ends[one] - at for one, at in waiting.items() if self._suspects.get(one) == at}
        self._suspects = waiting
        return stuck

    def replaced(self) -> None:
        """Note that the client was replaced: when that does not help, the next time comes later."""
        self._suspects = {}
        self._patience_s = min(PATIENCE_CAP_S, self._patience_s * 2)
