"""What a relay sends stays in order and is not sent for nothing, whatever fails on the way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs
from typing_extensions import override

from tests.kafka.houses import KafkaHouse, a_kafka_house, relaying
from tests.kafka.test_relay import StoreOfARelay, T, alter, shrink, there
from tests.servers.kafka import KafkaCluster
from tocsin import metrics
from tocsin.clock import SystemClock
from tocsin.errors import StoreUnavailable, StreamUnavailable
from tocsin.store.port import Store
from tocsin.store.tx import Tx
from tocsin.stream.flight import Sender
from tocsin.stream.port import ARTICLES, READINGS
from tocsin.stream.relay import Relay


async def put_out(house: KafkaHouse, count: int, *, size: int = 1_000, topic: str = READINGS, keys: int = 1) -> None:
    rows = [(f"k{n % keys}", f"{n}", b"x" * size) for n in range(count)]
    await house.store.write(lambda tx: tx.emit_all(topic, rows))


async def ids(house: KafkaHouse, topic: str = READINGS) -> list[str]:
    return [record.id for record in await there(house, topic)]


async def test_no_record_lands_before_an_earlier_one_of_its_key_whose_batch_was_refused(
    postgresql: str, kafka: str
) -> None:
    async with a_kafka_house(postgresql, kafka, relay=False) as house:
        await shrink(house, READINGS, "100000")  # so that the first batch is refused as a whole, and the rest is not
        await put_out(house, 270)

        async with relaying(Relay(house.stream, clock=SystemClock()), house.store):
            await house.relayed()

        found = await ids(house)

    assert list(dict.fromkeys(found)) == [f"{n}" for n in range(270)]


async def test_a_partition_that_fails_does_not_hold_up_the_others(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka, relay=False) as house:
        await shrink(house, READINGS, "5000")
        await put_out(house, 270)
        await put_out(house, 600, topic=ARTICLES)
        relay = Relay(house.stream, clock=SystemClock())

        async with relaying(relay, house.store):
            await house.relayed()

        found = await ids(house, ARTICLES)

    assert found == [f"{n}" for n in range(600)]  # once, and in order


LATE, BACK = "partitions do not take their records", "partitions take their records again"


@pytest.mark.timeout(120)
async def test_a_partition_without_a_leader_holds_nobody_up_and_is_gone_on_with(
    postgresql: str, kafka_cluster: KafkaCluster
) -> None:
    addresses = kafka_cluster.addresses
    async with a_kafka_house(postgresql, addresses[0], relay=False, brokers=addresses, partitions=3) as house:
        with capture_logs() as logs:
            async with relaying(Relay(house.stream, clock=SystemClock()), house.store):
                await asyncio.to_thread(kafka_cluster.brokers[0].kill)  # and with it the only replica of one of them
                keys = await put_out_everywhere(house, 1_500)
                async with asyncio.timeout(20):
                    while len(sound := await with_as_many(house, 1_500)) < 2:
                        await asyncio.sleep(0.1)
                await asyncio.sleep(12)  # longer than a batch lives in a client that gives it up
                late = metrics.RELAY_LATE._value.get()
                await asyncio.to_thread(kafka_cluster.heal)
                await house.relayed()

        await assert_all_in_order(house, keys, 1_500)

    assert late == 1
    told = [log.get("partitions") for log in logs if log["event"] in (LATE, BACK)]
    assert told[-2:] == [[f"{ARTICLES}-{at}" for at in keys.keys() - sound], None]
    assert "producer rebuilt" not in [log["event"] for log in logs]


@pytest.mark.timeout(120)
async def test_a_topic_with_too_few_replicas_holds_no_other_up_and_is_gone_on_with(
    postgresql: str, kafka_cluster: KafkaCluster
) -> None:
    addresses = kafka_cluster.addresses
    async with a_kafka_house(
        postgresql, addresses[0], relay=False, brokers=addresses, partitions=3, replication=3
    ) as house:
        await alter(house, ARTICLES, {"min.insync.replicas": "3"})
        async with relaying(Relay(house.stream, clock=SystemClock()), house.store):
            await asyncio.to_thread(kafka_cluster.brokers[0].kill)
            keys = await put_out_everywhere(house, 1_500)
            await asyncio.sleep(6)
            await put_out(house, 100)
            async with asyncio.timeout(10):
                while len(await ids(house)) < 100:
                    await asyncio.sleep(0.1)
            stuck = await house.store.read(lambda tx: tx.topics.lag())
            await asyncio.to_thread(kafka_cluster.heal)
            await house.relayed()

        assert await ids(house) == [f"{n}" for n in range(100)]
        await assert_all_in_order(house, keys, 1_500)

    assert max(stuck.values()) >= 3_000  # two partitions at least were led by brokers that waited for a third replica


async def put_out_everywhere(house: KafkaHouse, count: int) -> dict[int, str]:
    """Put out *count* articles for each of three partitions; return the key that each has."""
    keys = {Sender(house.stream).where(ARTICLES, f"k{n}")[1]: f"k{n}" for n in range(50)}
    for key in keys.values():
        rows = [(key, f"{key} {n}", b"x") for n in range(count)]
        await house.store.write(lambda tx, rows=rows: tx.emit_all(ARTICLES, rows))  # type: ignore[misc]  # mypy infers no lambda with defaults
    return keys


async def assert_all_in_order(house: KafkaHouse, keys: dict[int, str], count: int) -> None:
    for at, key in keys.items():
        found = [one.id for one in await there(house, ARTICLES, partition=at)]
        assert list(dict.fromkeys(found)) == [f"{key} {n}" for n in range(count)]


async def with_as_many(house: KafkaHouse, count: int) -> set[int]:
    """Return the partitions of articles that have so many records."""
    try:
        bounds = await house.stream.bounds(ARTICLES)
    except StreamUnavailable:
        return set()
    return {at for at, bound in bounds.items() if bound.end >= count}


class Flipping:
    """Brokers whose producers flip a bit of so many batches on their way."""

    def __init__(self, house: KafkaHouse, *, batches: int) -> None:
        self._make: Callable[..., Any] = house.stream.brokers.producer
        self.left = batches
        house.stream.brokers.producer = self  # type: ignore[method-assign]  # to get at what it sends

    def __call__(self, **arguments: object) -> Any:
        producer = self._make(**arguments)
        create = producer.create_batch

        def batch() -> Any:
            made = create()
            build = made._build

            def flipped() -> bytes:
                data = bytearray(build())
                if self.left > 0:
                    self.left -= 1
                    data[-1] ^= 1
                return bytes(data)

            made._build = flipped
            return made

        producer.create_batch = batch
        return producer


@pytest.mark.parametrize("count", [1, 20])
async def test_a_bit_that_is_flipped_on_the_way_costs_no_record(postgresql: str, kafka: str, count: int) -> None:
    async with a_kafka_house(postgresql, kafka, relay=False) as house:
        flipping = Flipping(house, batches=2)
        await put_out(house, count)

        async with relaying(Relay(house.stream, clock=SystemClock()), house.store):
            await house.relayed()

        found = await ids(house)
        letters = await house.store.read(lambda tx: tx.dead_letters.count())

    assert flipping.left == 0
    assert found == [f"{n}" for n in range(count)]
    assert letters == 0


async def test_a_record_that_arrives_corrupt_each_time_is_set_aside_and_the_next_goes_on(
    postgresql: str, kafka: str
) -> None:
    async with a_kafka_house(postgresql, kafka, relay=False) as house:
        Flipping(house, batches=3)
        await put_out(house, 1)

        async with relaying(Relay(house.stream, clock=SystemClock()), house.store):
            await house.relayed()
            await house.store.write(lambda tx: tx.emit(READINGS, key="k0", record_id="next", value=b"x"))
            await house.relayed()

        found = await ids(house)
        (letter,) = await house.store.read(lambda tx: tx.dead_letters.list())

    assert found == ["next"]
    assert (letter.record_id, letter.reason.split(":")[:2]) == (
        "0",
        ["Kafka refuses it", " CorruptRecordException"],
    )


class Blinking(StoreOfARelay):
    """A store that is away for the writes of these numbers."""

    def __init__(self, store: Store, *, away: range) -> None:
        super().__init__(store)
        self._away = away
        self.writes = 0

    @override
    async def write(self, unit: Callable[[Tx], T]) -> T:
        self.writes += 1
        if self.writes - 1 in self._away:
            raise StoreUnavailable("connection lost")
        return await super().write(unit)


async def test_what_has_landed_is_not_sent_again_when_the_store_was_away_for_a_moment(
    postgresql: str, kafka: str
) -> None:
    async with a_kafka_house(postgresql, kafka, relay=False) as house:
        await put_out(house, 2_500)
        blinking = Blinking(house.store, away=range(4))

        async with relaying(Relay(house.stream, clock=SystemClock()), blinking):
            await house.relayed()

        found = Counter(await ids(house))

    assert blinking.writes > 4
    assert len(found) == 2_500
    assert max(found.values()) == 1
