"""What is PostgreSQL's own: several processes at once, texts it refuses, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from datetime import timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from psycopg import sql
from pydantic import ValidationError
from sqlalchemy import insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.servers.postgresql import PostgresqlServer
from tocsin.errors import Fenced, SettingsInvalid, StoreDamaged, StoreUnavailable
from tocsin.leases import LASTING
from tocsin.store import postgresql_session
from tocsin.store.overlay import Change, overlay
from tocsin.store.postgresql import PostgresqlStore
from tocsin.store.postgresql_wakes import channel_of, notifications
from tocsin.store.relayed import WAKE
from tocsin.store.settings import PostgresqlSettings, Timeouts
from tocsin.testing import DAY, NOON, a_cluster_store, a_cluster_transaction
from tocsin.yamlfile import parse, validate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Connection

    from tocsin.store.tx import Tx

TOPIC = "articles.v1"
PASSWORD = "s3cr3t-and-long"  # noqa: S105 — invented


def emit(tx: Tx, name: str) -> bool:
    return tx.emit(TOPIC, key=name, record_id=name, value=name.encode())


def taken(tx: Tx) -> list[str]:
    return [row.id for row in tx.topics.fetch(TOPIC, start=0, most=10_000)]


def change(value: str, *, id: str = "a") -> Change:  # noqa: A002 — the domain's own word
    return Change(kind="count", id=id, value=value, actor="test", at=NOON)


def count_up(tx: Tx, name: str = "a") -> int:
    """Read and write, so that two at once must not both have read the same."""
    before = tx.overlay.get("count", name)
    count = int(before.value) + 1 if before else 1
    tx.overlay.put(change(str(count), id=name))
    return count


@pytest.fixture
async def here(cluster: str) -> AsyncIterator[PostgresqlStore]:
    async with a_cluster_store(cluster) as store:
        yield store


@pytest.fixture
async def there(cluster: str) -> AsyncIterator[PostgresqlStore]:
    async with a_cluster_store(cluster) as store:
        yield store


# ------------------------------------------------------------------------------------------------------- several


async def test_of_two_that_race_for_a_cursor_one_moves_it_and_the_other_is_fenced(
    here: PostgresqlStore, there: PostgresqlStore
) -> None:
    for at in range(20):
        outcomes = await asyncio.gather(
            *(
                store.write(lambda tx, at=at: tx.advance("g", TOPIC, 0, expect=at, to=at + 1))  # type: ignore[misc]  # mypy infers no lambda with defaults
                for store in (here, there)
            ),
            return_exceptions=True,
        )

        assert [type(outcome) for outcome in outcomes if outcome is not None] == [Fenced]
    assert await here.read(lambda tx: tx.topics.position("g", TOPIC)) == 20


async def test_what_two_read_and_write_at_once_loses_nothing(here: PostgresqlStore, there: PostgresqlStore) -> None:
    counted = await asyncio.gather(*(store.write(count_up) for _ in range(40) for store in (here, there)))

    assert sorted(counted) == list(range(1, 81))


async def test_two_that_lock_each_other_out_both_get_through(here: PostgresqlStore, there: PostgresqlStore) -> None:
    await here.write(lambda tx: [count_up(tx, name) for name in "ab"])
    both = threading.Barrier(2, timeout=10)
    met = threading.local()

    def crossing(tx: Tx, order: str) -> None:
        count_up(tx, order[0])
        if not getattr(met, "already", False):
            met.already = True
            both.wait()
        count_up(tx, order[1])

    await asyncio.gather(
        here.write(lambda tx: crossing(tx, "ab")),
        there.write(lambda tx: crossing(tx, "ba")),
    )

    assert [each.value for each in await here.read(lambda tx: tx.overlay.all("count"))] == ["3", "3"]


async def test_what_follows_a_unit_that_had_to_run_again_happens_once(
    here: PostgresqlStore, there: PostgresqlStore
) -> None:
    await here.write(lambda tx: [count_up(tx, name) for name in "ab"])
    both = threading.Barrier(2, timeout=10)
    runs: list[str] = []
    told: list[str] = []

    def crossing(tx: Tx, order: str) -> None:
        count_up(tx, order[0])
        if order not in runs:
            runs.append(order)
            both.wait()
        else:
            runs.append(order)
        count_up(tx, order[1])
        tx.after(partial(told.append, order))

    await asyncio.gather(
        *(store.write(partial(crossing, order=order)) for store, order in ((here, "ab"), (there, "ba")))
    )

    assert len(runs) > 2
    assert sorted(told) == ["ab", "ba"]


async def test_what_two_find_missing_and_add_at_once_is_added_once(
    here: PostgresqlStore, there: PostgresqlStore
) -> None:
    both = threading.Barrier(2, timeout=10)
    met = threading.local()

    def adding(tx: Tx) -> str:
        found = tx.conn.execute(select(overlay).where(overlay.c.id == "a")).one_or_none()
        if not getattr(met, "already", False):
            met.already = True
            both.wait()
        if found is None:
            tx.conn.execute(insert(overlay), {"kind": "k", "id": "a", "value": "", "actor": "", "at": NOON})
        return "added" if found is None else "found"

    assert sorted(await asyncio.gather(here.write(adding), there.write(adding))) == ["added", "found"]


async def test_a_key_that_is_taken_for_good_is_the_unit_s_own_mistake(here: PostgresqlStore) -> None:
    row = {"kind": "k", "id": "a", "value": "", "actor": "", "at": NOON}
    await here.write(lambda tx: tx.conn.execute(insert(overlay), row))

    with pytest.raises(IntegrityError):
        await here.write(lambda tx: tx.conn.execute(insert(overlay), row))


async def listening(store: PostgresqlStore, *names: str) -> None:
    """Wait until *store* listens to *names*, which wakes each of them once."""
    for name in names:
        await store.wait(name, store.mark(name), timeout_s=5)
    await asyncio.sleep(0.1)


async def test_a_commit_wakes_who_waits_in_another_process(here: PostgresqlStore, there: PostgresqlStore) -> None:
    names = (WAKE, "timers:r", "it's a \\ ü", "n" * 100)
    await listening(there, *names)
    marks = {name: there.mark(name) for name in names}

    def unit(tx: Tx) -> None:
        emit(tx, "a")
        tx.timers.set("r", "k", "a", due=NOON)
        tx.wake("it's a \\ ü")
        tx.wake("n" * 100)

    await here.write(unit)

    async with asyncio.timeout(5):
        for name, mark in marks.items():
            await there.wait(name, mark, timeout_s=20)


async def test_what_was_undone_wakes_nobody(here: PostgresqlStore, there: PostgresqlStore) -> None:
    await listening(there, "a")
    mark = there.mark("a")

    def broken(tx: Tx) -> None:
        tx.wake("a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await here.write(broken)

    await there.wait("a", mark, timeout_s=0.2)
    assert there.mark("a") == mark


@given(names=st.sets(st.text(max_size=100)))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_name_has_a_channel_of_its_own_that_the_server_takes(cluster: str, names: set[str]) -> None:
    with psycopg.connect(cluster, autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel_of(name))))
        for statement in notifications(names):
            connection.execute(statement.encode())
        told = [told.channel for told in connection.notifies(timeout=0.5, stop_after=len(names))] if names else []

    assert sorted(told) == sorted(channel_of(name) for name in names)
    assert len({*told}) == len(names)


# ---------------------------------------------------------------------------------------------------------- emit


async def test_records_of_one_unit_keep_their_order_and_each_id_comes_once(here: PostgresqlStore) -> None:
    names = [f"{number:03}" for number in range(300)][::-1]

    fresh = await here.write(lambda tx: tx.emit_all(TOPIC, [(name, name, b"v") for name in (*names, "007", "007")]))
    again = await here.write(lambda tx: tx.emit_all(TOPIC, [("new", "new", b"v"), ("007", "007", b"v")]))

    assert (fresh, again) == (300, 1)
    assert await here.read(taken) == [*names, "new"]


async def test_an_id_is_known_after_its_record_went_to_the_broker(here: PostgresqlStore) -> None:
    await here.write(lambda tx: emit(tx, "a"))
    await here.write(lambda tx: tx.conn.exec_driver_sql("DELETE FROM stream_records"))

    assert not await here.write(lambda tx: emit(tx, "a"))
    assert await here.read(taken) == []


async def test_ids_are_forgotten_after_the_retention_and_what_waits_for_the_relay_is_not(here: PostgresqlStore) -> None:
    def fill(tx: Tx) -> None:
        for name, age in (("old", 4 * DAY), ("young", DAY), ("waiting", 4 * DAY)):
            tx.topics.append(TOPIC, key=name, record_id=name, value=b"", at=NOON - age)
            tx.topics.first_time("g", TOPIC, name, at=NOON - age)
        tx.conn.exec_driver_sql("DELETE FROM stream_records WHERE record_id <> 'waiting'")

    await here.write(fill)

    trimmed = await here.write(lambda tx: tx.topics.trim(TOPIC, groups=["g"], now=NOON, keep=3 * DAY))

    assert trimmed == 2
    assert await here.read(lambda tx: tx.topics.lag()) == {("relay", TOPIC): 1}
    assert [await here.write(partial(emit, name=name)) for name in ("waiting", "young", "old")] == [False, False, True]
    assert await here.read(taken) == ["waiting", "old"]
    assert await here.write(
        lambda tx: [tx.topics.first_time("g", TOPIC, name, at=NOON) for name in ("old", "young")]
    ) == [True, False]


# --------------------------------------------------------------------------------------------------------- texts


@given(text=st.text(st.characters(exclude_categories=())))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_text_that_postgresql_refuses_wedges_nothing(outside_connection: Connection, text: str) -> None:
    stored = outside_connection.exec_driver_sql("SELECT %(text)s::varchar", {"text": text}).scalar_one()

    assert len(stored) == len(text)
    assert "\x00" not in stored


@pytest.fixture
def outside_connection(cluster: str) -> Connection:
    with a_cluster_transaction(cluster) as tx:
        return tx.conn.engine.connect()


async def test_half_a_surrogate_and_a_nul_are_kept_as_what_they_are_not(here: PostgresqlStore) -> None:
    odd = "3 killed\x00 in \ud83d Narva"

    await here.write(lambda tx: tx.overlay.put(change(odd, id=odd)))
    await here.write(lambda tx: tx.emit_all(TOPIC, [(odd, odd, b"\x00")]))
    found = await here.read(lambda tx: tx.overlay.get("count", odd))

    assert found is not None
    assert found.value == "3 killed\N{REPLACEMENT CHARACTER} in ? Narva"
    assert not await here.write(lambda tx: tx.emit_all(TOPIC, [(odd, odd, b"")]))


# -------------------------------------------------------------------------------------------------------- errors


async def test_a_unit_that_goes_on_after_a_refused_statement_is_not_acknowledged(here: PostgresqlStore) -> None:
    def careless(tx: Tx) -> None:
        emit(tx, "a")
        with contextlib.suppress(DBAPIError):
            tx.conn.exec_driver_sql("SELECT nonsense")

    with pytest.raises(RuntimeError, match="refused"):
        await here.write(careless)

    assert await here.read(taken) == []


async def test_a_mistake_in_the_sql_of_a_unit_is_no_reason_to_wait(here: PostgresqlStore) -> None:
    outcomes = await asyncio.gather(
        here.write(lambda tx: emit(tx, "before")),
        here.write(lambda tx: tx.conn.exec_driver_sql("SELECT nonsense")),
        here.write(lambda tx: emit(tx, "after")),
        return_exceptions=True,
    )

    assert isinstance(outcomes[1], Exception)
    assert not isinstance(outcomes[1], StoreUnavailable)
    assert await here.read(taken) == ["before", "after"]


async def test_a_statement_that_takes_too_long_is_ended_and_costs_nobody_else(cluster: str) -> None:
    async with a_cluster_store(cluster, timeouts=Timeouts(statement=timedelta(seconds=1))) as store:
        slow = asyncio.ensure_future(store.write(lambda tx: tx.conn.exec_driver_sql("SELECT pg_sleep(60)")))
        quick = asyncio.ensure_future(store.write(lambda tx: emit(tx, "a")))

        async with asyncio.timeout(10):
            with pytest.raises(StoreUnavailable, match="statement timeout"):
                await slow
            assert await quick


async def test_a_wrong_password_is_told_without_it(cluster: str) -> None:
    name = cluster.rpartition("/")[2]
    host = cluster.rpartition("@")[2].partition("/")[0]
    store = PostgresqlStore(f"postgresql://tocsin:{PASSWORD}@{host}/{name}")

    with pytest.raises(StoreUnavailable, match=name) as caught:
        await store.open()
    await store.close()

    told = [str(caught.value), repr(caught.value), str(caught.value.__cause__)]
    assert not any(PASSWORD in words for words in told)


@pytest.mark.parametrize("dsn", [f"postgres {PASSWORD}", f"postgresql://u:{PASSWORD}@h:x y/?{PASSWORD}=1"])
def test_what_is_no_connection_string_is_told_without_showing_it(dsn: str) -> None:
    with pytest.raises(SettingsInvalid, match="no connection string") as caught:
        validate(PostgresqlSettings, parse(f"dsn: '{dsn}'".encode(), file="tocsin.yaml"))

    assert PASSWORD not in str(caught.value)


def test_a_process_that_is_stopped_never_holds_its_locks_longer_than_a_lease_lasts() -> None:
    longest = Timeouts.model_validate({"idle_in_transaction": "5s"})

    assert longest.idle_in_transaction < LASTING
    with pytest.raises(ValidationError):
        Timeouts.model_validate({"idle_in_transaction": "6s"})


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_what_others_could_read_on_the_way_is_refused_off_this_machine(mode: str) -> None:
    def asked(host: str) -> PostgresqlSettings:
        raw = f"dsn: 'postgresql://u:{PASSWORD}@{host}/d?sslmode={mode}'"
        return validate(PostgresqlSettings, parse(raw.encode(), file="tocsin.yaml"))

    for near in ("127.0.0.1:5432", "localhost", "[::1]", ""):
        assert asked(near).dsn.get_secret_value().endswith(mode)
    for far in ("db.example.org", "127.0.0.1,10.0.0.1:5432"):
        with pytest.raises(SettingsInvalid, match="verify-full"):
            asked(far)


def test_off_this_machine_nothing_is_said_in_plain_text_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def connected(conninfo: str, **_: object) -> None:
        asked.append(conninfo)
        raise psycopg.OperationalError

    monkeypatch.setattr(postgresql_session.Session, "connect", connected)
    for host in ("127.0.0.1", "db.example.org"):
        with pytest.raises(psycopg.OperationalError):
            postgresql_session.connect(f"postgresql://u@{host}/d", timeouts=Timeouts(), name="x")

    assert ["sslmode=require" in conninfo for conninfo in asked] == [False, True]


async def test_a_database_that_cannot_keep_every_text_stops_the_start(postgresql_shared: PostgresqlServer) -> None:
    with psycopg.connect(postgresql_shared.dsn(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")

    with pytest.raises(StoreDamaged, match="LATIN1"):
        async with a_cluster_store(postgresql_shared.dsn("latin")):
            pass


async def test_a_store_that_could_not_be_opened_can_be_opened_later(cluster: str) -> None:
    with psycopg.connect(cluster, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute("SELECT 1")
    admin = cluster.rpartition("/")[0] + "/postgres"
    store = PostgresqlStore(cluster)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        with pytest.raises(StoreUnavailable, match="not currently accepting connections"):
            await store.open()
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    await store.open()

    assert await store.write(lambda tx: emit(tx, "a"))
    await store.close()


async def test_closing_does_not_wait_for_a_query_without_end(cluster: str) -> None:
    store = PostgresqlStore(cluster)
    await store.open()
    query = asyncio.ensure_future(store.read(lambda tx: tx.conn.exec_driver_sql("SELECT pg_sleep(60)").scalar()))
    await asyncio.sleep(0.3)

    async with asyncio.timeout(5):
        await store.close()

    with pytest.raises(StoreUnavailable):
        await query


async def test_closing_leaves_no_connection_and_no_row_of_its_own_behind(cluster: str) -> None:
    async with a_cluster_store(cluster) as store:
        await store.write(lambda tx: emit(tx, "a"))
        await store.read(taken)
        assert store.bytes_on_disk() > 1_000_000

    with psycopg.connect(cluster) as connection:
        left = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        ).fetchone()
        rows = connection.execute("SELECT count(*) FROM store_counters").fetchone()
    assert (left, rows) == ((0,), (0,))


def test_who_runs_alone_needs_no_driver() -> None:
    asked = "import sys, tocsin.app, tocsin.cli.run; sys.exit('psycopg' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", asked], check=False, timeout=25).returncode == 0


async def test_the_outbox_keeps_a_record_that_stands_where_one_has_landed(cluster: str) -> None:
    async with a_cluster_store(cluster) as store:
        await store.write(lambda tx: tx.emit(TOPIC, key="a", record_id="new", value=b"new"))
        (waiting,) = await store.read(lambda tx: tx.outbox.lowest(most=10, most_bytes=10_000))

        await store.write(lambda tx: tx.outbox.remove_landed({waiting.position: "old"}))
        kept = await store.read(lambda tx: [one.id for one in tx.outbox.lowest(most=10, most_bytes=10_000)])
        await store.write(lambda tx: tx.outbox.remove_landed({waiting.position: "new"}))

        assert kept == ["new"]
        assert await store.read(lambda tx: tx.outbox.lowest(most=10, most_bytes=10_000)) == []


async def test_our_sessions_are_known_by_their_name_whatever_the_connection_string_calls_them(cluster: str) -> None:
    async with a_cluster_store(f"{cluster}?application_name=newsdesk") as store:
        name = await store.read(lambda tx: tx.conn.exec_driver_sql("SHOW application_name").scalar_one())

    assert name == "tocsin newsdesk"


async def test_a_waiting_record_is_removed_by_its_id_as_well_as_its_position(cluster: str) -> None:
    async with a_cluster_store(cluster) as store:
        await store.write(lambda tx: tx.emit("articles.v1", key="k", record_id="a", value=b"{}"))
        (row,) = await store.read(lambda tx: tx.outbox.lowest(most=9, most_bytes=99))

        assert await store.write(lambda tx: tx.outbox.remove({row.position: "another"})) == 0
        assert await store.write(lambda tx: tx.outbox.remove({row.position: "a"})) == 1


@pytest.mark.parametrize("seed", range(4))
async def test_what_waits_is_found_past_any_number_of_records_that_are_late(cluster: str, seed: int) -> None:
    chance = Random(seed)
    rows = [(f"{'late' if chance.random() < 0.99 else 'k'}{n % 7}", f"{n}", b"x" * 10) for n in range(11_000)]
    async with a_cluster_store(cluster) as store:
        await store.write(lambda tx: tx.emit_all(TOPIC, rows))
        landed = chance.sample(range(11_000), 100)
        every = await store.read(lambda tx: tx.outbox.lowest(most=11_000, most_bytes=10_000_000))
        but = frozenset(every[at].position for at in landed)
        wanted = [one.position for one in every if not one.key.startswith("late") and one.position not in but]
        found: list[int] = []
        above, most = 0, chance.randint(1, 60)
        while True:
            some, passed = await store.read(
                lambda tx, above=above, but=but: tx.outbox.lowest_but(  # type: ignore[misc]  # mypy infers no lambda with defaults
                    lambda _, key: key.startswith("late"), above=above, most=most, most_bytes=15 * most, but=but
                )
            )
            assert not any(above < position <= passed for position in set(wanted) - but)
            if not some:
                break
            found += [one.position for one in some]
            but |= {one.position for one in some}
            above = passed

    assert found == wanted
