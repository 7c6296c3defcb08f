"""Work that only one of several workers may do, on one store that they share."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tocsin import metrics
from tocsin.clock import SystemClock
from tocsin.errors import Fenced, StoreUnavailable
from tocsin.leases import Lease, new_holder
from tocsin.store.sqlite import SqliteStore
from tocsin.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path
    from typing import Any

    from tocsin.clock import Clock
    from tocsin.store.port import Store
    from tocsin.store.tx import Tx

LASTING = timedelta(seconds=6)
BRIEF = timedelta(seconds=0.6)
SOON_S = 8.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "tocsin.db", clock=clock)
    await opened.open()
    yield opened
    await opened.close()


class Unreliable:
    """A store that can be away, or so slow that nobody gets an answer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.is_away = False

    async def write(self, unit: Callable[[Tx], Any]) -> Any:
        if self.is_away:
            raise StoreUnavailable("the server is away")
        return await self._store.write(unit)

    async def read(self, query: Callable[[Tx], Any]) -> Any:
        if self.is_away:
            raise StoreUnavailable("the server is away")
        return await self._store.read(query)

    def mark(self, name: str) -> int:
        return self._store.mark(name)

    async def wait(self, name: str, mark: int, *, timeout_s: float) -> None:
        await self._store.wait(name, mark, timeout_s=timeout_s)

    def bytes_on_disk(self) -> int:
        return self._store.bytes_on_disk()


class Work:
    """Notes when it begins and ends, and with which store it may write; does nothing, or what a test puts in."""

    def __init__(self, *, ends_after_s: float = 0.0) -> None:
        self.does: Callable[[Store], Awaitable[None]] = _nothing
        self.store: Store | None = None
        self.begun = 0
        self.ended = 0
        self._ends_after_s = ends_after_s

    @property
    def is_running(self) -> bool:
        return self.begun > self.ended

    async def run(self, store: Store) -> None:
        self.store = store
        self.begun += 1
        try:
            await self.does(store)
        finally:
            await asyncio.sleep(self._ends_after_s)
            self.ended += 1


async def _nothing(_: Store) -> None:
    await asyncio.Event().wait()


class Worker:
    """A process, as far as one lease is concerned."""

    def __init__(self, lease: Lease, work: Work) -> None:
        self.lease = lease
        self.work = work
        self._keeper: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            self._keeper = tasks.create_task(self.lease.keep(), name="keep")
            doing = tasks.create_task(self.lease.while_held(self.work.run), name="do")
            try:
                yield
            finally:
                self._keeper.cancel()
                doing.cancel()

    async def leave(self) -> None:
        assert self._keeper is not None
        self._keeper.cancel()
        await asyncio.wait({self._keeper})


def a_worker(
    store: Store, clock: Clock, holder: str, *, lasting: timedelta = LASTING, ends_after_s: float = 0.0
) -> Worker:
    lease = Lease(
        "incidents",
        store=store,
        clock=clock,
        holder=holder,
        lasting=lasting,
        elapsed=lambda: clock.now().timestamp(),
    )
    return Worker(lease, Work(ends_after_s=ends_after_s))


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON_S):
        while not true():
            await asyncio.sleep(0.005)


async def pass_on(store: Store, clock: FakeClock, seconds: float, *, step_s: float = 0.5) -> None:
    """Let time pass in steps, in each of which the store answers whatever it was asked: its time is not the clock's."""
    for _ in range(round(seconds / step_s)):
        await clock.move(timedelta(seconds=step_s))
        for _ in range(3):
            await store.read(lambda _: None)
            await store.write(lambda _: None)
            for _ in range(10):
                await asyncio.sleep(0)


async def test_one_of_two_works_and_the_other_stands_by(store: SqliteStore, clock: FakeClock) -> None:
    first, second = a_worker(store, clock, "a"), a_worker(store, clock, "b")

    async with first.at_work():
        await until(lambda: first.work.is_running)
        async with second.at_work():
            await pass_on(store, clock, 30)

            assert (first.work.begun, first.work.ended) == (1, 0)
            assert (second.work.begun, second.lease.epoch) == (0, None)


