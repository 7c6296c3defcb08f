"""Kafka and PostgreSQL end, die and are away under a cluster that reads a newsroom; one of its processes sleeps."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest
import structlog

from tests.faults.cluster_house import Cluster, cluster
from tests.faults.harness import Service
from tests.faults.test_cluster_kills import ONE_OF_EACH, end, seeded
from tests.servers.coming_back import Server, opened
from tests.servers.kafka import KafkaBroker, KafkaCluster
from tests.servers.postgresql import PostgresqlServer

log = structlog.get_logger()

BACK_S: Final = 5.0
LINES: Final = 100  # a minute and process
AWAY_S: Final = 3.0
LONG_AWAY_S: Final = 45.0
ASLEEP_S: Final = 30.0
TAKEN_OVER_S: Final = 10.0
LIMIT_S: Final = 60.0
GONE_S: Final = 15.0  # several times what its brokers take to miss one of them
PASSED: Final = "SELECT partition, position FROM stream_cursors WHERE consumer_group = 'detectors'"
CROSSED: Final = "SELECT coalesce(sum(position), 0) FROM stream_cursors WHERE consumer_group = 'detectors'"


@asynccontextmanager
async def news(house: Cluster) -> AsyncIterator[None]:
    """Publish forty articles a second meanwhile."""

    async def publish() -> None:
        while True:
            house.room.publish(10)
            await asyncio.sleep(0.25)

    task = asyncio.ensure_future(publish())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def crossed(house: Cluster) -> int | None:
    """Return how many articles the detectors have passed; None while nobody answers."""
    try:
        return house.count(CROSSED)
    except psycopg.OperationalError:
        return None


def told(house: Cluster) -> int:
    return len(house.alerts.read_bytes().splitlines()) if house.alerts.exists() else 0


async def back_after(house: Cluster, since: float, before: int, told_before: int) -> tuple[float, float]:
    """Return how long after *since* the detectors wrote a batch, and how long until an alert was told."""
    batch = 0.0
    async with asyncio.timeout(LIMIT_S):
        while told(house) <= told_before or not batch:
            now = crossed(house)
            if not batch and now is not None and now > before:
                batch = time.monotonic() - since
            await asyncio.sleep(0.02)
    return round(batch, 2), round(time.monotonic() - since, 2)


def lines_a_minute(house: Cluster) -> Mapping[str, int]:
    """Return the most that each process logged in any minute, but for the alerts, which are what it is there for."""
    found = {}
    for name, worker in house.workers.items():
        told = [line for line in worker.lines() if line.get("event") != "alert rung"]
        minutes = Counter(str(line.get("time", ""))[:16] for line in told)
        stray = [
            line for line in worker.log_file.read_text("utf-8").splitlines() if not line.startswith(("{", "tocsin: "))
        ]
        assert stray == [], f"{name} wrote lines that are no records"
        found[name] = max(minutes.values(), default=0)
    return found


async def away(house: Cluster, server: Server, stop: Callable[[], None], seconds: float) -> tuple[float, float]:
    """Have *server* go away and come back under the flow of news; return when that goes on again."""
    await asyncio.sleep(1.5)
    await asyncio.to_thread(stop)
    await asyncio.sleep(seconds)
    told_before, before = told(house), crossed(house)
    open_at = await opened(server)
    if before is None:  # it is the database that was away
        async with asyncio.timeout(LIMIT_S):
            while (before := crossed(house)) is None:
                await asyncio.sleep(0.01)
    return await back_after(house, open_at, before, told_before)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_a_cluster_outlives_a_broker_and_a_database_that_are_killed(
    tmp_path: Path, own_postgresql: PostgresqlServer, own_kafka: KafkaBroker
) -> None:
    dsn = own_postgresql.create_database()
    async with cluster(tmp_path, ONE_OF_EACH, dsn=dsn, kafka=own_kafka.bootstrap, chance=seeded()) as house:
        await house.start()
        await house.until_first_polls()

        async with news(house):
            broker = await away(house, own_kafka, own_kafka.kill, AWAY_S)
            database = await away(house, own_postgresql, lambda: own_postgresql.stop("immediate"), 0.5)
        lines = lines_a_minute(house)

        log.info("measured", broker_back_s=broker, database_back_s=database, lines=lines)
        assert max(lines.values()) < LINES
        await end(house, tmp_path / "anew", repeats=2)


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("away_s", [AWAY_S, LONG_AWAY_S])
@pytest.mark.parametrize("stop", [KafkaBroker.terminate, KafkaBroker.kill], ids=["ended", "killed"])
async def test_the_flow_is_back_when_the_broker_is(
    tmp_path: Path, postgresql: str, own_kafka: KafkaBroker, stop: Callable[[KafkaBroker], None], away_s: float
) -> None:
    async with cluster(tmp_path, ONE_OF_EACH, dsn=postgresql, kafka=own_kafka.bootstrap, chance=seeded()) as house:
        await house.start()
        await house.until_first_polls()

        async with news(house):
            batch_s, alert_s = await away(house, own_kafka, lambda: stop(own_kafka), away_s)
            await asyncio.sleep(2.0)
        lines = lines_a_minute(house)

        log.info("measured", away_s=away_s, batch_s=batch_s, alert_s=alert_s, lines=lines)
        assert batch_s <= BACK_S
        assert max(lines.values()) < LINES
        await end(house, tmp_path / "anew", repeats=0)


async def longest_standstill(house: Cluster, seconds: float) -> float:
    """Watch for *seconds* and return the longest time in which the detectors passed nothing of some partition."""
    passed: dict[int, int] = {}
    moved: dict[int, float] = {}
    longest = 0.0
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        for partition, position in house.ask(PASSED):
            if passed.get(partition) != position:
                longest = max(longest, now - moved.get(partition, now))
                passed[partition], moved[partition] = position, now
        await asyncio.sleep(0.02)
    return round(max(longest, *(now - at for at in moved.values())), 2)


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_the_flow_goes_on_without_one_of_three_brokers_and_when_it_is_back(
    tmp_path: Path, postgresql: str, kafka_cluster: KafkaCluster
) -> None:
    async with cluster(
        tmp_path, ONE_OF_EACH, dsn=postgresql, kafka=kafka_cluster.bootstrap, chance=seeded(), replication=3
    ) as house:
        await house.start()
        await house.until_first_polls()

        found = []
        async with news(house):
            for broker in kafka_cluster.brokers:
                await asyncio.sleep(3.0)
                await asyncio.to_thread(broker.kill)
                standstill_s = await longest_standstill(house, GONE_S)
                told_before, before = told(house), crossed(house)
                assert before is not None
                batch_s, alert_s = await back_after(house, await opened(broker), before, told_before)
                found.append((standstill_s, batch_s, alert_s))
                await asyncio.to_thread(kafka_cluster.heal)
        lines = lines_a_minute(house)

        log.info("measured", standstill_batch_and_alert_s=found, lines=lines)
        assert max(standstill_s for standstill_s, _, _ in found) < GONE_S
        assert max(batch_s for _, batch_s, _ in found) <= BACK_S
        assert max(lines.values()) < LINES
        await end(house, tmp_path / "anew", repeats=0)


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_the_flow_is_back_when_the_database_is_five_times(
    tmp_path: Path, own_postgresql: PostgresqlServer, kafka: str
) -> None:
    dsn = own_postgresql.create_database()
    async with cluster(tmp_path, ONE_OF_EACH, dsn=dsn, kafka=kafka, chance=seeded()) as house:
        await house.start()
        await house.until_first_polls()

        async with news(house):
            found = [
                await away(
                    house, own_postgresql, lambda: own_postgresql.stop("immediate"), house.chance.uniform(0.0, 8.0)
                )
                for _ in range(5)
            ]
        lines = lines_a_minute(house)

        log.info("measured", batch_and_alert_s=found, lines=lines)
        assert max(batch_s for batch_s, _ in found) <= BACK_S
        assert max(lines.values()) < LINES
        await end(house, tmp_path / "anew", repeats=5)


def holder(house: Cluster, name: str) -> str:
    return str(house.ask("SELECT holder FROM leases WHERE name = %s", name)[0][0])


def whose(house: Cluster, name: str) -> Service:
    """Return the process that holds the lease *name*."""
    pid = int(holder(house, name).split(":")[-2])
    return next(worker for worker in house.workers.values() if worker.pid == pid)


@pytest.mark.chaos
@pytest.mark.timeout(400)
async def test_a_relay_that_sleeps_is_taken_over_from_and_skips_nothing(
    tmp_path: Path, postgresql: str, kafka: str
) -> None:
    parts = (("archive",), ("ingest",), ("detectors",), ("incidents", "notifier"))
    async with cluster(tmp_path, parts, dsn=postgresql, kafka=kafka, chance=seeded()) as house:
        first = next(iter(house.workers.values()))
        await first.start_and_wait(LIMIT_S)
        await house.start()
        await house.until_first_polls()
        before = holder(house, "relay")
        assert whose(house, "relay") is first

        async with news(house):
            await asyncio.sleep(house.chance.uniform(2.0, 4.0))
            pids = [first.pid, *first.descendants()]
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            asleep_at = time.monotonic()
            async with asyncio.timeout(LIMIT_S):
                while holder(house, "relay") == before:
                    await asyncio.sleep(0.05)
            taken_s = time.monotonic() - asleep_at
            passed = crossed(house) or 0
            async with asyncio.timeout(LIMIT_S):
                while (crossed(house) or 0) <= passed:
                    await asyncio.sleep(0.05)
            flow_s = time.monotonic() - asleep_at
            await asyncio.sleep(max(0.0, ASLEEP_S - flow_s))
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(3.0)

        log.info("measured", taken_s=round(taken_s, 2), flow_s=round(flow_s, 2), articles=house.room.published)
        assert taken_s <= TAKEN_OVER_S
        assert holder(house, "relay") != before
        await end(house, tmp_path / "anew", repeats=0)


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(len(ONE_OF_EACH)), ids=[stages[0] for stages in ONE_OF_EACH])
async def test_one_process_whose_clock_is_set_by_an_hour_holds_up_nobody(
    tmp_path: Path, postgresql: str, kafka: str, number: int
) -> None:
    wrong_by = tmp_path / "wrong_by"
    async with cluster(tmp_path, ONE_OF_EACH, dsn=postgresql, kafka=kafka, chance=seeded()) as house:
        worker = list(house.workers.values())[number]
        worker.launched_by = ("-m", "tests.faults.launcher", json.dumps({"clock": str(wrong_by)}))
        await house.start()
        await house.until_first_polls()

        times = []
        for seconds in (3600, 0, -3600):
            wrong_by.write_text(str(seconds), "utf-8")
            set_at = time.monotonic()
            house.room.publish(120)
            async with asyncio.timeout(LIMIT_S):
                await house.until_done()
            times.append(round(time.monotonic() - set_at, 1))

        log.info("measured", worker=worker.stages, through_s=times)
        await end(house, tmp_path / "anew", repeats=0)
