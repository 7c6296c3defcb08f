"""The relay: everything that was put out reaches the brokers in order, whatever is wrong with one record or with us."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from sqlalchemy import update
from typing_extensions import override

from tests.kafka.houses import KafkaHouse, a_kafka_house, a_stream, relaying
from tocsin import metrics
from tocsin.clock import SystemClock
from tocsin.dead_letters import Desk
from tocsin.errors import Fenced
from tocsin.store.migrate import migrate
from tocsin.store.port import Store
from tocsin.store.postgresql_session import engine
from tocsin.store.settings import Timeouts
from tocsin.store.topics import records
from tocsin.store.tx import Tx
from tocsin.stream import wire
from tocsin.stream.codec import decode_dead_letter
from tocsin.stream.port import ARTICLES, DEAD_LETTERS, READINGS, StreamRecord
from tocsin.stream.relay import Relay
from tocsin.testing import a_cluster_store

T = TypeVar("T")


def emit(tx: Tx, *, name: str, key: str = "", value: bytes = b"x", topic: str = ARTICLES) -> None:
    tx.emit(topic, key=key or name, record_id=name, value=value)


async def there(house: KafkaHouse, topic: str = ARTICLES, *, partition: int = 0) -> list[StreamRecord]:
    return list(await house.stream.fetch(topic, start=0, most=100_000, timeout_s=0, partition=partition))


async def test_what_is_put_out_comes_with_its_key_and_its_headers(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka) as house:
        await house.store.write(partial(emit, name="a", key="k", value=b"text"))
        await house.relayed()

        (found,) = await there(house)
        (message,) = await raw_messages(house)

    assert (found.id, found.key, found.value, found.partition, found.offset) == ("a", "k", b"text", 0, 0)
    assert dict(message.headers)["ce_type"] == b"org.tocsin.article.v1"
    assert wire.record_id(message.headers) == "a"


async def raw_messages(house: KafkaHouse) -> list[Any]:
    consumer = house.stream.brokers.consumer(group_id=None)
    await consumer.start()
    try:
        where = TopicPartition(f"{house.settings.prefix}{ARTICLES}", 0)
        consumer.assign([where])
        consumer.seek(where, 0)
        return list((await consumer.getmany(timeout_ms=5000))[where])
    finally:
        await consumer.stop()


async def test_records_of_one_key_stay_in_order_over_many_flights(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka, partitions=4) as house:
        for start in range(0, 3000, 500):
            rows = [(f"k{n % 7}", f"{n}", b"x" * 500) for n in range(start, start + 500)]
            await house.store.write(lambda tx, rows=rows: tx.emit_all(ARTICLES, rows))  # type: ignore[misc]  # mypy infers no lambda with defaults
        await house.relayed()

        found = [record for partition in range(4) for record in await there(house, partition=partition)]

    assert sorted(int(record.id) for record in found) == list(range(3000))
    for key in {record.key for record in found}:
        order = [int(record.id) for record in found if record.key == key]
        assert order == sorted(order)


async def test_a_number_that_is_committed_late_is_not_skipped(postgresql: str, kafka: str) -> None:
    database = engine(postgresql, timeouts=Timeouts(), name="test")
    migrate(database)
    async with a_kafka_house(postgresql, kafka) as house:
        with database.connect() as slow, database.connect() as quick:
            slow.exec_driver_sql("BEGIN")
            quick.exec_driver_sql("BEGIN")
            emit(Tx(slow, SystemClock()), name="first written, last committed")
            emit(Tx(quick, SystemClock()), name="second written, first committed")
            quick.exec_driver_sql("COMMIT")
            await house.store.write(partial(emit, name="third"))
            await house.relayed()
            before = [record.id for record in await there(house)]
            slow.exec_driver_sql("COMMIT")
            await house.store.write(lambda tx: tx.wake("outbox"))
            await house.relayed()

        after = [record.id for record in await there(house)]
    database.dispose()

    assert before == ["second written, first committed", "third"]
    assert after == [*before, "first written, last committed"]


async def test_what_another_process_puts_out_is_relayed_at_once(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka) as house, a_cluster_store(postgresql) as other:
        await house.store.write(partial(emit, name="warm"))
        await house.relayed()
        began = time.monotonic()

        await other.write(partial(emit, name="a"))
        await house.relayed()

        assert time.monotonic() - began < 2.0  # it looks of its own accord after 5 s only


async def test_it_tells_how_much_it_has_published(postgresql: str, kafka: str) -> None:
    published = metrics.RELAY_PUBLISHED.labels(topic=READINGS)._value
    async with a_kafka_house(postgresql, kafka, relay=False) as house:
        await house.store.write(lambda tx: tx.emit_all(READINGS, [("k", f"{n}", b"x") for n in range(7)]))
        before = published.get()

        async with relaying(Relay(house.stream, clock=SystemClock()), house.store):
            async with asyncio.timeout(10):
                while published.get() - before < 7:
                    await asyncio.sleep(0.005)

    assert published.get() - before == 7


async def test_a_record_too_large_for_kafka_is_set_aside_and_the_others_go_on(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka) as house:
        await house.store.write(partial(emit, name="a"))
        await house.store.write(partial(emit, name="large", key="k", value=b"x" * 2_000_000))
        await house.store.write(partial(emit, name="b"))
        await house.relayed()

        found = [record.id for record in await there(house)]
        (letter,) = await house.store.read(lambda tx: tx.dead_letters.list())
        (told,) = await there(house, DEAD_LETTERS)

    assert found == ["a", "b"]
    assert (letter.stage, letter.topic, letter.record_id, letter.key) == ("relay", ARTICLES, "large", "k")
    assert letter.reason == "2,000,000 bytes: Kafka takes 1,048,588 at most, headers included"
    assert decode_dead_letter(told.body).record_id == "large"


async def test_a_record_that_only_the_broker_refuses_is_found_and_set_aside(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka) as house:
        await shrink(house, ARTICLES, "50000")
        names = [f"{n:02}" for n in range(30)]

        def unit(tx: Tx) -> None:
            for name in names:
                emit(tx, name=name, value=b"x" * (60_000 if name == "17" else 1_000))

        await house.store.write(unit)
        await house.relayed()

        found = [record.id for record in await there(house)]
        (letter,) = await house.store.read(lambda tx: tx.dead_letters.list())

    assert list(dict.fromkeys(found)) == [name for name in names if name != "17"]
    assert letter.record_id == "17"
    assert letter.reason.startswith("Kafka refuses it: MessageSizeTooLargeError")


async def test_a_record_that_was_refused_is_brought_there_by_its_replay(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka) as house:
        await shrink(house, ARTICLES, "50000")
        await house.store.write(partial(emit, name="large", key="k", value=b"x" * 60_000))
        await house.relayed()
        (letter,) = await house.store.read(lambda tx: tx.dead_letters.list())
        await shrink(house, ARTICLES, "1000000")

        decision = await Desk(store=house.store, clock=SystemClock(), receivers=set).replay(letter.id, actor="me")
        await house.relayed()

        (record,) = await there(house)
        left = await house.store.read(lambda tx: tx.dead_letters.list())

    assert decision.obstacle is None
    assert (record.id, record.key, len(record.body)) == ("large", "k", 60_000)
    assert left == []


async def test_how_often_a_record_was_refused_is_counted_over_its_replays(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka) as house:
        desk = Desk(store=house.store, clock=SystemClock(), receivers=set)
        await shrink(house, ARTICLES, "50000")
        await house.store.write(partial(emit, name="large", key="k", value=b"x" * 60_000))
        times = []
        for _ in range(3):
            await house.relayed()
            (letter,) = await house.store.read(lambda tx: tx.dead_letters.list())
            times.append(letter.times)
            await desk.replay(letter.id, actor="me")
        await house.relayed()
        (letter,) = await house.store.read(lambda tx: tx.dead_letters.list())
        await shrink(house, ARTICLES, "1000000")
        await desk.replay(letter.id, actor="me")
        await house.relayed()

        waiting = await house.store.read(lambda tx: tx.replays.waiting())

    assert times == [1, 2, 3]
    assert waiting == {}


async def shrink(house: KafkaHouse, topic: str, size: str) -> None:
    await alter(house, topic, {"max.message.bytes": size})


async def alter(house: KafkaHouse, topic: str, settings: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(**house.stream.brokers.arguments())
    await admin.start()
    try:
        name = f"{house.settings.prefix}{topic}"
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, settings)])
    finally:
        await admin.close()
    await asyncio.sleep(0.5)


async def test_a_row_that_was_damaged_in_the_database_is_set_aside(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka, relay=False) as house:
        await house.store.write(partial(emit, name="a"))
        await house.store.write(partial(emit, name="flipped", value=b"something"))
        await house.store.write(partial(emit, name="b"))
        flip = update(records).where(records.c.record_id == "flipped").values(value=b"some0hing\x00\x00\x00\x00")
        await house.store.write(lambda tx: tx.conn.execute(flip).rowcount)

        async with relaying(Relay(house.stream, clock=SystemClock()), house.store):
            await house.relayed()

        found = [record.id for record in await there(house)]
        (letter,) = await house.store.read(lambda tx: tx.dead_letters.list())

    assert found == ["a", "b"]
    assert (letter.record_id, letter.reason) == ("flipped", "checksum does not match")


class StoreOfARelay:
    """A store as it is, to have something happen to it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def write(self, unit: Callable[[Tx], T]) -> T:
        return await self._store.write(unit)

    async def read(self, query: Callable[[Tx], T]) -> T:
        return await self._store.read(query)

    def mark(self, name: str) -> int:
        return self._store.mark(name)

    def bytes_on_disk(self) -> int:
        return self._store.bytes_on_disk()

    async def wait(self, name: str, mark: int, *, timeout_s: float) -> None:
        await self._store.wait(name, mark, timeout_s=timeout_s)


