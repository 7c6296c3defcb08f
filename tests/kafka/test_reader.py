"""What a reader on the brokers does beyond the contract: gone, strange and damaged records, bounds, lag."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from structlog.testing import capture_logs

from tests.kafka.houses import KafkaHouse, a_kafka_house, a_stream
from tests.servers.fixtures import or_left_out
from tests.servers.kafka import KafkaBroker, kafka_broker
from tocsin import metrics
from tocsin.errors import Stop
from tocsin.store.tx import Tx
from tocsin.stream.member import KafkaReader
from tocsin.stream.membership import FETCH_BYTES, PARTITION_FETCH_BYTES
from tocsin.stream.port import ARTICLES, READINGS, StreamRecord


def emit(tx: Tx, *, name: str, value: bytes = b"x", topic: str = ARTICLES) -> None:
    tx.emit(topic, key=name, record_id=name, value=value)


async def put(house: KafkaHouse, *names: str, value: bytes = b"x") -> None:
    await house.store.write(
        lambda tx: tx.emit_all(ARTICLES, [(name, name, value) for name in names])  # one unit, in this order
    )
    await house.relayed()


async def first(reader: KafkaReader, count: int) -> list[StreamRecord]:
    found: list[StreamRecord] = []
    async with asyncio.timeout(15):
        while len(found) < count:
            found += await reader.fetch(most=count - len(found), timeout_s=5)
    return found


@asynccontextmanager
async def admin(house: KafkaHouse) -> AsyncIterator[Any]:
    client = AIOKafkaAdminClient(**house.stream.brokers.arguments())
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def forget(house: KafkaHouse, *, before: int) -> None:
    """Have the broker do what retention does: forget what is older."""
    async with admin(house) as client:
        where = TopicPartition(f"{house.settings.prefix}{ARTICLES}", 0)
        await client.delete_records({where: RecordsToDelete(before)})


async def test_records_that_are_gone_raise_an_alarm_and_the_flow_goes_on(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka) as house:
        await put(house, *(f"{n}" for n in range(10)))
        await house.store.write(lambda tx: tx.advance("g", ARTICLES, 0, expect=0, to=3))
        await forget(house, before=7)
        gone = metrics.RECORDS_GONE.labels(group="g", topic=ARTICLES)
        before = gone._value.get()

        with capture_logs() as said:
            async with house.stream.reader("g", ARTICLES) as reader:
                found = await first(reader, 3)

    assert [record.id for record in found] == ["7", "8", "9"]
    assert gone._value.get() - before == 4
    (alarm,) = [line for line in said if line["log_level"] == "error"]
    assert (alarm["event"], alarm["gone"], alarm["cursor"]) == ("records gone before they were read", 4, 3)


async def test_a_group_that_begins_when_the_oldest_are_gone_raises_no_alarm(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka) as house:
        await put(house, *(f"{n}" for n in range(10)))
        await forget(house, before=7)

        with capture_logs() as said:
            async with house.stream.reader("new", ARTICLES, shared=True) as reader:
                found = await first(reader, 3)

    assert [record.id for record in found] == ["7", "8", "9"]
    assert not [line for line in said if line["log_level"] == "error"]


async def test_a_topic_that_was_made_anew_is_read_from_its_beginning(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka) as house:
        await put(house, "a", "b")
        await house.store.write(lambda tx: tx.advance("g", ARTICLES, 0, expect=0, to=1000))

        with capture_logs() as said:
            async with house.stream.reader("g", ARTICLES) as reader:
                found = await first(reader, 2)
                cursor = reader.cursor(0)

    assert [record.id for record in found] == ["a", "b"]
    assert cursor == 1000  # what the first write must find there
    (alarm,) = [line for line in said if line["log_level"] == "error"]
    assert alarm["event"] == "cursor is beyond the end of the partition, everything still there is read again"
    assert (alarm["cursor"], alarm["end"], alarm["go_on_at"]) == (1000, 2, 0)


async def test_a_record_that_is_none_of_ours_is_damaged_and_the_others_are_not(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka) as house:
        name = f"{house.settings.prefix}{ARTICLES}"
        producer = house.stream.brokers.producer()
        await producer.start()
        await producer.send_and_wait(name, b"who knows", key=b"\xff")
        await producer.send_and_wait(name, None, key=b"k", headers=[("ce_id", b"tombstone")])
        await producer.send_and_wait(name, b"bad id", key=b"k", headers=[("ce_id", b"\xff")])
        await producer.stop()
        await put(house, "a")

        async with house.stream.reader("g", ARTICLES) as reader:
            found = await first(reader, 4)

    assert [record.value for record in found] == [None, None, None, b"x"]
    assert [record.id for record in found] == ["0@0", "tombstone", "0@2", "a"]
    assert found[0].damage == "it has no ce_id header, so none of us made it"
    assert found[1].damage == "it has no value"


async def test_what_is_asked_for_is_bounded_whatever_waits(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka, partitions=6) as house:
        for start in range(0, 60, 6):
            names = [f"{n}" for n in range(start, start + 6)]
            await put(house, *names, value=b"x" * 900_000)
        tracemalloc.start()
        try:
            async with house.stream.reader("g", ARTICLES, shared=True) as reader:
                await first(reader, 1)
                tracemalloc.reset_peak()
                await asyncio.sleep(2)  # whoever works on it is slow
                _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    # One answer of the broker as it comes in and as it is kept, and what each partition was fetched before.
    assert peak < 2 * FETCH_BYTES + 6 * PARTITION_FETCH_BYTES
    assert peak < 54_000_000 / 2


async def test_lag_counts_what_waits_on_either_side(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka, partitions=3) as house:
        await put(house, *(f"{n}" for n in range(30)))
        ends = {at: bounds.end for at, bounds in (await house.stream.bounds(ARTICLES)).items()}
        await house.store.write(lambda tx: tx.advance("g", ARTICLES, 0, expect=0, to=ends[0]))
        some = max(ends[1] - 2, 0)
        await house.store.write(lambda tx: tx.advance("g", ARTICLES, 1, expect=0, to=some))

        lag = await house.stream.lag()

    assert lag["g", ARTICLES] == ends[1] - some + ends[2]


async def test_a_group_that_never_began_has_every_partition_before_it(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka, partitions=3) as house:
        await put(house, *(f"{n}" for n in range(30)))
        await house.store.write(lambda tx: tx.topics.expect({ARTICLES: ("g",)}))

        lag = await house.stream.lag()

    assert lag["g", ARTICLES] == 30


async def test_lag_counts_what_the_relay_has_before_it(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka, relay=False) as house:
        await house.store.write(lambda tx: tx.emit_all(READINGS, [("k", f"{n}", b"x") for n in range(5)]))

        assert await house.stream.lag() == {("relay", READINGS): 5}


async def test_two_members_share_the_partitions_and_one_takes_over_at_once(postgresql: str, kafka: str) -> None:
    async with (
        a_kafka_house(postgresql, kafka, partitions=4) as house,
        house.stream.reader("g", ARTICLES, shared=True) as stays,
    ):
        await stays.fetch(most=1, timeout_s=1)
        async with a_stream(house.settings, house.store) as other:
            await other.prepare()
            async with other.reader("g", ARTICLES, shared=True) as leaves:
                async with asyncio.timeout(10):
                    while not leaves._positions or len(stays._positions) == 4:
                        await leaves.fetch(most=1, timeout_s=0.1)
                        await stays.fetch(most=1, timeout_s=0.1)
                shares = (set(stays._positions), set(leaves._positions))
        async with asyncio.timeout(2):  # it has said good-bye: nobody waits for the session to time out
            while len(stays._positions) < 4:
                await stays.fetch(most=1, timeout_s=0.1)

    assert sorted([*shares[0], *shares[1]]) == [0, 1, 2, 3]
    assert len(shares[0]) == 2


async def test_a_partition_that_stays_keeps_its_generation_and_one_that_comes_has_a_new_one(
    postgresql: str, kafka: str
) -> None:
    async with a_kafka_house(postgresql, kafka, partitions=2) as house:
        await put(house, *(f"{n}" for n in range(20)))
        async with house.stream.reader("g", ARTICLES, shared=True) as reader:
            await first(reader, 20)
            before = {one: reader.generation(one) for one in (0, 1)}
            async with house.stream.reader("g", ARTICLES, shared=True) as other:
                while not other._positions or len(reader._positions) == 2:
                    await other.fetch(most=1, timeout_s=0.1)
                    await reader.fetch(most=1, timeout_s=0.1)
                (stayed,) = reader._positions
            async with asyncio.timeout(10):
                while len(reader._positions) < 2:
                    await reader.fetch(most=1, timeout_s=0.1)

    assert reader.generation(stayed) == before[stayed]
    assert reader.generation(1 - stayed) == before[1 - stayed] + 1


async def test_records_that_are_given_back_come_again_though_a_rebalance_came_between(
    postgresql: str, kafka: str
) -> None:
    async with a_kafka_house(postgresql, kafka) as house:
        await put(house, *(f"{n}" for n in range(10)))
        async with house.stream.reader("g", ARTICLES, shared=True) as reader:
            await first(reader, 10)
            generation = reader.generation(0)
            reader.taken_away()
            reader.given({0})
            reader.seek(0, 1)
            again = await first(reader, 9)

            assert reader.generation(0) == generation

    assert [record.offset for record in again] == list(range(1, 10))


async def test_records_are_not_given_back_of_a_partition_that_went_to_another(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka) as house:
        await put(house, "a", "b")
        async with house.stream.reader("g", ARTICLES, shared=True) as reader:
            await first(reader, 2)
            reader.given(())
            reader.seek(0, 1)
            await house.store.write(lambda tx: tx.advance("g", ARTICLES, 0, expect=0, to=2))
            reader.given({0})
            await put(house, "c")
            found = await first(reader, 1)

    assert [record.id for record in found] == ["c"]


async def test_a_batch_that_the_disk_has_damaged_is_set_aside_record_by_record(
    postgresql: str, kafka_shared: KafkaBroker
) -> None:
    async with a_kafka_house(postgresql, kafka_shared.bootstrap) as house:
        await put(house, "a")
        await put(house, "b", "c")
        await put(house, "d")
        (segment,) = segments(kafka_shared, f"{house.settings.prefix}{ARTICLES}-0")
        log = bytearray(segment.read_bytes())
        at = log.rindex(b"ce_id\x02c") + 3  # in the header of a record, in the middle of a batch
        with segment.open("r+b") as file:
            file.seek(at)
            file.write(b"#")

        async with house.stream.reader("g", ARTICLES) as reader:
            found = await first(reader, 4)
        seen = await house.stream.fetch(ARTICLES, start=0, most=9, timeout_s=0)
        few = await house.stream.fetch(ARTICLES, start=2, most=1, timeout_s=0)

    assert seen == found
    assert few == found[2:3]
    assert [record.value for record in found] == [b"x", None, None, b"x"]
    assert [record.offset for record in found] == [0, 1, 2, 3]
    assert found[1].damage == "the checksum of its batch on the broker does not match"


def segments(broker: KafkaBroker, partition: str) -> list[Path]:
    return [file for file in broker.folder.rglob(f"{partition}/*.log") if file.stat().st_size]


async def test_a_reader_waits_until_the_topics_are_known_to_be_good(postgresql: str, kafka: str) -> None:
    async with a_kafka_house(postgresql, kafka) as house, a_stream(house.settings, house.store) as other:
        await put(house, "a")
        async with other.reader("g", ARTICLES) as reader:
            before = await reader.fetch(most=1, timeout_s=0.3)
            keeping = asyncio.ensure_future(other.keep())
            after = await first(reader, 1)
            keeping.cancel()
            await asyncio.wait([keeping])

    assert list(before) == []
    assert [record.id for record in after] == ["a"]


@pytest.mark.parametrize("vendor", ["aiokafka", "psycopg", "tocsin.stream.kafka"])
def test_a_single_process_imports_nothing_of_a_cluster(vendor: str) -> None:
    code = f"import sys, tocsin.app, tocsin.settings; sys.exit({vendor!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


async def test_a_session_shorter_than_the_brokers_allow_is_a_reason_to_stop_and_says_what_to_change(
    postgresql: str, pytestconfig: pytest.Config
) -> None:
    as_it_comes = {"group.min.session.timeout.ms": "6000"}
    with or_left_out(pytestconfig, lambda: kafka_broker(settings=as_it_comes)) as broker:
        async with (
            a_kafka_house(postgresql, broker.bootstrap, relay=False, session="3s") as house,
            house.stream.reader("g", ARTICLES, shared=True) as reader,
        ):
            with pytest.raises(Stop) as caught:
                await first(reader, 1)

    assert str(caught.value).startswith("tocsin.kafka.session: the brokers refuse 3 s")
    assert "group.min.session.timeout.ms (6000 unless somebody set it)" in str(caught.value)
