"""Time, so that tests can hold it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Says the time and waits for it; tests bring their own (`tocsin.testing.FakeClock`)."""

    def now(self) -> datetime:
        """Return the current instant, aware and in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after *seconds*; at once when it is not positive."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the current instant, aware and in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Return after *seconds*."""
        await asyncio.sleep(max(0.0, seconds))
