"""What every stream adapter must do, and the consumer on top of it; the next adapter passes these tests unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from tests.kafka.houses import a_kafka_house
from tocsin.consumer import Unit, consume, run_timers
from tocsin.errors import JobUnprepared, RecordUnreadable, SetAside, Stop
from tocsin.records import Article
from tocsin.store.port import Store
from tocsin.stream.codec import decode_article, decode_reading, encode
from tocsin.stream.embedded import EmbeddedStream
from tocsin.stream.port import ARTICLES, READINGS, RECORD_LIMIT_BYTES, Stream, StreamRecord
from tocsin.testing import HOUR, NOON, FakeClock, a_detection, a_reading, a_store, an_article

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.store.timers import Timer
    from tocsin.store.tx import Tx


@dataclass
class House:
    store: Store
    stream: Stream
    clock: FakeClock
    start_s: float  # in which a stage has surely begun to work
    arrived: Callable[[], Awaitable[None]]  # returns once what was put out can be read


@pytest.fixture(params=["embedded", "kafka"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    if request.param == "embedded":
        async with a_store(tmp_path) as store:
            yield House(store, EmbeddedStream(store), FakeClock(), start_s=0.3, arrived=_at_once)
        return
    dsn, broker = request.getfixturevalue("postgresql"), request.getfixturevalue("kafka")
    async with a_kafka_house(dsn, broker) as far:
        yield House(far.store, far.stream, FakeClock(), start_s=1.5, arrived=far.relayed)


async def _at_once() -> None:
    """Nothing is on its way where the stream is in the store."""


async def put(house: House, *names: str) -> None:
    for name in names:
        await house.store.write(partial(emit, name=name))
    await house.arrived()


def emit(tx: Tx, *, name: str, topic: str = ARTICLES) -> None:
    tx.emit(topic, key=name, record_id=name, value=name.encode())


def copied(tx: Tx, *, name: str) -> None:
    if name == "poison":
        raise SetAside("poison")
    if name == "bug":
        raise ZeroDivisionError("bug")
    emit(tx, name=name, topic=READINGS)


async def copy(records: Sequence[StreamRecord]) -> Sequence[Unit]:
    return [partial(copied, name=record.id) for record in records]


async def names(house: House, topic: str) -> list[str]:
    return [record.id for record in await house.stream.fetch(topic, start=0, most=1000, timeout_s=0)]


@asynccontextmanager
async def consuming(house: House, work: Callable[[Sequence[StreamRecord]], object] = copy) -> AsyncIterator[None]:
    task = asyncio.ensure_future(
        consume(
            stream=house.stream,
            store=house.store,
            clock=house.clock,
            group="g",
            topic=ARTICLES,
            work=work,  # type: ignore[arg-type]  # tests bring works that fail
        )
    )
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # type: ignore[misc]  # each condition here is a coroutine function
            await asyncio.sleep(0.005)


async def test_a_reader_gets_records_in_order_from_where_it_asks(house: House) -> None:
    await put(house, "a", "b", "c")
    first, *_ = await house.stream.fetch(ARTICLES, start=0, most=1, timeout_s=0)

    rest = await house.stream.fetch(ARTICLES, start=first.offset + 1, most=10, timeout_s=0)

    assert [record.id for record in rest] == ["b", "c"]
    assert [record.body for record in rest] == [b"b", b"c"]


async def test_what_there_is_to_look_at_has_bounds(house: House) -> None:
    (nothing,) = (await house.stream.bounds(ARTICLES)).values()
    await put(house, "a", "b", "c")
    first, *_, last = await house.stream.fetch(ARTICLES, start=0, most=10, timeout_s=0)

    (bounds,) = (await house.stream.bounds(ARTICLES)).values()

    assert nothing.first == nothing.end
    assert (bounds.first, bounds.end) == (first.offset, last.offset + 1)


async def test_a_waiting_reader_is_woken_by_a_new_record(house: House) -> None:
    waiting = asyncio.ensure_future(house.stream.fetch(ARTICLES, start=0, most=10, timeout_s=20))
    await asyncio.sleep(0.05)

    await put(house, "a")

    async with asyncio.timeout(5):
        assert [record.id for record in await waiting] == ["a"]


async def test_an_empty_topic_answers_with_nothing_after_the_time_out(house: House) -> None:
    assert await house.stream.fetch(ARTICLES, start=0, most=10, timeout_s=0.01) == []


async def test_a_consumer_passes_on_everything_in_order_and_once(house: House) -> None:
    await put(house, *(f"{n:03}" for n in range(250)))

    async with consuming(house):
        await until(lambda: _equal(house, READINGS, 250))

    assert await names(house, READINGS) == [f"{n:03}" for n in range(250)]


async def test_a_consumer_goes_on_from_its_cursor_after_a_restart(house: House) -> None:
    await put(house, "a")
    async with consuming(house):
        await until(lambda: _equal(house, READINGS, 1))
    await put(house, "b")

    async with consuming(house):
        await until(lambda: _equal(house, READINGS, 2))

    assert await names(house, READINGS) == ["a", "b"]


@pytest.mark.parametrize("bad", ["poison", "bug"])
async def test_a_bad_record_is_set_aside_and_the_others_go_on(house: House, bad: str) -> None:
    await put(house, "a", bad, "b")

    async with consuming(house):
        await until(lambda: _equal(house, READINGS, 2))

    assert await names(house, READINGS) == ["a", "b"]
    (letter,) = await house.store.read(lambda tx: tx.dead_letters.list())
    assert letter.record_id == bad
    assert letter.value == bad.encode()
    assert bad in letter.reason


class _Death(BaseException):
    """No bulkhead holds it: it stands for the end of the process."""


async def test_a_record_that_kills_its_stage_is_set_aside_at_the_third_start(house: House) -> None:
    await put(house, "a", "killer", "b")
    deaths = 0

    async def mortal(records: Sequence[StreamRecord]) -> Sequence[Unit]:
        nonlocal deaths
        if any(record.id == "killer" for record in records):
            deaths += 1
            raise _Death
        return await copy(records)

    for _ in range(6):
        try:
            async with asyncio.timeout(house.start_s):
                await consume(
                    stream=house.stream,
                    store=house.store,
                    clock=house.clock,
                    group="g",
                    topic=ARTICLES,
                    work=mortal,
                )
        except (_Death, TimeoutError):
            continue

    assert await names(house, READINGS) == ["a", "b"]
    (letter,) = await house.store.read(lambda tx: tx.dead_letters.list())
    assert letter.record_id == "killer"
    assert deaths <= 3


async def _unprepared(_records: Sequence[StreamRecord]) -> Sequence[Unit]:
    raise JobUnprepared("the rules do not compile")


async def _stopping(_records: Sequence[StreamRecord]) -> Sequence[Unit]:
    raise Stop("another program listens there")


async def _waiting(_records: Sequence[StreamRecord]) -> Sequence[Unit]:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("work", [_unprepared, _stopping, _waiting], ids=["cannot now", "stops", "is ended"])
async def test_a_record_is_not_blamed_when_its_stage_ends_by_no_fault_of_its_own(
    house: House, work: Callable[[Sequence[StreamRecord]], object]
) -> None:
    await put(house, "a", "b")

    for _ in range(4):
        async with consuming(house, work):
            await asyncio.sleep(house.start_s / 3)
    async with consuming(house):
        await until(lambda: _equal(house, READINGS, 2))

    assert await house.store.read(lambda tx: tx.dead_letters.count()) == 0


async def test_a_record_whose_unit_must_wait_is_tried_again_by_the_next_start(house: House) -> None:
    await put(house, "a")

    async def not_yet(_records: Sequence[StreamRecord]) -> Sequence[Unit]:
        def unit(_tx: Tx) -> None:
            raise JobUnprepared("not yet")

        return [unit]

    with pytest.raises(JobUnprepared):
        await consume(
            stream=house.stream, store=house.store, clock=house.clock, group="g", topic=ARTICLES, work=not_yet
        )
    async with consuming(house):
        await until(lambda: _equal(house, READINGS, 1))

    assert await house.store.read(lambda tx: tx.dead_letters.count()) == 0


async def test_a_record_beyond_the_limit_is_set_aside_and_the_others_go_on(house: House) -> None:
    await put(house, "a", "b")
    large = b"x" * (RECORD_LIMIT_BYTES + 1)
    await house.store.write(lambda tx: tx.emit(ARTICLES, key="large", record_id="large", value=large))
    await put(house, "c")

    async with consuming(house):
        await until(lambda: _equal(house, READINGS, 3))

    (letter,) = await house.store.read(lambda tx: tx.dead_letters.list())
    assert (letter.record_id, letter.reason) == ("large", "1,000,001 bytes: a record has 1,000,000 at most")


async def test_a_reader_whose_cursor_another_has_moved_is_fenced_and_goes_on_from_there(house: House) -> None:
    await put(house, "a")
    taken: asyncio.Queue[StreamRecord] = asyncio.Queue()
    released = asyncio.Event()

    async def slow(records: Sequence[StreamRecord]) -> Sequence[Unit]:
        await taken.put(records[-1])
        await released.wait()
        return await copy(records)

    async with consuming(house, slow):
        record = await taken.get()
        await house.store.write(lambda tx: overtake(tx, to=record.offset + 1))
        released.set()
        await put(house, "b")

        await until(lambda: _equal_later(house, READINGS, 1))

    assert await names(house, READINGS) == ["b"]


def overtake(tx: Tx, *, to: int) -> None:
    at = tx.topics.position("g", ARTICLES)
    tx.advance("g", ARTICLES, 0, expect=at, to=to)


async def test_a_due_timer_is_handled_once_with_its_payload(house: House) -> None:
    await house.store.write(lambda tx: tx.timers.set("r", "close", "a", due=NOON, payload="x"))
    await house.store.write(lambda tx: tx.timers.set("r", "close", "later", due=NOON + HOUR))

    def handle(tx: Tx, timer: Timer) -> None:
        emit(tx, name=f"{timer.kind} {timer.key} {timer.payload}")

    task = asyncio.ensure_future(run_timers(store=house.store, clock=house.clock, room="r", handle=handle))
    await until(lambda: _equal(house, ARTICLES, 1))
    task.cancel()
    await asyncio.wait([task])

    assert await names(house, ARTICLES) == ["close a x"]
    assert await house.store.read(lambda tx: tx.timers.next_due("r")) == NOON + HOUR


async def test_a_timer_that_cannot_be_handled_does_not_stop_the_others(house: House) -> None:
    await house.store.write(lambda tx: tx.timers.set("r", "close", "bad", due=NOON))
    await house.store.write(lambda tx: tx.timers.set("r", "close", "good", due=NOON))

    def handle(tx: Tx, timer: Timer) -> None:
        if timer.key == "bad":
            raise ZeroDivisionError
        emit(tx, name=timer.key)

    task = asyncio.ensure_future(run_timers(store=house.store, clock=house.clock, room="r", handle=handle))
    await until(lambda: _equal(house, ARTICLES, 1))
    task.cancel()
    await asyncio.wait([task])

    assert await names(house, ARTICLES) == ["good"]
    assert await house.store.read(lambda tx: tx.dead_letters.count()) == 1


async def _equal(house: House, topic: str, count: int) -> bool:
    return len(await names(house, topic)) == count


async def _equal_later(house: House, topic: str, count: int) -> bool:
    await house.clock.move(timedelta(seconds=1))
    return await _equal(house, topic, count)


words = st.text(max_size=40)


@given(title=words, text=words, backfill=st.booleans(), published=st.none() | st.datetimes(timezones=st.just(UTC)))
def test_an_article_survives_the_stream(title: str, text: str, backfill: bool, published: datetime | None) -> None:
    article = an_article(title=title, text=text, backfill=backfill, published_at=published)

    assert decode_article(encode(article)) == article


def test_a_reading_survives_the_stream() -> None:
    reading = a_reading(a_detection(), a_detection(denied=True))

    assert decode_reading(encode(reading)) == reading


@given(st.binary(max_size=80))
def test_bytes_that_are_no_record_are_told_from_records(value: bytes) -> None:
    with pytest.raises(RecordUnreadable):
        decode_article(value)


def test_a_later_schema_version_is_named() -> None:
    later = encode(an_article()).replace(b'"v":1', b'"v":9', 1)

    with pytest.raises(RecordUnreadable, match="schema version 9"):
        decode_article(later)


def test_a_field_that_we_do_not_know_is_ignored() -> None:
    article: Article = an_article()
    grown = encode(article).replace(b'"feed":', b'"mood":"blue","feed":', 1)

    assert decode_article(grown) == article
