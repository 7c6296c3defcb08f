"""Several workers' slots on one store, by a clock that the test moves."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from ingest.share import MEMBERS, SLOT_NAMES, Share
from ingest.slots import SLOTS, share, slot_of
from tocsin import metrics
from tocsin.errors import Fenced, StoreUnavailable
from tocsin.store.sqlite import SqliteStore
from tocsin.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tocsin.store.port import Store
    from tocsin.store.tx import Tx

LASTING = timedelta(seconds=6)
SECOND = timedelta(seconds=1)
SOON_S = 20.0
STEP = timedelta(seconds=0.25)


class Line:
    """A worker's own line to the store, which can be cut."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.is_cut = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, unit: Callable[[Tx], Any]) -> Any:
        if self.is_cut:
            raise StoreUnavailable("the line is cut")
        return await self._store.write(unit)


class Worker:
    """One process's share of the feeds."""

    def __init__(self, store: Store, clock: FakeClock, name: str) -> None:
        self.line = Line(store)
        self.share = Share(
            store=cast("Store", self.line),
            clock=clock,
            holder=name,
            lasting=LASTING,
            elapsed=lambda: clock.now().timestamp(),
        )
        self._keeping: asyncio.Task[None] | None = None

    def start(self, tasks: asyncio.TaskGroup) -> Worker:
        self._keeping = tasks.create_task(self.share.keep(), name="keep")
        return self

    async def leave(self) -> None:
        assert self._keeping is not None
        self._keeping.cancel()
        await asyncio.wait({self._keeping})

    async def die(self) -> None:
        self.line.is_cut = True
        await self.leave()


class House:
    """The store, the clock and the workers of one test."""

    def __init__(self, store: SqliteStore, clock: FakeClock, tasks: asyncio.TaskGroup) -> None:
        self.store = store
        self.clock = clock
        self._tasks = tasks
        self.workers: list[Worker] = []

    def worker(self, name: str) -> Worker:
        self.workers.append(Worker(self.store, self.clock, name).start(self._tasks))
        return self.workers[-1]

    async def until(self, true: Callable[[], object], *, most: timedelta = timedelta(seconds=60)) -> timedelta:
        """Let the clock run until *true*; return how long that took by it."""
        start = self.clock.now()
        async with asyncio.timeout(SOON_S):
            while not true():
                assert self.clock.now() - start <= most
                await self.clock.move(STEP)
                await self._answered()
                held = [slot for worker in self.workers for slot in worker.share.slots]
                assert len(held) == len(set(held)), "two hold one slot"
        return self.clock.now() - start

    async def _answered(self) -> None:
        """Wait until the store has answered whatever it was asked: its time is not the clock's."""
        for _ in range(2):
            await self.store.write(lambda _: None)
            for _ in range(10):
                await asyncio.sleep(0)

    async def pass_on(self, time: timedelta) -> None:
        end = self.clock.now() + time
        await self.until(lambda: self.clock.now() >= end)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = FakeClock()
    store = SqliteStore(tmp_path / "tocsin.db", clock=clock)
    await store.open()
    async with asyncio.TaskGroup() as tasks:
        made = House(store, clock, tasks)
        yield made

        async def end() -> None:
            async with asyncio.TaskGroup() as ends:
                for worker in made.workers:
                    ends.create_task(worker.leave(), name="end")

        ending = tasks.create_task(end(), name="end")
        await made.until(ending.done)
    await store.close()


def is_shared_out(*workers: Worker) -> Callable[[], bool]:
    """Return whether each slot is held by the one who should have it."""
    names = [worker.share.holder for worker in workers]
    return lambda: all(worker.share.slots == share(worker.share.holder, names) for worker in workers)


@asynccontextmanager
async def a_visit(worker: Worker, slot: int) -> AsyncIterator[asyncio.Task[None]]:
    """A visit that has asked its host and waits for the answer."""
    begun = asyncio.Event()

    async def visit() -> None:
        async with worker.share.visiting(slot) as permit:
            async with permit.waiting():
                pass
            begun.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(visit(), name="visit")
        await begun.wait()
        yield task
        task.cancel()


async def test_one_worker_has_all(house: House) -> None:
    alone = house.worker("a")

    await house.until(lambda: len(alone.share.slots) == SLOTS)

    assert metrics.LEASES_HELD.labels(kind="ingest/slot")._value.get() == SLOTS


async def test_who_comes_gets_its_part_within_a_turn(house: House) -> None:
    first = house.worker("a")
    await house.until(is_shared_out(first))

    second = house.worker("b")
    waited = await house.until(is_shared_out(first, second))

    assert waited <= LASTING / 3 + SECOND
    assert not first.share.slots & second.share.slots


async def test_who_leaves_hands_over_at_once(house: House) -> None:
    first, second = house.worker("a"), house.worker("b")
    await house.until(is_shared_out(first, second))

    leaving = asyncio.ensure_future(second.leave())
    waited = await house.until(is_shared_out(first))
    await leaving

    assert waited <= SECOND


