from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tocsin.clock import SystemClock
from tocsin.consumer import STARTS, Unit, Work, consume
from tocsin.errors import JobUnprepared
from tocsin.stream.port import ARTICLES, READINGS, StreamRecord
from tocsin.terms import FencedStore, Term
from tocsin.testing import a_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from tocsin.store.port import Store
    from tocsin.store.tx import Tx


class SharedStream:
    """A stream of several partitions in memory, which can be taken from its reader and given back."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._records: dict[int, list[StreamRecord]] = {}
        self._positions: dict[int, int] = {}
        self._cursors: dict[int, int] = {}
        self._generation = 0
        self._fresh = asyncio.Event()

    def put(self, partition: int, *names: str) -> None:
        for name in names:
            known = self._records.setdefault(partition, [])
            record = StreamRecord(
                topic=ARTICLES, partition=partition, offset=len(known), key=name, id=name, value=name.encode()
            )
            known.append(record)
        self._fresh.set()

    @asynccontextmanager
    async def reader(
        self, group: str, topic: str, *, shared: bool = False, patient: bool = False
    ) -> AsyncIterator[SharedStream]:
        del group, topic, shared, patient
        await self.rewind()
        yield self

    async def fetch(self, *, most: int, timeout_s: float) -> Sequence[StreamRecord]:
        while not (found := self._next(most)):
            self._fresh.clear()
            async with asyncio.timeout(timeout_s):
                await self._fresh.wait()
        for record in found:
            self._positions[record.partition] = record.offset + 1
        return found

    def _next(self, most: int) -> list[StreamRecord]:
        waiting = [one for known in self._records.values() for one in known]
        return [one for one in waiting if one.offset >= self._positions.get(one.partition, 0)][:most]

    def generation(self, partition: int) -> int:
        del partition
        return self._generation

    def cursor(self, partition: int) -> int:
        return self._cursors.get(partition, 0)

    def seek(self, partition: int, offset: int) -> None:
        self._positions[partition] = offset

    async def rewind(self) -> None:
        for partition in list(self._records):
            at = await self._store.read(lambda tx, of=partition: tx.topics.position("g", ARTICLES, of))  # type: ignore[misc]  # mypy infers no lambda with defaults
            self._positions[partition] = self._cursors[partition] = at
        self._generation += 1
        self._fresh.set()

    async def lag(self) -> Mapping[tuple[str, str], int]:
        return {}


async def copy(records: Sequence[StreamRecord]) -> Sequence[Unit]:
    return [partial(_copied, name=record.id) for record in records]


def _copied(tx: Tx, *, name: str) -> None:
    tx.emit(READINGS, key=name, record_id=name, value=b"")


async def names(store: Store) -> list[str]:
    return await store.read(lambda tx: [row.id for row in tx.topics.fetch(READINGS, start=0, most=1_000)])


@asynccontextmanager
async def consuming(
    stream: SharedStream, store: Store, *, work: Work = copy, ahead: int = 1, once: bool = False
) -> AsyncIterator[None]:
    running = consume(
        stream=stream,  # type: ignore[arg-type]  # its look at a topic is not used here
        store=store,
        clock=SystemClock(),
        group="g",
        topic=ARTICLES,
        work=work,
        batch=4,
        ahead=ahead,
        once=once,
    )
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(running)
        yield
        task.cancel()


async def until_passed(store: Store, count: int) -> None:
    async with asyncio.timeout(10):
        while len(await names(store)) < count:
            await asyncio.sleep(0.005)


async def test_every_record_of_every_partition_is_passed_once_and_in_its_order(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        stream = SharedStream(store)
        for partition in range(3):
            stream.put(partition, *(f"{partition}-{n:02}" for n in range(20)))

        async with consuming(stream, store):
            await until_passed(store, 60)

        passed = await names(store)
        assert len(passed) == 60
        for partition in range(3):
            own = [name for name in passed if name.startswith(f"{partition}-")]
            assert own == sorted(own)


async def test_partitions_that_are_given_anew_in_the_middle_of_work_lose_and_double_nothing(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        stream = SharedStream(store)

        async with consuming(stream, store):
            for n in range(30):
                stream.put(n % 3, f"{n:02}")
                await asyncio.sleep(0.003)
                await stream.rewind()
            await until_passed(store, 30)

        assert sorted(await names(store)) == [f"{n:02}" for n in range(30)]
        ends = [await store.read(lambda tx, of=of: tx.topics.position("g", ARTICLES, of)) for of in range(3)]  # type: ignore[misc]  # mypy infers no lambda with defaults
        assert ends == [10, 10, 10]


class Bench:
    """Work that takes until it is told, batch by batch; only the first, which goes by itself, is done at once."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self._told: dict[str, asyncio.Event] = {}

    async def __call__(self, records: Sequence[StreamRecord]) -> Sequence[Unit]:
        first = records[0].id
        self.begun.append(first)
        if len(self.begun) > 1:
            await self._told.setdefault(first, asyncio.Event()).wait()
        self.ended.append(first)
        return await copy(records)

    def finish(self, first: str) -> None:
        self._told.setdefault(first, asyncio.Event()).set()

    async def has_begun(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.begun) < count:
                await asyncio.sleep(0.001)


