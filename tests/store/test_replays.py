"""A dead letter goes through its group's work once more: once, only there, and whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from tocsin.consumer import Unit, consume
from tocsin.errors import JobUnprepared, SetAside, StoreUnavailable
from tocsin.records import DeadLetter
from tocsin.replays import CLAIM, DIED, PROCESS, run_replays
from tocsin.store.port import Store
from tocsin.store.replays import replays
from tocsin.stream.codec import decode_dead_letter
from tocsin.stream.dead_letters import letter_of, put_aside, put_back
from tocsin.stream.embedded import EmbeddedStream
from tocsin.stream.port import ARTICLES, DEAD_LETTERS, READINGS, RECORD_LIMIT_BYTES, StreamRecord
from tocsin.testing import MINUTE, NOON, FakeClock, a_cluster_store

if TYPE_CHECKING:
    from tocsin.store.tx import Tx

Works = Callable[[Sequence[StreamRecord]], Any]


def place(name: str) -> int:
    """Return an offset: the order of short names is that of their bytes."""
    return int.from_bytes(name.encode(), "big")


def a_letter(name: str = "a", *, stage: str = "g", times: int = 1, value: bytes = b"{}") -> DeadLetter:
    record = StreamRecord(topic=ARTICLES, partition=3, offset=place(name), key=f"key {name}", id=name, value=value)
    return letter_of(record, stage=stage, reason="it was poison", at=NOON, times=times)


async def give_back(store: Store, *letters: DeadLetter) -> None:
    for letter in letters:
        await store.write(lambda tx, letter=letter: tx.replays.add(letter, now=NOON))  # type: ignore[misc]  # mypy infers no lambda with defaults


def put_out(tx: Tx, *, name: str) -> None:
    tx.emit(READINGS, key=name, record_id=name, value=name.encode())


async def copy(records: Sequence[StreamRecord]) -> Sequence[Unit]:
    return [partial(put_out, name=record.id) for record in records]


@asynccontextmanager
async def replaying(
    store: Store,
    work: Works = copy,
    *,
    group: str = "g",
    shared: bool = False,
    clock: FakeClock | None = None,
    process: str | None = None,
) -> AsyncIterator[asyncio.Task[None]]:
    process = process or secrets.token_hex(8)  # each loop stands for a process of its own
    clock = clock or FakeClock()
    loop = run_replays(store=store, clock=clock, group=group, work=work, shared=shared, process=process)
    task = asyncio.ensure_future(loop)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()


async def put(store: Store, topic: str = READINGS) -> list[str]:
    rows = await store.read(lambda tx: tx.topics.fetch(topic, start=0, most=1000))
    return [row.id for row in rows]


async def letters(store: Store) -> list[DeadLetter]:
    return await store.read(lambda tx: tx.dead_letters.list())


async def waiting(store: Store) -> dict[str, int]:
    return await store.read(lambda tx: tx.replays.waiting())


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.005)


async def _none_waits(store: Store) -> bool:
    return not await waiting(store)


async def test_a_replay_goes_through_the_work_of_its_group_and_of_no_other(store: Store) -> None:
    seen: list[StreamRecord] = []

    async def work(records: Sequence[StreamRecord]) -> Sequence[Unit]:
        seen.extend(records)
        return await copy(records)

    async with replaying(store, work), replaying(store, group="other"):
        await give_back(store, a_letter("a"), a_letter("b"))
        await until(lambda: _none_waits(store))

    assert await put(store) == ["a", "b"]
    assert [(one.topic, one.partition, one.offset, one.key, one.id, one.value) for one in seen] == [
        (ARTICLES, 3, place(name), f"key {name}", name, b"{}") for name in ("a", "b")
    ]
    assert await letters(store) == []


async def test_replays_keep_the_order_in_which_the_records_were_set_aside(store: Store) -> None:
    early, late = (a_letter(name) for name in ("z", "a"))

    def both(tx: Tx) -> None:
        for letter, at in ((late, NOON + MINUTE), (early, NOON)):
            tx.replays.add(
                DeadLetter(**{name: getattr(letter, name) for name in letter.__slots__} | {"at": at}), now=NOON
            )

    await store.write(both)
    async with replaying(store):
        await until(lambda: _none_waits(store))

    assert await put(store) == ["z", "a"]


async def _poison(_records: Sequence[StreamRecord]) -> Sequence[Unit]:
    def unit(tx: Tx) -> None:
        put_out(tx, name="half")
        raise SetAside("still poison")

    return [unit]


async def _broken(_records: Sequence[StreamRecord]) -> Sequence[Unit]:
    raise ZeroDivisionError("still a bug")


@pytest.mark.parametrize(("work", "reason"), [(_poison, "still poison"), (_broken, "ZeroDivisionError: still a bug")])
async def test_what_fails_again_goes_back_with_the_new_reason_and_nothing_of_it_is_put_out(
    store: Store, work: Works, reason: str
) -> None:
    async with replaying(store, work):
        await give_back(store, a_letter(times=2))
        await until(lambda: _none_waits(store))

    (letter,) = await letters(store)
    assert (letter.reason, letter.times, letter.id) == (reason, 3, a_letter().id)
    assert (letter.stage, letter.partition, letter.offset, letter.key) == ("g", 3, place("a"), "key a")
    assert (letter.value, letter.size) == (b"{}", 2)
    assert ("Traceback" in letter.traceback) == (work is _broken)
    assert await put(store) == []


async def test_a_bad_replay_does_not_stop_the_next(store: Store) -> None:
    async def work(records: Sequence[StreamRecord]) -> Sequence[Unit]:
        return await (_broken if records[0].id == "bad" else copy)(records)

    async with replaying(store, work):
        await give_back(store, a_letter("bad"), a_letter("good"))
        await until(lambda: _none_waits(store))

    assert await put(store) == ["good"]


async def test_a_replay_that_was_under_way_at_a_death_is_set_aside(store: Store) -> None:
    async def deadly(_records: Sequence[StreamRecord]) -> Sequence[Unit]:
        raise KeyboardInterrupt  # no bulkhead holds this: it stands for the death of the process

    await give_back(store, a_letter("bad"), a_letter("good"))
    with pytest.raises(KeyboardInterrupt):
        await run_replays(store=store, clock=FakeClock(), group="g", work=deadly, process="the one before")

    async with replaying(store):
        await until(lambda: _none_waits(store))

    (letter,) = await letters(store)
    assert (letter.record_id, letter.reason, letter.times) == ("bad", DIED, 2)
    assert await put(store) == ["good"]


async def _unprepared(_records: Sequence[StreamRecord]) -> Sequence[Unit]:
    raise JobUnprepared("the rules do not compile")


async def _waiting(_records: Sequence[StreamRecord]) -> Sequence[Unit]:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("work", [_unprepared, _waiting], ids=["cannot now", "is ended"])
async def test_a_replay_is_not_blamed_when_its_stage_ends_by_no_fault_of_its_own(store: Store, work: Works) -> None:
    await give_back(store, a_letter())

    for _ in range(3):
        async with replaying(store, work):
            await asyncio.sleep(0.05)
    async with replaying(store):
        await until(lambda: _none_waits(store))

    assert await put(store) == ["a"]
    assert await letters(store) == []


class Unreachable:
    """A store whose server goes away when somebody says so."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = False

    async def write(self, unit: Callable[[Tx], Any]) -> Any:
        if self.away:
            raise StoreUnavailable("the server is away")
        return await self._store.write(unit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.mark.parametrize("shared", [False, True])
async def test_a_replay_is_not_blamed_when_the_database_goes_away_under_it(store: Store, shared: bool) -> None:
    server = Unreachable(store)

    async def cut_off(_records: Sequence[StreamRecord]) -> Sequence[Unit]:
        server.away = True
        raise StoreUnavailable("the server is away")

    await give_back(store, a_letter())
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await run_replays(store=server, clock=FakeClock(), group="g", work=cut_off, shared=shared)
        server.away = False

    async with replaying(store, shared=shared, process=PROCESS):
        await until(lambda: _none_waits(store))

    assert await put(store) == ["a"]
    assert await letters(store) == []


async def test_several_workers_share_replays_and_each_is_done_once(store: Store) -> None:
    done: list[str] = []

    async def work(records: Sequence[StreamRecord]) -> Sequence[Unit]:
        done.extend(record.id for record in records)
        await asyncio.sleep(0)
        return await copy(records)

    names = [f"{number:02}" for number in range(40)]
    async with replaying(store, work, shared=True), replaying(store, work, shared=True):
        await give_back(store, *(a_letter(name) for name in names))
        await until(lambda: _none_waits(store))

    assert sorted(done) == names
    assert sorted(await put(store)) == names


async def test_workers_of_several_processes_share_replays_and_each_is_put_out_once(cluster: str) -> None:
    names = [f"{number:02}" for number in range(60)]
    async with a_cluster_store(cluster) as store, a_cluster_store(cluster) as other:
        async with replaying(store, shared=True), replaying(other, shared=True):
            await give_back(store, *(a_letter(name) for name in names))
            await until(lambda: _none_waits(store))

        assert sorted(await put(store)) == names
        assert await letters(store) == []


async def test_what_another_worker_has_begun_is_left_to_it_until_it_must_be_dead(store: Store) -> None:
    clock = FakeClock()
    letter = a_letter()
    await give_back(store, letter)
    await store.write(lambda tx: tx.replays.claim(letter.id, by="paused", at=NOON))

    async with replaying(store, shared=True, clock=clock):
        await asyncio.sleep(0.05)
        early = (await waiting(store), await letters(store))
        await clock.move(CLAIM + timedelta(seconds=1))
        await store.write(lambda tx: tx.wake("replays:g"))
        await until(lambda: _none_waits(store))

    assert early == ({"g": 1}, [])
    (aside,) = await letters(store)
    assert aside.reason == DIED
    assert not await store.write(lambda tx: tx.replays.remove(letter.id, by="paused"))  # what it brings late is refused


async def test_a_claim_of_a_clock_that_went_wrong_does_not_last(store: Store) -> None:
    letter = a_letter()
    await give_back(store, letter)
    await store.write(lambda tx: tx.replays.claim(letter.id, by="tomorrow", at=NOON + 1000 * MINUTE))

    async with replaying(store, shared=True):
        await until(lambda: _none_waits(store))

    assert [one.reason for one in await letters(store)] == [DIED]


async def test_a_value_that_was_damaged_while_it_waited_is_seen_by_no_work(store: Store) -> None:
    await give_back(store, a_letter(value=b"whole"))
    await store.write(lambda tx: tx.conn.execute(update(replays).values(value=b"whale")))

    async with replaying(store):
        await until(lambda: _none_waits(store))

    (letter,) = await letters(store)
    assert "damaged in the store" in letter.reason
    assert (letter.value, letter.size) == (b"", 5)
    assert await put(store) == []


async def test_what_is_set_aside_is_told_on_its_topic_each_time_it_is(store: Store) -> None:
    letter = a_letter()

    async with replaying(store, _broken):
        await store.write(lambda tx: put_aside(tx, letter))
        await store.write(lambda tx: put_aside(tx, letter))
        await store.write(lambda tx: tx.dead_letters.remove(letter.id) and tx.replays.add(letter, now=NOON))
        await until(lambda: _none_waits(store))

    rows = await store.read(lambda tx: tx.topics.fetch(DEAD_LETTERS, start=0, most=10))
    told = [decode_dead_letter(row.value or b"") for row in rows]
    assert [(one.reason, one.times, one.value) for one in told] == [
        ("it was poison", 1, b"{}"),
        ("ZeroDivisionError: still a bug", 2, b"{}"),
    ]
    assert {row.key for row in rows} == {letter.id}


async def test_a_reader_of_the_dead_letters_that_can_read_none_makes_no_more_of_them(store: Store) -> None:
    await store.write(lambda tx: put_aside(tx, a_letter()))
    reading = asyncio.ensure_future(
        consume(
            stream=EmbeddedStream(store),
            store=store,
            clock=FakeClock(),
            group="curious",
            topic=DEAD_LETTERS,
            work=_poison,
        )
    )

    await until(lambda: _counted(store, 2))
    await asyncio.sleep(0.1)
    reading.cancel()
    await asyncio.wait([reading])

    assert {letter.topic for letter in await letters(store)} == {ARTICLES, DEAD_LETTERS}
    assert len(await put(store, DEAD_LETTERS)) == 1


async def _counted(store: Store, count: int) -> bool:
    return await store.read(lambda tx: tx.dead_letters.count()) == count


async def test_words_that_no_database_takes_do_not_keep_a_record_from_being_set_aside(store: Store) -> None:
    record = StreamRecord(topic=ARTICLES, partition=0, offset=1, key="\x00\ud800", id="\x00", value=b"\x00\xff")

    letter = letter_of(record, stage="g", reason="\ud83d" + "x" * 9_000, traceback="t\x00" * 9_000, at=NOON)
    await store.write(lambda tx: put_aside(tx, letter))

    (kept,) = await letters(store)
    assert "\x00" not in kept.key + kept.record_id + kept.reason + kept.traceback
    assert len(kept.reason) == 2_000
    assert kept.value == b"\x00\xff"


async def test_of_a_value_that_is_too_long_the_beginning_is_kept_and_the_topic_is_told_without_it(store: Store) -> None:
    letter = a_letter(value=b"x" * 2_000_000)

    await store.write(lambda tx: put_aside(tx, letter))

    (kept,) = await letters(store)
    (row,) = await store.read(lambda tx: tx.topics.fetch(DEAD_LETTERS, start=0, most=10))
    assert (len(kept.value), kept.size) == (1_000_000, 2_000_000)
    assert len(row.value or b"") < 100_000
    assert decode_dead_letter(row.value or b"").size == 2_000_000


async def test_names_that_a_stranger_made_long_keep_no_record_off_the_topic(store: Store) -> None:
    record = StreamRecord(
        topic=ARTICLES, partition=0, offset=1, key="k" * 900_000, id="i" * 900_000, value=b"x" * 500_000
    )

    await store.write(lambda tx: put_aside(tx, letter_of(record, stage="g", reason="r" * 9_000, at=NOON)))

    (row,) = await store.read(lambda tx: tx.topics.fetch(DEAD_LETTERS, start=0, most=10))
    assert len(row.value or b"") < RECORD_LIMIT_BYTES


async def test_what_fails_again_replaces_what_was_set_aside_meanwhile(store: Store) -> None:
    await store.write(lambda tx: put_aside(tx, a_letter()))

    await store.write(lambda tx: put_back(tx, a_letter(times=2)))

    assert [one.times for one in await letters(store)] == [2]