async def test_who_leaves_hands_over_at_once(store: SqliteStore, clock: FakeClock) -> None:
    first, second = a_worker(store, clock, "a", ends_after_s=0.1), a_worker(store, clock, "b")

    async with first.at_work():
        await until(lambda: first.work.is_running)
        async with second.at_work():
            await first.leave()
            await until(lambda: second.work.is_running)

            assert first.work.ended == 1
            assert second.lease.epoch is not None


async def test_nobody_begins_before_who_leaves_has_ended(store: SqliteStore, clock: FakeClock) -> None:
    first, second = a_worker(store, clock, "a", ends_after_s=0.3), a_worker(store, clock, "b")
    overlapped = False

    async def watch() -> None:
        nonlocal overlapped
        while not second.work.is_running:
            await asyncio.sleep(0)
        overlapped = first.work.is_running

    async with first.at_work():
        await until(lambda: first.work.is_running)
        async with second.at_work(), asyncio.TaskGroup() as tasks:
            tasks.create_task(watch(), name="watch")
            await first.leave()

    assert not overlapped
    assert second.work.begun == 1


async def test_what_ends_in_good_order_may_still_write_down_what_it_did(store: SqliteStore, clock: FakeClock) -> None:
    written = asyncio.Event()

    async def run(fenced: Store) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await fenced.write(lambda tx: tx.wake("done"))
            written.set()

    worker = a_worker(store, clock, "a")
    worker.work.does = run
    async with worker.at_work():
        await until(lambda: worker.lease.epoch)
        await asyncio.sleep(0.02)

    assert written.is_set()


async def test_a_worker_that_cannot_renew_ends_its_work_before_another_begins(
    store: SqliteStore, clock: FakeClock
) -> None:
    network = Unreliable(store)
    cut_off, standby = a_worker(network, clock, "a"), a_worker(store, clock, "b")
    began: list[bool] = []

    async def run(_: Store) -> None:
        began.append(cut_off.work.is_running)
        await asyncio.Event().wait()

    standby.work.does = run
    async with cut_off.at_work():
        await until(lambda: cut_off.work.is_running)
        async with standby.at_work():
            network.is_away = True
            await pass_on(store, clock, 8)
            await until(lambda: began)

            assert began == [False]
            assert cut_off.lease.epoch is None


async def test_a_zombie_s_writes_are_fenced_and_end_its_work(store: SqliteStore, clock: FakeClock) -> None:
    zombie = a_worker(store, clock, "a")
    async with zombie.at_work():
        await until(lambda: zombie.work.is_running)
        stolen = await store.write(lambda tx: tx.leases.acquire(["incidents"], holder="b", lasting=LASTING))
        assert stolen == {}
        clock._now += timedelta(seconds=7)  # it was paused: none of its own waits has ended
        await store.write(lambda tx: tx.leases.acquire(["incidents"], holder="b", lasting=LASTING))

        assert zombie.work.store is not None
        with pytest.raises(Fenced, match="b has it"):
            await zombie.work.store.write(lambda tx: tx.wake("what it was about to do"))

        await until(lambda: not zombie.work.is_running)


async def test_work_that_is_fenced_by_its_lease_is_waited_for_again(store: SqliteStore, clock: FakeClock) -> None:
    worker = a_worker(store, clock, "a")
    begun = 0

    async def run(fenced: Store) -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            await store.write(lambda tx: tx.leases.release({"incidents": 1}, holder="a"))
        await fenced.write(lambda tx: tx.wake("x"))
        await asyncio.Event().wait()

    worker.work.does = run
    async with worker.at_work():
        await until(lambda: begun == 2)

        assert worker.lease.epoch == 3