async def test_as_many_batches_as_are_asked_for_are_worked_on_side_by_side_and_written_in_order(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        stream, bench = SharedStream(store), Bench()
        every = [f"{n:02}" for n in range(20)]  # in batches of four
        stream.put(0, *every)

        async with consuming(stream, store, work=bench, ahead=2):
            await bench.has_begun(3)
            bench.finish("08")
            await asyncio.sleep(0.05)
            begun_early = list(bench.begun)
            written_early = await names(store)
            for first in ("04", "12", "16"):
                bench.finish(first)
            await until_passed(store, 20)

        assert begun_early == ["00", "04", "08", "12"]
        assert written_early == every[:4]
        assert bench.ended[:3] == ["00", "08", "04"]
        assert await names(store) == every


async def test_what_was_made_before_a_batch_that_fails_is_written_first(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        stream, bench = SharedStream(store), Bench()
        stream.put(0, *(f"{n:02}" for n in range(12)))

        async def work(records: Sequence[StreamRecord]) -> Sequence[Unit]:
            if records[0].id == "08":
                raise JobUnprepared("the rules do not compile")
            return await bench(records)

        with pytest.RaisesGroup(JobUnprepared):
            async with consuming(stream, store, work=work, ahead=2):
                await bench.has_begun(2)
                bench.finish("04")
                await asyncio.sleep(5)

        assert await names(store) == [f"{n:02}" for n in range(8)]


async def test_a_record_that_comes_again_is_ignored_where_work_must_not_see_it_twice(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        stream = SharedStream(store)
        seen: list[str] = []

        def noted(_tx: Tx, *, name: str) -> None:
            seen.append(name)

        async def note(records: Sequence[StreamRecord]) -> Sequence[Unit]:
            return [partial(noted, name=record.id) for record in records]

        stream.put(0, "a", "b", "a", "c", "b")
        async with asyncio.TaskGroup() as tasks:
            running = consume(
                stream=stream,  # type: ignore[arg-type]  # its look at a topic is not used here
                store=store,
                clock=SystemClock(),
                group="g",
                topic=ARTICLES,
                work=note,
                once=True,
            )
            task = tasks.create_task(running)
            async with asyncio.timeout(10):
                while await store.read(lambda tx: tx.topics.position("g", ARTICLES)) < 5:
                    await asyncio.sleep(0.005)
            task.cancel()

        assert seen == ["a", "b", "c"]


@pytest.mark.parametrize("ahead", [1, 3])
async def test_records_whose_work_is_called_off_are_worked_on_again(tmp_path: Path, ahead: int) -> None:
    async with a_store(tmp_path) as store:
        stream = SharedStream(store)
        turns = 0

        async def called_off_once(records: Sequence[StreamRecord]) -> Sequence[Unit]:
            nonlocal turns
            turns += 1
            if turns == 3:  # not by whoever consumes: its pool is closed, say
                raise asyncio.CancelledError
            return await copy(records)

        stream.put(0, *(f"{n}" for n in range(20)))
        async with consuming(stream, store, work=called_off_once, ahead=ahead):
            await until_passed(store, 20)

        assert await names(store) == [f"{n}" for n in range(20)]


async def test_work_that_is_cancelled_twice_leaves_nothing_behind(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        stream = SharedStream(store)
        at_work, over = asyncio.Event(), asyncio.Event()

        async def slow_to_end(records: Sequence[StreamRecord]) -> Sequence[Unit]:
            if records[0].id == "0":
                return await copy(records)
            try:
                at_work.set()
                await asyncio.sleep(60)
            finally:
                try:
                    await asyncio.sleep(0.2)
                finally:
                    await asyncio.sleep(0.2)
                    over.set()
            return []

        stream.put(0, "0")
        running = consume(
            stream=stream,  # type: ignore[arg-type]  # its look at a topic is not used here
            store=store,
            clock=SystemClock(),
            group="g",
            topic=ARTICLES,
            work=slow_to_end,
        )
        task = asyncio.create_task(running)
        await until_passed(store, 1)
        stream.put(0, "1")
        await at_work.wait()
        task.cancel()
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])

        assert task.cancelled()
        assert over.is_set()


async def test_work_that_is_the_first_to_hear_of_its_lost_lease_comes_to_an_end(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        stream = SharedStream(store)
        stream.put(0, "before")
        lasting = timedelta(minutes=1)
        mine = await store.write(lambda tx: tx.leases.acquire(["work"], holder="we", lasting=lasting))
        term = Term(mine["work"].epoch, until=float("inf"), elapsed=time.monotonic)

        async def work() -> None:
            async with term.running():
                await consume(
                    stream=stream,  # type: ignore[arg-type]  # its look at a topic is not used here
                    store=FencedStore(store, "work", term, holder="we"),
                    clock=SystemClock(),
                    group="g",
                    topic=ARTICLES,
                    work=copy,
                )

        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            tasks.create_task(work())
            await until_passed(store, 1)
            await store.write(lambda tx: tx.leases.release({"work": mine["work"].epoch}, holder="we"))
            stream.put(0, "after")

        assert term.is_lost
        assert await names(store) == ["before"]


class Reluctant:
    """A store that writes what it is given and answers only when it may; a caller that goes away changes nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.given = asyncio.Event()
        self.may_answer = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, unit: Any) -> Any:
        answer = await asyncio.shield(asyncio.create_task(self._store.write(unit), name="write"))
        self.given.set()
        await self.may_answer.wait()
        return answer


async def test_being_called_off_while_an_attempt_is_noted_is_not_held_against_the_record(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        stream = SharedStream(store)
        stream.put(0, "a")

        for _ in range(STARTS):
            reluctant = Reluctant(store)
            async with consuming(stream, reluctant):
                await reluctant.given.wait()
                asyncio.get_running_loop().call_later(0.05, reluctant.may_answer.set)
        async with consuming(stream, store):
            await until_passed(store, 1)

        assert await names(store) == ["a"]
        assert await store.read(lambda tx: tx.dead_letters.count()) == 0
