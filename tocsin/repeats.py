"""How often the same thing is said in the log: the first few times, then once a minute with how often it was not.

A client that is cut off from its server tells so thousands of times a second, and nobody finds anything else then.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

WINDOW_S: Final = 60.0
REMEMBERED: Final = 5_000  # different things; who says more of them has the oldest forgotten


@dataclass(slots=True)
class _Said:
    since: float
    allowed: int
    said: int = 0
    held_back: int = 0


class Repeats:
    """Decides for each line whether it is said. In any minute a thing is said `2 * first` times at most."""

    def __init__(self, first: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._first = first
        self._now = now
        self._things: OrderedDict[Hashable, _Said] = OrderedDict()

    def held_back(self, thing: Hashable) -> int | None:
        """Return how many lines of *thing* were held back before this one; None when this one is held back, too."""
        now = self._now()
        said = self._things.get(thing)
        if said is None or now - said.since >= WINDOW_S:
            before = 0 if said is None else said.held_back
            self._things[thing] = _Said(now, allowed=1 if before else self._first, said=1)
            self._things.move_to_end(thing)
            if len(self._things) > REMEMBERED:
                self._things.popitem(last=False)
            return before
        if said.said < said.allowed:
            said.said += 1
            return 0
        said.held_back += 1
        return None
