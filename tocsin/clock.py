"""Time, so that tests can hold it, and so that nobody notices when an administrator sets the machine's."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger()

SLEW: Final = 0.2  # of the time that passes: how fast we follow a machine's clock that was set
STEP_BEYOND_S: Final = 5_400.0
TOLD_FROM_S: Final = 10.0
AGREED_S: Final = 1.0


class Clock(Protocol):
    """Says the time and waits for it; tests bring their own (`tocsin.testing.FakeClock`)."""

    def now(self) -> datetime:
        """Return the current instant, aware and in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after *seconds*; at once when it is not positive."""
        ...


wall = time.time
# Seconds that nobody sets. Where it can be had, the count that goes on while a machine sleeps.
steady = partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic


class SystemClock:
    """The machine's own clock, but one that never goes back and never leaps by less than `STEP_BEYOND_S`.

    When the machine's is set, ours goes a fifth faster or slower until they agree, so that an hour set back keeps no
    timer, retry or poll waiting for an hour, and an hour set forward makes no feed look neglected. What is farther
    off than that was never right, or the machine stood still: then the machine's time is taken at once.
    """

    def __init__(
        self, *, of_machine: Callable[[], float] | None = None, passing: Callable[[], float] | None = None
    ) -> None:
        self._wall = of_machine or wall
        self._steady = passing or steady
        self._lock = threading.Lock()
        self._at = self._steady()
        self._own = self._wall()
        self._told = False

    def now(self) -> datetime:
        """Return the current instant, aware and in UTC."""
        with self._lock:  # the store's writer asks, too
            at = self._steady()
            passed = at - self._at
            self._at = at
            off = self._wall() - self._own - passed
            if -STEP_BEYOND_S <= off <= STEP_BEYOND_S:
                most = passed * SLEW
                self._own += passed + (most if off > most else max(off, -most))
            else:
                self._own += passed + off
            own = self._own
        if self._told or not -TOLD_FROM_S < off < TOLD_FROM_S:
            self._tell(off)
        return datetime.fromtimestamp(own, UTC)

    async def sleep(self, seconds: float) -> None:
        """Return after *seconds*."""
        await asyncio.sleep(max(0.0, seconds))

    def _tell(self, off: float) -> None:
        """Say once that the machine's clock was set, and once that it is agreed with."""
        if not -STEP_BEYOND_S <= off <= STEP_BEYOND_S:
            log.warning("clock of the machine set far and followed at once", by_s=round(off))
        elif not self._told:
            self._told = True
            log.warning("clock of the machine set", by_s=round(off))
        elif -AGREED_S < off < AGREED_S:
            self._told = False
            log.warning("clock of the machine agreed with")