async def test_work_that_breaks_is_told_of_and_the_lease_is_kept(store: SqliteStore, clock: FakeClock) -> None:
    worker = a_worker(store, clock, "a")

    async def run(_: Store) -> None:
        raise ZeroDivisionError

    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(worker.lease.keep(), name="keep")
        with pytest.raises(ZeroDivisionError):
            await worker.lease.while_held(run)

        assert worker.lease.epoch == 1
        keeping.cancel()


async def test_work_that_does_not_end_keeps_its_worker_from_taking_the_lease_again(
    store: SqliteStore, clock: FakeClock
) -> None:
    worker = a_worker(store, clock, "a", ends_after_s=0.3)
    async with worker.at_work():
        await until(lambda: worker.work.is_running)
        await store.write(lambda tx: tx.leases.release({"incidents": 1}, holder="a"))
        await pass_on(store, clock, 2)

        assert worker.lease.epoch is None
        await until(lambda: worker.work.begun == 2)
        assert worker.work.ended == 1


async def test_a_store_that_is_back_in_time_costs_no_lease(store: SqliteStore, clock: FakeClock) -> None:
    network = Unreliable(store)
    worker = a_worker(network, clock, "a")
    async with worker.at_work():
        await until(lambda: worker.work.is_running)
        network.is_away = True
        await pass_on(store, clock, 3)
        network.is_away = False
        await pass_on(store, clock, 10)

        assert (worker.work.begun, worker.work.ended, worker.lease.epoch) == (1, 0, 1)


async def test_two_stages_under_one_lease_run_and_end_together(store: SqliteStore, clock: FakeClock) -> None:
    worker, timers = a_worker(store, clock, "a"), Work()

    async with worker.at_work(), asyncio.TaskGroup() as tasks:
        timing = tasks.create_task(worker.lease.while_held(timers.run), name="timers")
        await until(lambda: worker.work.is_running and timers.is_running)
        await store.write(lambda tx: tx.leases.release({"incidents": 1}, holder="a"))
        await pass_on(store, clock, 2)
        await until(lambda: worker.work.begun == timers.begun == 2)
        timing.cancel()

    assert worker.work.ended == timers.ended == 2


async def test_leases_and_takeovers_are_counted(store: SqliteStore, clock: FakeClock) -> None:
    held = metrics.LEASES_HELD.labels(kind="incidents")
    takeovers = metrics.LEASE_TAKEOVERS.labels(kind="incidents")
    held_before, before = held._value.get(), takeovers._value.get()
    await store.write(lambda tx: tx.leases.acquire(["incidents"], holder="dead", lasting=LASTING))

    worker = a_worker(store, clock, "a")
    async with worker.at_work():
        await pass_on(store, clock, 7)
        await until(lambda: worker.work.is_running)

        assert held._value.get() == held_before + 1
    assert held._value.get() == held_before
    assert takeovers._value.get() == before + 1


async def test_a_standby_tells_that_it_lives(store: SqliteStore, clock: FakeClock) -> None:
    await store.write(lambda tx: tx.leases.acquire(["incidents"], holder="other", lasting=LASTING))
    worker = a_worker(store, clock, "a", lasting=BRIEF)
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1

    async with asyncio.TaskGroup() as tasks:
        standing_by = tasks.create_task(worker.lease.while_held(worker.work.run, beat=beat), name="stand by")
        await until(lambda: beats >= 3)
        standing_by.cancel()

    assert worker.work.begun == 0


async def test_a_dead_holder_s_lease_is_taken_as_soon_as_it_runs_out(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tocsin.db")
    await store.open()
    await store.write(lambda tx: tx.leases.acquire(["incidents"], holder="dead", lasting=BRIEF))
    loop = asyncio.get_running_loop()
    started = loop.time()

    worker = a_worker(store, SystemClock(), "a", lasting=BRIEF)
    async with worker.at_work():
        await until(lambda: worker.work.is_running)
    waited = loop.time() - started
    await store.close()

    assert BRIEF.total_seconds() * 0.5 < waited < BRIEF.total_seconds() + 1.0


def test_no_two_processes_go_by_one_name() -> None:
    assert new_holder() != new_holder()