class LostRight(StoreOfARelay):
    """Lets the first so many writes through, as a relay sees it that was paused and has lost its lease."""

    def __init__(self, store: Store, *, writes: int) -> None:
        super().__init__(store)
        self._left = writes

    @override
    async def write(self, unit: Callable[[Tx], T]) -> T:
        self._left -= 1
        if self._left < 0:
            raise Fenced("another relay has the lease")
        return await super().write(unit)


async def test_a_relay_that_has_lost_its_right_leaves_nothing_out_and_repeats_under_the_same_id(
    postgresql: str, kafka: str
) -> None:
    async with a_kafka_house(postgresql, kafka, relay=False) as house:
        rows = [(f"k{n}", f"{n}", b"x") for n in range(1500)]
        await house.store.write(lambda tx: tx.emit_all(READINGS, rows))

        with pytest.raises(Fenced):
            await Relay(house.stream, clock=SystemClock()).run(LostRight(house.store, writes=1))
        async with relaying(Relay(house.stream, clock=SystemClock()), house.store):
            await house.relayed()

        found = [record.id for record in await there(house, READINGS)]

    assert list(dict.fromkeys(found)) == [name for _, name, _ in rows]
    assert max(Counter(found).values()) == 2  # sent by both, between the acknowledgement and the deletion


