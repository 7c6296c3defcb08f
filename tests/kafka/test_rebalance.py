"""Workers that come, leave and die while records flow; real processes, and nothing is left out or waits for long."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.kafka.houses import KafkaHouse, a_kafka_house
from tocsin.store.tx import Tx
from tocsin.stream.port import ARTICLES

PARTITIONS = 6
EVERY_S = 0.01
GRACEFUL_S = 2.0
SESSION_S = 3.0


class Crew:
    """Workers, and what each of them has said."""

    def __init__(self, folder: Path, dsn: str, house: KafkaHouse) -> None:
        self.folder = folder
        self.arguments = [dsn, house.settings.model_dump_json()]
        self.workers: list[subprocess.Popen[bytes]] = []

    async def hire(self) -> subprocess.Popen[bytes]:
        """Start one more and return when it works."""
        file = self.folder / f"worker-{len(self.workers)}"
        with file.open("wb") as out, file.with_suffix(".log").open("wb") as log:
            worker = subprocess.Popen(  # noqa: ASYNC220 — a test may wait for a fork
                [sys.executable, "-m", "tests.kafka.worker", *self.arguments], stdout=out, stderr=log
            )
        self.workers.append(worker)
        async with asyncio.timeout(30):
            while not file.stat().st_size:
                assert worker.poll() is None, file.with_suffix(".log").read_text()
                await asyncio.sleep(0.02)
        return worker

    def said(self) -> list[tuple[float, int, str]]:
        """What all of them have worked on: when, in which partition, what."""
        lines = [line for file in self.folder.glob("worker-?") for line in file.read_text().splitlines()]
        found = [line.split() for line in lines if line.count(" ") == 2]
        return sorted((float(at), int(partition), name) for at, partition, name in found)

    def dismiss(self) -> None:
        """End all of them."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
            worker.wait(10)


@contextlib.contextmanager
def a_crew(folder: Path, dsn: str, house: KafkaHouse) -> Iterator[Crew]:
    crew = Crew(folder, dsn, house)
    try:
        yield crew
    finally:
        crew.dismiss()


@asynccontextmanager
async def flowing(house: KafkaHouse) -> AsyncIterator[list[str]]:
    """Put records out all the time, to every partition."""
    put: list[str] = []

    async def flow() -> None:
        while True:
            name = f"r{len(put)}"
            await house.store.write(partial(emit, name=name))
            put.append(name)
            await asyncio.sleep(EVERY_S)

    task = asyncio.ensure_future(flow())
    try:
        yield put
    finally:
        task.cancel()
        await asyncio.wait([task])


def emit(tx: Tx, *, name: str) -> None:
    tx.emit(ARTICLES, key=name, record_id=name, value=name.encode())


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
async def test_workers_come_leave_and_die_and_the_others_take_over(
    postgresql: str, kafka: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
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
            record_property("longest gap, workers come and leave (s)", graceful)
            record_property("longest gap, a worker dies (s)", sudden)
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
