"""Brokers that end, die, sleep and come back: nothing is lost, the flow is back soon, and the log stays readable."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from tests.kafka.crew import Crew, a_crew, flowing
from tests.kafka.houses import a_kafka_house
from tests.kafka.test_rebalance import all_worked_on
from tests.servers.coming_back import opened
from tests.servers.fixtures import leave_out, unhurried
from tests.servers.kafka import KafkaBroker, KafkaCluster, kafka_broker
from tests.servers.setting_up import LeftOut

log = structlog.get_logger()

BACK_S = 5.0
LINES = 100  # a minute
AWAY_S = 4.0
LONG_AWAY_S = 45.0


@pytest.fixture
def broker(pytestconfig: pytest.Config) -> Iterator[KafkaBroker]:
    """A broker that only this test knows."""
    try:
        with unhurried(pytestconfig):
            house = kafka_broker()
            value = house.__enter__()
    except LeftOut as error:
        leave_out(pytestconfig, error)
    yield value
    house.__exit__(None, None, None)


async def back_after(crew: Crew, since: float) -> float:
    async with asyncio.timeout(20):
        while True:
            after = [at for at, _, _ in crew.said() if at > since]
            if after:
                return min(after) - since
            await asyncio.sleep(0.05)


def most_lines_a_minute(crew: Crew) -> int:
    lines = [json.loads(line) for file in crew.folder.glob("*.log") for line in file.read_text().splitlines()]
    assert all("event" in line for line in lines)
    minutes = [line["time"][:16] for line in lines]
    return max(minutes.count(minute) for minute in minutes)


@pytest.mark.timeout(150)
@pytest.mark.parametrize("away_s", [AWAY_S, pytest.param(LONG_AWAY_S, marks=pytest.mark.chaos)])
@pytest.mark.parametrize("end", [KafkaBroker.terminate, KafkaBroker.kill], ids=["ended", "killed"])
async def test_the_flow_is_back_when_the_broker_is(
    postgresql: str,
    broker: KafkaBroker,
    tmp_path: Path,
    end: Callable[[KafkaBroker], None],
    away_s: float,
) -> None:
    async with a_kafka_house(postgresql, broker.bootstrap, relay=False, partitions=4, session="10s") as house:
        with a_crew(tmp_path, postgresql, house, "relay") as crew:
            async with flowing(house) as put:
                await crew.hire()
                await asyncio.sleep(1)
                await asyncio.to_thread(end, broker)
                await asyncio.sleep(away_s)
                open_at = await opened(broker)
                back = await back_after(crew, open_at)
                await asyncio.sleep(2)
            await all_worked_on(crew, put)
            lines = most_lines_a_minute(crew)

    log.info("measured", back_s=round(back, 2), log_lines_a_minute=lines)
    assert back <= BACK_S
    assert lines < LINES


@pytest.mark.chaos
@pytest.mark.timeout(150)
async def test_a_broker_that_sleeps_and_wakes_is_gone_on_with(
    postgresql: str, broker: KafkaBroker, tmp_path: Path
) -> None:
    async with a_kafka_house(postgresql, broker.bootstrap, relay=False, partitions=2, session="10s") as house:
        with a_crew(tmp_path, postgresql, house, "relay") as crew:
            async with flowing(house) as put:
                await crew.hire()
                await asyncio.sleep(1)
                broker.pause()
                await asyncio.sleep(14)  # longer than a request may take
                broker.resume()
                back = await back_after(crew, time.monotonic())
                await asyncio.sleep(1)
            await all_worked_on(crew, put)
            lines = most_lines_a_minute(crew)

    assert back <= BACK_S
    assert lines < LINES


@pytest.mark.chaos
@pytest.mark.timeout(180)
async def test_one_of_three_brokers_may_be_gone(postgresql: str, kafka_cluster: KafkaCluster, tmp_path: Path) -> None:
    addresses = kafka_cluster.addresses
    async with a_kafka_house(
        postgresql, addresses[0], relay=False, brokers=addresses, partitions=6, replication=3, session="10s"
    ) as house:
        with a_crew(tmp_path, postgresql, house, "relay") as crew:
            async with flowing(house) as put:
                await crew.hire()
                await asyncio.sleep(2)
                for gone in kafka_cluster.brokers[:2]:
                    await asyncio.to_thread(gone.kill)
                    await asyncio.sleep(8)
                    said = {where for at, where, _ in crew.said() if at > time.monotonic() - 2}
                    assert said == set(range(6))
                    await asyncio.to_thread(kafka_cluster.heal)
                    await asyncio.sleep(1)
            await all_worked_on(crew, put)
            lines = most_lines_a_minute(crew)

    assert lines < LINES