async def test_two_relays_at_once_leave_nothing_out(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka) as house:
        async with a_stream(house.settings, house.store) as other:
            await other.prepare()
            async with relaying(Relay(other, clock=SystemClock()), house.store):
                for start in range(0, 1000, 100):
                    rows = [(f"k{n}", f"{n}", b"x") for n in range(start, start + 100)]
                    await house.store.write(lambda tx, rows=rows: tx.emit_all(ARTICLES, rows))  # type: ignore[misc]  # mypy infers no lambda with defaults
                await house.relayed()

        found = {record.id for record in await there(house)}

    assert found == {f"{n}" for n in range(1000)}


async def test_a_relay_that_is_ended_hands_over_without_repeating(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka, relay=False) as house:
        for turn in range(5):
            rows = [(f"k{n}", f"{turn} {n}", b"x" * 200) for n in range(800)]
            await house.store.write(lambda tx, rows=rows: tx.emit_all(ARTICLES, rows))  # type: ignore[misc]  # mypy infers no lambda with defaults
            async with relaying(Relay(house.stream, clock=SystemClock()), house.store):
                await asyncio.sleep(0.03 * turn)
        async with relaying(Relay(house.stream, clock=SystemClock()), house.store):
            await house.relayed()

        found = [record.id for record in await there(house)]

    assert len(found) == len(set(found)) == 4000
