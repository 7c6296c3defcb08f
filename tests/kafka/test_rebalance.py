"""Workers that come, leave and die while records flow; real processes, and nothing is left out or waits for long."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from pathlib import Path

import pytest
import structlog

from tests.kafka.crew import Crew, a_crew, flowing
from tests.kafka.houses import a_kafka_house
from tocsin.stream.port import ARTICLES

log = structlog.get_logger()

PARTITIONS = 6
EVERY_S = 0.01
GRACEFUL_S = 2.0
SESSION_S = 3.0


def longest_gap(crew: Crew, *, since: float, until: float) -> float:
    """The longest time for which nothing came of some partition."""
    longest = 0.0
    for partition in range(PARTITIONS):
        times = [at for at, where, _ in crew.said() if where == partition and since <= at <= until]
        every = [since, *times, until]
        longest = max(longest, *(b - a for a, b in itertools.pairwise(every)))
    return longest


async def all_worked_on(crew: Crew, put: list[str]) -> None:
    async with asyncio.timeout(15):
        while {name for _, _, name in crew.said()} != set(put):
            await asyncio.sleep(0.1)


@pytest.mark.timeout(120)
async def test_workers_come_leave_and_die_and_the_others_take_over(postgresql: str, kafka: str, tmp_path: Path) -> None:
    async with a_kafka_house(postgresql, kafka, partitions=PARTITIONS, session="3s", heartbeat="500ms") as house:
        with a_crew(tmp_path, postgresql, house) as crew:
            async with flowing(house) as put:
                await crew.hire()
                began = time.monotonic()
                second = await crew.hire()
                third = await crew.hire()
                await asyncio.sleep(1)
                third.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(third.wait, 10) == 0
                await asyncio.sleep(2)
                killed = time.monotonic()
                second.kill()
                await asyncio.sleep(SESSION_S + GRACEFUL_S + 1)
                ended = time.monotonic()
            await all_worked_on(crew, put)

            graceful = longest_gap(crew, since=began, until=killed)
            sudden = longest_gap(crew, since=killed, until=ended)
            log.info("measured", come_and_leave_s=round(graceful, 2), death_s=round(sudden, 2))
            names = [name for _, _, name in crew.said()]
            repeated = len(names) - len(set(names))

    assert graceful <= GRACEFUL_S
    assert sudden <= SESSION_S + GRACEFUL_S
    assert repeated <= PARTITIONS * 100  # units that were run and then undone by the fence; none was committed


@pytest.mark.timeout(90)
async def test_a_worker_that_slept_through_its_dismissal_is_fenced(postgresql: str, kafka: str, tmp_path: Path) -> None:
    async with a_kafka_house(postgresql, kafka, partitions=PARTITIONS, session="2s", heartbeat="300ms") as house:
        with a_crew(tmp_path, postgresql, house) as crew:
            async with flowing(house) as put:
                zombie = await crew.hire()
                await crew.hire()
                await asyncio.sleep(1)
                os.kill(zombie.pid, signal.SIGSTOP)
                await asyncio.sleep(5)
                os.kill(zombie.pid, signal.SIGCONT)
                await asyncio.sleep(4)
                woken = time.monotonic()
                await asyncio.sleep(2)
            await all_worked_on(crew, put)

            own = (tmp_path / "worker-0").read_text().splitlines()
            cursors = await house.store.read(lambda tx: tx.topics.cursors())

    assert any(float(line.split()[0]) > woken for line in own)  # it works again, in the group
    assert sum(cursors["g", ARTICLES].values()) == len(put)
