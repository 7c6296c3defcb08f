"""`kill -9` and pauses among the processes of a cluster: nothing lost, nothing doubled, and no zombie heard."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.faults.cluster_house import Cluster, cluster
from tests.faults.harness import Service
from tests.faults.launcher import CLUSTER_POINTS

ONE_OF_EACH: Final = (("ingest", "archive"), ("detectors",), ("incidents", "notifier"))
THREE_DETECTORS: Final = (
    ("ingest", "archive"),
    ("detectors",),
    ("detectors",),
    ("detectors",),
    ("incidents", "notifier"),
)
STANDING_BY: Final = (("ingest", "detectors", "archive"), ("incidents", "notifier"), ("incidents", "notifier"))
ARTICLES_A_FAULT: Final = 60
TAKEN_OVER_S: Final = 15.0
SENDS: Final = 20
COMMITS: Final = 250  # far more than it takes to be ready, and to hold a lease until the others are
FAULTS: Final = int(os.environ.get("CHAOS_KILLS", "50"))


def seeded() -> Random:
    """Return a chance; `CHAOS_SEED` brings an earlier one back."""
    seed = int(os.environ.get("CHAOS_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
    print(f"CHAOS_SEED={seed}")
    return Random(seed)


async def killed_at_random(house: Cluster, *, kills: int) -> None:
    """Publish and kill any of the processes, again and again, with or without time to come up between."""
    for _ in range(kills):
        house.room.publish(ARTICLES_A_FAULT)
        worker = house.chance.choice(list(house.workers.values()))
        await asyncio.sleep(house.chance.uniform(0.0, 3.0))
        plan = None
        if house.chance.random() < 0.5:
            plan = {"die": house.chance.choice(CLUSTER_POINTS), "at": house.chance.randint(1, 30)}
        await worker.kill()
        worker.launched_by = ("-m", "tests.faults.launcher", json.dumps(plan or {}))
        await worker.start()
        if house.chance.random() < 0.5:
            await alive_again(worker)


async def alive_again(worker: Service) -> None:
    """Wait for it to be ready, or to have died by its own plan."""
    try:
        await worker.ready(20.0)
    except AssertionError:
        return


async def end(house: Cluster, scratch: Path, *, repeats: int) -> None:
    """Kill who still runs, as the last fault, have all run undisturbed until all is through, and look."""
    for worker in house.workers.values():
        worker.launched_by = ("-m", "tocsin.cli")
        if worker.process is not None and worker.process.returncode is None:
            await worker.kill()
            repeats += 1
    await house.start()
    await house.until_done()
    codes = [await worker.stop() for worker in house.workers.values()]
    assert set(codes) == {0}
    await asyncio.to_thread(scratch.mkdir)
    await house.check(scratch, repeats=repeats)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_a_few_kills_of_a_cluster_lose_and_double_nothing(tmp_path: Path, postgresql: str, kafka: str) -> None:
    async with cluster(tmp_path, ONE_OF_EACH, dsn=postgresql, kafka=kafka, chance=seeded()) as house:
        await house.start()
        await house.until_first_polls()

        await killed_at_random(house, kills=4)

        await end(house, tmp_path / "anew", repeats=4)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
async def test_fifty_kills_of_a_cluster_lose_and_double_nothing(tmp_path: Path, postgresql: str, kafka: str) -> None:
    async with cluster(tmp_path, ONE_OF_EACH, dsn=postgresql, kafka=kafka, chance=seeded()) as house:
        await house.start()
        await house.until_first_polls()

        await killed_at_random(house, kills=FAULTS)

        await end(house, tmp_path / "anew", repeats=FAULTS)
        print(f"{FAULTS} kills, {house.room.published} articles, {house.heard.total()} sends")


@pytest.mark.chaos
@pytest.mark.timeout(3600)
async def test_three_workers_with_forty_kills_and_pauses_lose_and_double_nothing(
    tmp_path: Path, postgresql: str, kafka: str
) -> None:
    async with cluster(tmp_path, THREE_DETECTORS, dsn=postgresql, kafka=kafka, chance=seeded()) as house:
        await house.start()
        await house.until_first_polls()
        readers = [worker for worker in house.workers.values() if worker.stages == ("detectors",)]

        for _ in range(40):
            house.room.publish(ARTICLES_A_FAULT)
            worker = house.chance.choice(readers)
            await asyncio.sleep(house.chance.uniform(0.0, 2.0))
            if house.chance.random() < 0.5:
                await worker.kill()
                await worker.start()
            else:
                await paused(worker, house.chance.uniform(0.2, 12.0))

        await end(house, tmp_path / "anew", repeats=0)


async def paused(worker: Service, seconds: float) -> None:
    """Stop the parent and its children for a while, as a machine that swaps or migrates does."""
    pids = [worker.pid, *worker.descendants()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(seconds)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.chaos
@pytest.mark.parametrize("point", CLUSTER_POINTS)
@pytest.mark.timeout(600)
async def test_a_zombie_that_stopped_at_any_point_is_taken_over_from_and_fenced(
    tmp_path: Path, postgresql: str, kafka: str, point: str
) -> None:
    async with cluster(tmp_path, STANDING_BY, dsn=postgresql, kafka=kafka, chance=seeded()) as house:
        first = next(worker for worker in house.workers.values() if "incidents" in worker.stages)
        at = SENDS if point.endswith("send") else COMMITS
        first.launched_by = ("-m", "tests.faults.launcher", json.dumps({"stop": point, "at": at}))
        await first.start_and_wait(60.0)
        await house.start()
        await house.until_first_polls()
        before = holders(house)

        stopped_at = None
        async with asyncio.timeout(120):
            while stopped_at is None:
                house.room.publish(20)
                await asyncio.sleep(0.5)
                if is_stopped(first.pid):
                    stopped_at = time.monotonic()
        async with asyncio.timeout(TAKEN_OVER_S * 2):
            while any(holders(house)[name] == before[name] for name in ("incidents", "notifier")):
                await asyncio.sleep(0.1)
        took_s = time.monotonic() - stopped_at
        house.room.publish(200)
        await house.until_accepted()
        await asyncio.sleep(2.0)
        os.kill(first.pid, signal.SIGCONT)
        house.room.publish(100)

        print(f"stopped {point}: taken over after {took_s:.1f} s")
        assert took_s < TAKEN_OVER_S
        await end(house, tmp_path / "anew", repeats=2)


def holders(house: Cluster) -> dict[str, str]:
    return dict(house.ask("SELECT name, holder FROM leases WHERE name NOT LIKE 'ingest/%%'"))


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "T"
