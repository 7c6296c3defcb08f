"""Manners towards each host: so many requests at once, a gap between their starts, silence when it asks for that."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tocsin.clock import Clock

REMEMBERED_HOSTS = 50_000


class HostHeld(Exception):
    """The host asked for silence until an instant that is still to come."""

    def __init__(self, host: str, until: datetime) -> None:
        super().__init__(f"{host} asked for silence until {until:%H:%M:%S}")
        self.until = until


@dataclass(slots=True)
class _Host:
    slots: asyncio.Semaphore
    next_start: datetime
    held_until: datetime
    users: int = field(default=0)


def _any_time(_host: str) -> None:
    """Know of no other worker."""


class Hosts:
    """What is under way towards whom; lives in one event loop, and is forgotten with it."""

    def __init__(
        self,
        *,
        at_once: int,
        gap: timedelta,
        clock: Clock,
        not_before: Callable[[str], datetime | None] | None = None,
    ) -> None:
        """*not_before* tells until when another worker's last request may be too near for one to start."""
        self._at_once = at_once
        self._gap = gap
        self._clock = clock
        self._not_before = not_before or _any_time
        self._hosts: OrderedDict[str, _Host] = OrderedDict()

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Hold one of *host*'s places, entered no sooner than the gap after the last start.

        Raises:
            HostHeld: it asked for silence; come back then.
        """
        known = self._host(host)
        self._refuse_if_held(host, known)
        known.users += 1
        try:
            async with known.slots:
                now = self._clock.now()
                start = max(now, known.next_start, self._not_before(host) or now)
                known.next_start = start + self._gap
                if start > now:
                    await self._clock.sleep((start - now).total_seconds())
                self._refuse_if_held(host, known)
                yield
        finally:
            known.users -= 1

    def hold(self, host: str, until: datetime) -> None:
        """Start nothing towards *host* before *until*."""
        known = self._host(host)
        known.held_until = max(known.held_until, until)

    def resting(self) -> dict[str, datetime]:
        """Return the hosts whose last request was less than the gap ago, with when that will have passed."""
        now = self._clock.now()
        return {host: known.next_start for host, known in self._hosts.items() if known.next_start > now}

    def _refuse_if_held(self, host: str, known: _Host) -> None:
        if known.held_until > self._clock.now():
            raise HostHeld(host, known.held_until)

    def _host(self, host: str) -> _Host:
        known = self._hosts.get(host)
        if known is None:
            now = self._clock.now()
            known = self._hosts[host] = _Host(asyncio.Semaphore(self._at_once), now, now)
            if len(self._hosts) > REMEMBERED_HOSTS:
                self._forget_one(now)
        self._hosts.move_to_end(host)
        return known

    def _forget_one(self, now: datetime) -> None:
        for name, known in self._hosts.items():
            if not known.users and known.next_start <= now and known.held_until <= now:
                del self._hosts[name]
                return
