"""The database fails in every way that can be caused here: nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.servers.postgresql import PostgresqlServer, postgresql_server
from tests.servers.postgresql_programs import programs
from tests.servers.processes import discard, run, scratch
from tests.store.proxy import CommitFate, Proxy
from tocsin.clock import SystemClock
from tocsin.errors import StoreFull, StoreUnavailable
from tocsin.leases import Lease
from tocsin.store import postgresql_commits, postgresql_line
from tocsin.store.overlay import Change
from tocsin.store.postgresql_session import PATIENCE_S
from tocsin.store.settings import Timeouts
from tocsin.testing import NOON, a_cluster_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tocsin.store.postgresql import PostgresqlStore
    from tocsin.store.tx import Tx

pytestmark = [pytest.mark.faults, pytest.mark.timeout(90)]
LONG = (pytest.mark.chaos, pytest.mark.timeout(600))

TOPIC = "articles.v1"
QUICK = Timeouts(
    connect=timedelta(seconds=2),
    statement=timedelta(seconds=1),
    lock=timedelta(milliseconds=500),
    idle_in_transaction=timedelta(seconds=2),
)


def emit(tx: Tx, name: str) -> bool:
    return tx.emit(TOPIC, key=name, record_id=name, value=name.encode())


def taken(tx: Tx) -> list[str]:
    return [row.id for row in tx.topics.fetch(TOPIC, start=0, most=100_000)]


def count_up(tx: Tx) -> int:
    """Do something that shows when it is done twice."""
    before = tx.overlay.get("count", "a")
    count = int(before.value) + 1 if before else 1
    tx.overlay.put(Change(kind="count", id="a", value=str(count), actor="test", at=NOON))
    return count


def counted(tx: Tx) -> int:
    found = tx.overlay.get("count", "a")
    return int(found.value) if found else 0


def backend_of(store: PostgresqlStore) -> int:
    assert store._line.last is not None
    return store._line.last.pid


def end_backend(dsn: str, pid: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(%s)", (pid,))


@pytest.fixture
async def proxy(cluster: str) -> AsyncIterator[Proxy]:
    async with Proxy(cluster) as made:
        yield made


@pytest.fixture
def own_server() -> Iterator[PostgresqlServer]:
    """A server to be killed and filled at will."""
    with postgresql_server() as server:
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_line, "BACK_WITHIN_S", 1.0)


# ------------------------------------------------------------------------------------------------- lost connections


async def test_a_connection_ended_inside_a_transaction_costs_nothing(cluster: str) -> None:
    async with a_cluster_store(cluster) as store:
        await store.write(count_up)
        pids = [backend_of(store)]

        def unit(tx: Tx) -> int:
            count = count_up(tx)
            if pids:
                end_backend(cluster, pids.pop())
            return count

        assert await store.write(unit) == 2
        assert await store.read(counted) == 2


async def test_a_query_whose_connection_was_ended_is_asked_again(cluster: str) -> None:
    async with a_cluster_store(cluster) as store:
        await store.write(count_up)
        kills = [True]

        def query(tx: Tx) -> int:
            if kills:
                end_backend(cluster, tx.conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
                kills.pop()
            return counted(tx)

        assert await store.read(query) == 1


@pytest.mark.parametrize("fate", CommitFate)
async def test_whether_a_commit_stands_is_found_out_when_its_answer_is_lost(proxy: Proxy, fate: CommitFate) -> None:
    told: list[int] = []

    def telling(tx: Tx) -> int:
        count = count_up(tx)
        tx.after(lambda: told.append(count))
        return count

    async with a_cluster_store(proxy.dsn) as store:
        for number in range(1, 9):
            proxy.next_commit = fate

            assert await store.write(telling) == number
            assert proxy.next_commit is None

        assert await store.read(counted) == 8
        assert told == list(range(1, 9))


async def test_a_commit_that_was_lost_still_wakes_others(cluster: str, proxy: Proxy) -> None:
    async with a_cluster_store(proxy.dsn) as here, a_cluster_store(cluster) as there:
        await asyncio.sleep(0.2)
        mark = there.mark(TOPIC)
        proxy.next_commit = CommitFate.UNANSWERED

        await here.write(lambda tx: emit(tx, "a"))

        async with asyncio.timeout(5):
            await there.wait(TOPIC, mark, timeout_s=20)


@pytest.mark.parametrize("connections", [40, pytest.param(1_000, marks=LONG)])
async def test_cuts_at_any_moment_lose_and_double_nothing(proxy: Proxy, connections: int) -> None:
    seed = int(os.environ.get("CHAOS_SEED", "0")) or random.randrange(10**9)
    chance = random.Random(seed)

    async def cutting() -> None:
        while proxy.connections < connections:
            await asyncio.sleep(chance.uniform(0.03, 0.12))
            proxy.cut()

    async with a_cluster_store(proxy.dsn) as store:
        cutter = asyncio.ensure_future(cutting())
        acknowledged = 0
        while not cutter.done():
            await asyncio.gather(*(store.write(count_up) for _ in range(3)))
            acknowledged += 3
        there = await store.read(counted)

    assert there == acknowledged, f"seed {seed}"


async def test_a_listener_that_lost_its_connection_wakes_everybody_and_hears_again(cluster: str) -> None:
    async with a_cluster_store(cluster) as here, a_cluster_store(cluster) as there:
        await asyncio.sleep(0.2)
        mark = there.mark("never woken by name")
        with psycopg.connect(cluster, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
            )

        async with asyncio.timeout(10):
            await there.wait("never woken by name", mark, timeout_s=20)
        mark = there.mark(TOPIC)
        await here.write(lambda tx: emit(tx, "a"))
        async with asyncio.timeout(5):
            await there.wait(TOPIC, mark, timeout_s=20)


# --------------------------------------------------------------------------------------------------- servers that hang


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_falls_silent_is_told_within_its_time_and_used_again(proxy: Proxy) -> None:
    async with a_cluster_store(proxy.dsn, timeouts=QUICK) as store:
        await store.write(count_up)
        proxy.fall_silent()
        began = time.monotonic()

        with pytest.raises(StoreUnavailable):
            await store.write(count_up)
        took = time.monotonic() - began
        with pytest.raises(StoreUnavailable):
            await store.read(counted)

        assert took < 1 + PATIENCE_S + 2 * 2 + 1 + 2  # statement, patience, two connects, back, and some air
        proxy.speak_again()
        async with asyncio.timeout(15):
            while True:
                with suppress(StoreUnavailable):
                    await store.write(count_up)
                    break
        assert await store.read(counted) == 2


async def test_a_backend_that_is_stopped_is_left_behind(cluster: str) -> None:
    async with a_cluster_store(cluster, timeouts=QUICK) as store:
        await store.write(count_up)
        stopped = backend_of(store)
        os.kill(stopped, signal.SIGSTOP)
        try:
            async with asyncio.timeout(15):
                assert await store.write(count_up) == 2
        finally:
            os.kill(stopped, signal.SIGCONT)

        assert backend_of(store) != stopped
        assert await store.read(counted) == 2


@pytest.mark.parametrize("saying", ["nothing", "half a statement"])
async def test_a_process_stopped_inside_a_transaction_holds_its_locks_for_a_moment_only(
    cluster: str, saying: str
) -> None:
    zombie = textwrap.dedent(f"""
        import asyncio, os, signal, time
        from datetime import timedelta
        from tests.faults.launcher import HALF_A_STATEMENT
        from tests.store.test_postgresql_faults import QUICK, count_up
        from tocsin.store.postgresql_session import session_of
        from tocsin.testing import a_cluster_store

        stops = [True]

        def unit(tx):
            count = count_up(tx)
            if stops:
                stops.pop()
                if {saying!r} != "nothing":
                    os.write(session_of(tx.conn).pgconn.socket, HALF_A_STATEMENT)
                os.kill(os.getpid(), signal.SIGSTOP)
                time.sleep(0.5)  # another thread may take the signal, and this one go on for a moment
            return count

        async def main():
            async with a_cluster_store({cluster!r}, timeouts=QUICK) as store:
                print(await store.write(unit), flush=True)

        asyncio.run(main())
    """)
    async with a_cluster_store(cluster, timeouts=QUICK) as store:
        await store.write(count_up)
        process = subprocess.Popen([sys.executable, "-c", zombie], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 — is over at once
        try:
            await until_stopped(process.pid)
            began = time.monotonic()

            assert await store.write(count_up) == 2

            assert time.monotonic() - began < 8
        finally:
            process.send_signal(signal.SIGCONT)
            told, _ = await asyncio.to_thread(process.communicate, timeout=30)
        assert told.split()[-1] == "3"
        assert await store.read(counted) == 3


async def test_leases_are_renewed_while_a_write_waits_for_a_lock(cluster: str) -> None:
    clock = SystemClock()
    lasting = timedelta(seconds=2)
    async with a_cluster_store(cluster) as store, a_cluster_store(cluster) as turns:
        await store.write(count_up)
        lease = Lease("relay", store=store, turns=turns, clock=clock, holder="a", lasting=lasting)
        keeper = asyncio.create_task(lease.keep(), name="keeper")
        while lease.epoch is None:
            await asyncio.sleep(0.01)
        epoch = lease.epoch
        with psycopg.connect(cluster) as other:
            other.execute("SELECT FROM overlay FOR UPDATE")
            waiting = asyncio.create_task(store.write(count_up), name="waiting")

            await asyncio.sleep(2 * lasting.total_seconds())

            assert not waiting.done()
            assert lease.epoch == epoch
            other.rollback()
        assert await waiting == 2
        keeper.cancel()
        await asyncio.wait({keeper})


async def until_stopped(pid: int) -> None:
    async with asyncio.timeout(20):
        while True:
            with open(f"/proc/{pid}/stat") as stat:  # noqa: ASYNC230, PTH123 — a file of the kernel's memory
                if stat.read().rpartition(")")[2].split()[0] == "T":
                    return
            await asyncio.sleep(0.02)


# ------------------------------------------------------------------------------------------------- servers that stop


@pytest.mark.parametrize("stops", [4, pytest.param(25, marks=LONG)])
async def test_a_server_that_stops_without_saving_loses_nothing_acknowledged(
    own_server: PostgresqlServer, stops: int
) -> None:
    acknowledged: list[str] = []
    done = asyncio.Event()

    async def working(name: str, store: PostgresqlStore) -> int:
        counts = 0
        number = 0
        while not done.is_set():
            number += 1
            with suppress(StoreUnavailable):
                await store.write(lambda tx: (emit(tx, f"{name}{number}"), count_up(tx)))  # noqa: B023 — is awaited
                acknowledged.append(f"{name}{number}")
                counts += 1
        return counts

    async with a_cluster_store(own_server.create_database()) as store, asyncio.TaskGroup() as tasks:
        workers = [tasks.create_task(working(name, store)) for name in "abc"]
        gaps = []
        for _ in range(stops):
            await asyncio.sleep(random.uniform(0.2, 0.6))
            before = len(acknowledged)
            await asyncio.to_thread(own_server.stop, "immediate")
            await asyncio.to_thread(own_server.start)
            began = time.monotonic()
            while len(acknowledged) <= before + 3:
                await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - began)
        done.set()
        counts = [await worker for worker in workers]
        stored = await store.read(taken)
        total = await store.read(counted)

    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))
    assert total == len(stored) == sum(counts)
    assert max(gaps) < 5


@pytest.mark.usefixtures("impatient")
async def test_a_server_made_read_only_is_told_and_used_again_when_it_is_not(own_server: PostgresqlServer) -> None:
    async with a_cluster_store(own_server.create_database(), timeouts=QUICK) as store:
        await store.write(count_up)
        set_read_only(own_server, "on")

        with pytest.raises(StoreUnavailable, match="read-only"):
            await store.write(count_up)
        assert "read-only" in store.trouble()[0]

        set_read_only(own_server, "off")
        assert await store.write(count_up) == 2
        assert not store.trouble()


def set_read_only(server: PostgresqlServer, value: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        connection.execute("SELECT pg_reload_conf()")
    time.sleep(0.3)


async def test_a_full_disk_is_told_as_full_and_heals(own_server: PostgresqlServer) -> None:
    dsn = own_server.create_database()
    async with a_cluster_store(dsn) as store:
        await store.write(count_up)
    with psycopg.connect(dsn) as connection:
        (file,) = connection.execute("SELECT pg_relation_filepath('stream_records')").fetchone() or ("",)
    own_server.stop()
    path = own_server.data / file
    path.rename(path.with_suffix(".kept"))
    path.symlink_to("/dev/full")  # what grows here finds no space left on device
    own_server.start()

    async with a_cluster_store(dsn) as store:
        with pytest.raises(StoreFull, match="No space left on device"):
            await store.write(lambda tx: emit(tx, "a"))
        assert await store.write(count_up) == 2  # what needs no more room goes on

        own_server.stop()
        path.unlink()
        path.with_suffix(".kept").rename(path)
        own_server.start()
        assert await store.write(lambda tx: emit(tx, "a"))


async def test_a_full_outbox_closes_the_door_to_articles_and_to_nothing_else(
    cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_commits, "OUTBOX_LIMIT", 50)
    monkeypatch.setattr(postgresql_commits, "LOOK_EVERY_S", 0.0)
    numbers = count()

    def accept(tx: Tx) -> bool:
        tx.require_room()
        return emit(tx, f"{next(numbers)}")

    async with a_cluster_store(cluster) as store, asyncio.timeout(30):
        with pytest.raises(StoreFull, match="wait for the brokers"):
            while True:
                await store.write(accept)
        assert await store.write(count_up) == 1
        assert "wait for the brokers" in store.trouble()[0]

        await store.write(lambda tx: tx.conn.exec_driver_sql("SELECT pg_stat_reset()"))  # as a crash of the server does
        with pytest.raises(StoreFull, match="wait for the brokers"):
            await store.write(accept)

        await store.write(lambda tx: tx.conn.exec_driver_sql("DELETE FROM stream_records"))
        while True:
            with suppress(StoreFull):
                await store.write(accept)
                break
            await asyncio.sleep(0.1)
        assert not store.trouble()


# ------------------------------------------------------------------------------------------------------- fail-over


async def test_of_several_hosts_the_one_that_can_write_is_used(cluster: str) -> None:
    closed = "127.0.0.1:1"
    head, _, tail = cluster.rpartition("@")

    async with a_cluster_store(f"{head}@{closed},{tail}") as store:
        assert await store.write(count_up) == 1


async def test_a_fail_over_to_the_standby_loses_nothing_acknowledged(own_server: PostgresqlServer) -> None:
    dsn = own_server.create_database()
    with a_standby_of(own_server) as standby:
        head, _, tail = dsn.rpartition("@")
        both = f"{head}@127.0.0.1:{standby.port},{tail}"  # the standby first: it is passed over while it is one
        acknowledged: list[str] = []

        async def working(store: PostgresqlStore) -> None:
            for number in count():
                with suppress(StoreUnavailable):
                    await store.write(lambda tx: (emit(tx, f"{number}"), count_up(tx)))  # noqa: B023 — is awaited
                    acknowledged.append(f"{number}")

        async with a_cluster_store(both, timeouts=QUICK) as store:
            worker = asyncio.ensure_future(working(store))
            await asyncio.sleep(0.5)
            before = len(acknowledged)
            await asyncio.to_thread(own_server.stop, "immediate")
            with psycopg.connect(standby.dsn(), autocommit=True) as connection:
                connection.execute("SELECT pg_promote()")
                connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
                connection.execute("SELECT pg_reload_conf()")
            async with asyncio.timeout(20):
                while len(acknowledged) <= before + 10:
                    await asyncio.sleep(0.02)
            worker.cancel()
            stored, total = await store.read(lambda tx: (taken(tx), counted(tx)))

    assert before > 0
    assert set(acknowledged) <= set(stored)
    assert total == len(stored) == len(set(stored))


@contextmanager
def a_standby_of(primary: PostgresqlServer) -> Iterator[PostgresqlServer]:
    """Run a second server that has every commit before it is acknowledged."""
    folder = scratch("postgresql")
    standby = PostgresqlServer(folder, settings={})
    standby._password = primary._password
    try:
        if standby._user is not None:
            shutil.chown(folder, standby._user)
        copy = (programs().folder / "pg_basebackup", "-d", primary.dsn(), "-D", standby.data, "-R", "-c", "fast", "-N")
        run(copy, user=standby._user, environment=programs().environment)
        standby.start()
        with psycopg.connect(primary.dsn(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")
        yield standby
    finally:
        if standby.is_running:
            standby.stop("immediate")
        discard(folder)


def test_nothing_of_this_left_a_thread_behind() -> None:
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("store-")]

    assert left == []
