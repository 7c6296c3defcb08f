"""Leases where it counts: several connections to one server, whose clock is the only one."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tocsin.errors import Fenced
from tocsin.store.leases import NOBODY, Taken
from tocsin.store.postgresql import PostgresqlStore
from tocsin.store.postgresql_session import engine
from tocsin.store.settings import Timeouts
from tocsin.testing import HOUR, NOON, FakeClock, a_cluster_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tocsin.store.port import Store
    from tocsin.store.tx import Tx

LASTING = timedelta(seconds=6)
BRIEF = timedelta(seconds=0.4)


@pytest.fixture
async def store(cluster: str) -> AsyncIterator[Store]:
    async with a_cluster_store(cluster) as opened:
        yield opened


@pytest.fixture
async def other(cluster: str) -> AsyncIterator[Store]:
    async with a_cluster_store(cluster) as opened:
        yield opened


def taking(*names: str, holder: str = "a", lasting: timedelta = LASTING) -> Callable[[Tx], dict[str, Taken]]:
    return lambda tx: tx.leases.acquire(names, holder=holder, lasting=lasting)


async def test_it_is_the_server_s_clock_that_counts(store: Store, cluster: str) -> None:
    late = PostgresqlStore(cluster, clock=FakeClock(NOON + 100_000 * HOUR))
    await late.open()
    await store.write(taking("relay"))

    assert await late.write(taking("relay", holder="late")) == {}
    (row,) = await late.read(lambda tx: tx.leases.find("relay"))
    assert timedelta(0) < row.left <= LASTING
    await late.close()


async def test_of_many_who_want_all_each_lease_goes_to_one(cluster: str) -> None:
    names = [f"ingest/slot/{number}" for number in range(40)]
    stores = [PostgresqlStore(cluster) for _ in range(4)]
    for each in stores:
        await each.open()

    takings = await asyncio.gather(*(each.write(taking(*names, holder=str(n))) for n, each in enumerate(stores)))

    assert sorted(name for taken in takings for name in taken) == sorted(names)
    assert all(taken == Taken(epoch=1, after=NOBODY) for takes in takings for taken in takes.values())
    for each in stores:
        await each.close()


async def test_many_are_renewed_and_given_back_in_one_go(store: Store, other: Store) -> None:
    names = [f"ingest/slot/{number}" for number in range(128)]
    held = {name: taken.epoch for name, taken in (await store.write(taking(*names))).items()}
    mark = other.mark("lease:ingest")

    renewed = await store.write(lambda tx: tx.leases.renew(held, holder="a", lasting=LASTING))
    await store.write(lambda tx: tx.leases.release(held, holder="a"))

    assert renewed == set(names)
    await other.wait("lease:ingest", mark, timeout_s=5.0)
    assert other.mark("lease:ingest") != mark
    assert len(await other.write(taking(*names, holder="b"))) == len(names)


async def test_nobody_takes_what_is_being_written_under_and_nobody_waits_for_it(store: Store, other: Store) -> None:
    """The holder is paused between its check and its commit, and its lease runs out meanwhile."""
    await store.write(taking("relay", lasting=BRIEF))
    checked, paused = threading.Event(), threading.Event()

    def unit(tx: Tx) -> None:
        tx.leases.check("relay", 1, holder="a")
        checked.set()
        paused.wait(10)

    writing = asyncio.ensure_future(store.write(unit))
    await asyncio.to_thread(checked.wait, 5)
    await asyncio.sleep(2 * BRIEF.total_seconds())
    async with asyncio.timeout(2):
        while_paused = await other.write(taking("relay", holder="b"))
    paused.set()
    await writing

    assert while_paused == {}
    assert await other.write(taking("relay", holder="b")) == {"relay": Taken(epoch=2, after="a")}


async def test_the_server_ends_a_transaction_in_which_its_holder_sleeps(other: Store, cluster: str) -> None:
    """It is the backend that is looked at here: the process of a paused holder could not even notice."""
    sleeper = engine(cluster, timeouts=Timeouts(idle_in_transaction=timedelta(seconds=1)), name="sleeper")
    await other.write(taking("relay", lasting=BRIEF))
    with sleeper.connect() as conn:
        conn.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ")
        conn.exec_driver_sql("SELECT epoch FROM leases WHERE name = 'relay' FOR SHARE")

        async with asyncio.timeout(5):
            while not (taken := await other.write(taking("relay", holder="b"))):
                await asyncio.sleep(0.1)

        conn.invalidate()
    sleeper.dispose()
    assert taken["relay"].after == "a"


async def test_a_check_sees_what_happened_after_its_transaction_began(store: Store, other: Store) -> None:
    """A snapshot may be older than the takeover; the server says so, and the unit is run again."""
    await store.write(taking("relay", lasting=BRIEF))
    began, stolen = threading.Event(), threading.Event()
    runs = 0

    def unit(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        tx.leases.find("relay")  # takes the snapshot
        began.set()
        stolen.wait(10)
        tx.leases.check("relay", 1, holder="a")

    writing = asyncio.ensure_future(store.write(unit))
    await asyncio.to_thread(began.wait, 5)
    await asyncio.sleep(2 * BRIEF.total_seconds())
    assert await other.write(taking("relay", holder="b"))
    stolen.set()

    with pytest.raises(Fenced, match="b has it"):
        await writing
    assert runs >= 2
