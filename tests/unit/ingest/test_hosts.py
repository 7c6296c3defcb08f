from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from ingest.hosts import HostHeld, Hosts
from tocsin.testing import NOON, FakeClock

SECOND = timedelta(seconds=1)


async def test_starts_towards_one_host_keep_the_gap() -> None:
    clock = FakeClock()
    hosts = Hosts(at_once=5, gap=SECOND, clock=clock)
    starts: list[datetime] = []

    async def visit(host: str) -> None:
        async with hosts.turn(host):
            starts.append(clock.now())

    async with asyncio.TaskGroup() as visits:
        for _ in range(3):
            visits.create_task(visit("a"), name="visit")
        await asyncio.sleep(0.01)
        await clock.move(5 * SECOND)

    assert starts == [NOON, NOON + SECOND, NOON + 2 * SECOND]


async def test_a_slow_host_keeps_only_its_own_waiting() -> None:
    hosts = Hosts(at_once=1, gap=timedelta(0), clock=FakeClock())
    seen: list[str] = []

    async def visit(host: str) -> None:
        async with hosts.turn(host):
            seen.append(host)

    async with hosts.turn("slow"), asyncio.TaskGroup() as visits:
        blocked = visits.create_task(visit("slow"), name="slow")
        visits.create_task(visit("quick"), name="quick")
        await asyncio.sleep(0.01)
        assert seen == ["quick"]
        blocked.cancel()


async def test_a_host_that_asked_for_silence_gets_it() -> None:
    clock = FakeClock()
    hosts = Hosts(at_once=1, gap=timedelta(0), clock=clock)

    hosts.hold("a", NOON + SECOND)

    with pytest.raises(HostHeld) as held:
        async with hosts.turn("a"):
            pass
    assert held.value.until == NOON + SECOND
    await clock.move(SECOND)
    async with hosts.turn("a"):
        pass


async def test_who_waits_for_a_turn_hears_of_the_silence() -> None:
    clock = FakeClock()
    hosts = Hosts(at_once=1, gap=timedelta(0), clock=clock)

    async def visit() -> None:
        async with hosts.turn("a"):
            pass

    async with hosts.turn("a"):
        waiting = asyncio.ensure_future(visit())
        await asyncio.sleep(0.01)
        hosts.hold("a", NOON + SECOND)

    with pytest.raises(HostHeld):
        await waiting