async def test_a_dead_worker_s_slots_move_soon_after_its_time_is_over(house: House) -> None:
    first, second, third = house.worker("a"), house.worker("b"), house.worker("c")
    await house.until(is_shared_out(first, second, third))
    before = metrics.LEASE_TAKEOVERS.labels(kind="ingest/slot")._value.get()
    lost = len(second.share.slots)

    dying = asyncio.ensure_future(second.die())
    waited = await house.until(is_shared_out(first, third))
    await dying

    assert waited <= LASTING * 1.5
    assert metrics.LEASE_TAKEOVERS.labels(kind="ingest/slot")._value.get() == before + lost


async def test_a_worker_that_cannot_renew_stops_before_others_begin(house: House) -> None:
    cut_off, other = house.worker("a"), house.worker("b")
    await house.until(is_shared_out(cut_off, other))
    slot = min(cut_off.share.slots)

    async with a_visit(cut_off, slot) as visit:
        cut_off.line.is_cut = True
        await house.until(visit.done)

        assert not other.share.slots & share("a", ["a", "b"])
        assert not cut_off.share.slots
        with pytest.raises(Fenced):
            async with cut_off.share.visiting(slot):
                pass
        await house.until(is_shared_out(other))

    cut_off.line.is_cut = False
    await house.until(is_shared_out(cut_off, other))


async def test_no_slot_moves_while_something_is_under_way_there(house: House) -> None:
    first = house.worker("a")
    await house.until(is_shared_out(first))
    moving = min(share("b", ["a", "b"]))

    async with a_visit(first, moving) as visit:
        second = house.worker("b")
        await house.until(lambda: len(second.share.slots) == len(share("b", ["a", "b"])) - 1)
        await house.pass_on(3 * LASTING)

        assert moving not in second.share.slots | first.share.slots
        assert not visit.done()

    await house.until(is_shared_out(first, second), most=SECOND)


async def test_no_slot_moves_before_its_hosts_had_their_gap(house: House) -> None:
    first = house.worker("a")
    await house.until(is_shared_out(first))
    host = next(host for number in range(999) if slot_of(host := f"h{number}") in share("b", ["a", "b"]))
    rests_until = house.clock.now() + 20 * SECOND

    def resting() -> dict[str, datetime]:
        return {host: rests_until} if house.clock.now() < rests_until else {}

    first.share.resting = resting
    second = house.worker("b")
    await house.until(lambda: slot_of(host) in second.share.slots)

    assert house.clock.now() >= rests_until
    assert second.share.not_before(host) <= house.clock.now()  # type: ignore[operator]  # a slot that it holds


async def test_who_takes_over_from_the_dead_keeps_the_gap_it_cannot_know_of(house: House) -> None:
    first, second = house.worker("a"), house.worker("b")
    await house.until(is_shared_out(first, second))
    second.share.gap = timedelta(seconds=40)
    host = next(host for number in range(999) if slot_of(host := f"h{number}") in first.share.slots)

    dying = asyncio.ensure_future(first.die())
    await house.until(is_shared_out(second))
    await dying

    not_before = second.share.not_before(host)
    assert not_before is not None
    assert not_before > house.clock.now() + timedelta(seconds=35)


async def test_who_waits_for_a_turn_gives_it_up_when_the_slot_is_to_move(house: House) -> None:
    first = house.worker("a")
    await house.until(is_shared_out(first))
    moving = min(share("b", ["a", "b"]))
    refused = asyncio.Event()

    async def visit() -> None:
        try:
            async with first.share.visiting(moving) as permit, permit.waiting():
                await asyncio.Event().wait()
        except Fenced:
            refused.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(visit(), name="visit")
        await asyncio.sleep(0)
        second = house.worker("b")
        await house.until(is_shared_out(first, second))

    assert refused.is_set()


async def test_what_a_visit_writes_under_a_slot_that_was_taken_is_fenced(house: House) -> None:
    worker = house.worker("a")
    await house.until(is_shared_out(worker))

    async with worker.share.visiting(5) as permit:
        taken = SLOT_NAMES[5]
        await house.store.write(lambda tx: tx.leases.release({taken: 1}, holder="a"))
        await permit.store.write(lambda tx: tx.timers.cancel("room", "kind", "key"))
        pytest.fail("written without a lease")  # the visit is left silently instead

    assert 5 not in worker.share.slots
    await house.until(is_shared_out(worker))


async def test_members_that_are_long_gone_are_forgotten(house: House) -> None:
    gone = f"{MEMBERS}gone"
    await house.store.write(lambda tx: tx.leases.acquire([gone], holder="gone", lasting=LASTING))
    house.clock._now += timedelta(hours=2)
    worker = house.worker("a")

    await house.until(is_shared_out(worker))

    rows = await house.store.read(lambda tx: tx.leases.under(MEMBERS))
    assert [row.name for row in rows] == [f"{MEMBERS}a"]


async def test_no_two_ever_hold_one_slot_whoever_comes_and_goes(house: House) -> None:
    """That no two do is looked at in every test; here are more comings and goings than in the others."""
    first = house.worker("a")
    await house.pass_on(SECOND)
    second, third = house.worker("b"), house.worker("c")
    await house.pass_on(3 * SECOND)
    first.line.is_cut = True
    await house.pass_on(4 * SECOND)
    leaving = asyncio.ensure_future(second.leave())
    await house.pass_on(5 * SECOND)
    first.line.is_cut = False
    fourth = house.worker("d")
    dying = asyncio.ensure_future(third.die())

    await house.until(is_shared_out(first, fourth))

    await leaving
    await dying
