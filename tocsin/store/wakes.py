"""Who waits for what, inside one process."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Wakes:
    """Names and the waiters on each. A wake between `mark` and `wait` is not lost. Belongs to one event loop."""

    def __init__(self) -> None:
        self._heed: Callable[[str], None] = lambda _: None
        self._heeded: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._of_all = 0  # how often everybody was woken
        self._waiting: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    def tell_of_names(self, heed: Callable[[str], None]) -> None:
        """Call *heed* with each name of which a mark is taken for the first time."""
        self._heed = heed

    def mark(self, name: str) -> int:
        """Return how often *name* was woken so far."""
        if name not in self._heeded:
            self._heeded.add(name)
            self._heed(name)
        return self._counts[name] + self._of_all

    def wake(self, names: Iterable[str]) -> None:
        """Wake everybody who waits for one of *names*."""
        for name in names:
            self._counts[name] += 1
            for waiter in self._waiting.pop(name, ()):
                if not waiter.done():
                    waiter.set_result(None)

    def wake_everybody(self) -> None:
        """Wake all who wait, and who has taken a mark: nobody knows what was missed."""
        self._of_all += 1
        self.wake(list(self._waiting))

    async def wait(self, name: str, mark: int, *, timeout_s: float) -> None:
        """Return once *name* was woken after *mark*, or after *timeout_s*."""
        if self.mark(name) != mark or timeout_s <= 0:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting[name].add(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            pass
        finally:
            self._waiting[name].discard(waiter)
            if not self._waiting[name]:
                del self._waiting[name]
