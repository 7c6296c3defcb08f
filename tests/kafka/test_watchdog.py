"""A client that is stuck and does not know it is found out and replaced; one that has nothing to do is not."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest

from tests.kafka.houses import a_kafka_house, relaying
from tests.kafka.test_reader import emit, first, put
from tests.kafka.test_relay import there
from tocsin import metrics
from tocsin.clock import SystemClock
from tocsin.stream.member import KafkaReader
from tocsin.stream.port import ARTICLES
from tocsin.stream.relay import Relay


def rebuilds(group: str) -> float:
    return float(metrics.CONSUMER_REBUILDS.labels(group=group, topic=ARTICLES)._value.get())


async def stop_fetching(reader: KafkaReader) -> None:
    """Leave *reader* with a client whose inner loop is gone, as after an error that it swallowed."""
    task = reader._consumer._fetcher._fetch_task
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "alone"])
async def test_a_reader_that_is_stuck_while_records_wait_is_replaced(postgresql: str, kafka: str, shared: bool) -> None:
    async with (
        a_kafka_house(postgresql, kafka) as house,
        house.stream.reader("stuck", ARTICLES, shared=shared) as reader,
    ):
        await put(house, "a")
        await first(reader, 1)
        before, generation = rebuilds("stuck"), reader.generation(0)
        await stop_fetching(reader)
        await put(house, "b")
        began = time.monotonic()

        found = await first(reader, 1)

        assert [record.id for record in found] == ["b"]  # and not once more what was fetched before
        assert time.monotonic() - began < 8  # 3 s on a machine that has nothing else to do
        assert rebuilds("stuck") == before + 1
        assert reader.generation(0) == generation  # the cursor expected there is as good as it was


async def test_a_reader_that_has_nothing_to_read_is_let_be(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka) as house, house.stream.reader("idle", ARTICLES, shared=True) as reader:
        await put(house, "a")
        await first(reader, 1)
        consumer = reader._consumer

        await reader.fetch(most=1, timeout_s=6)

        assert reader._consumer is consumer


async def test_a_member_that_is_fenced_twice_joins_anew(postgresql: str, kafka: str) -> None:
    async with (
        a_kafka_house(postgresql, kafka, session="2s", heartbeat="300ms") as house,
        house.stream.reader("g", ARTICLES, shared=True) as forgotten,
    ):
        await put(house, "a", "b")
        await first(forgotten, 2)
        coordinator = forgotten._consumer._coordinator
        for task in (coordinator._coordination_task, coordinator._heartbeat_task):
            task.cancel()  # it beats no more: the group goes on without it, and it is not told
            await asyncio.wait([task])
        async with house.stream.reader("g", ARTICLES, shared=True) as other:
            await first(other, 2)
        consumer = forgotten._consumer

        await forgotten.rewind()
        once = forgotten._consumer
        await forgotten.rewind()

        assert once is consumer
        assert [record.id for record in await first(forgotten, 2)] == ["a", "b"]
        assert forgotten._consumer is not consumer


async def test_a_producer_that_is_stuck_is_replaced(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka, relay=False) as house:
        made = []
        make = house.stream.brokers.producer

        def producer(**arguments: object) -> object:
            made.append(make(**arguments))
            return made[-1]

        house.stream.brokers.producer = producer  # type: ignore[method-assign]  # to get at it
        async with relaying(Relay(house.stream, clock=SystemClock()), house.store):
            await house.store.write(partial(emit, name="a"))
            await house.relayed()
            stuck = made[-1]._sender._in_flight  # it waits for ever for the answer of each of these
            stuck.update(broker.nodeId for broker in made[-1].client.cluster.brokers())

            await house.store.write(partial(emit, name="b"))
            async with asyncio.timeout(15):
                await house.relayed()

        assert [record.id for record in await there(house)] == ["a", "b"]
        assert len(made) == 2
