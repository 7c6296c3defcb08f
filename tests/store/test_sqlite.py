"""What is SQLite's own: lost commits, the quota, damaged rows."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tocsin.clock import SystemClock
from tocsin.errors import StoreDamaged, StoreFull, StoreUnavailable
from tocsin.store.commit_counter import CommitCounter
from tocsin.store.ingest_tables import FeedSetting
from tocsin.store.sqlite import SqliteStore
from tocsin.store.writer import WAITING_UNITS
from tocsin.testing import NOON, a_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tocsin.store.tx import Tx

TOPIC = "articles.v1"


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


def emit(tx: Tx, name: str, size: int = 10) -> bool:
    return tx.emit(TOPIC, key=name, record_id=name, value=os.urandom(size))


async def test_commits_that_a_damaged_log_swallowed_are_counted_at_the_next_start(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tocsin.db")
    await store.open()
    for n in range(20):
        await store.write(lambda tx, n=n: emit(tx, str(n)))  # type: ignore[misc]  # mypy infers no lambda with defaults
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("tocsin.db", "tocsin.db-wal", "tocsin.commits"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    await store.close()
    wal = bytearray((copy / "tocsin.db-wal").read_bytes())
    wal[len(wal) * 3 // 4] ^= 0xFF
    (copy / "tocsin.db-wal").write_bytes(bytes(wal))

    async with a_store(copy) as damaged:
        lost = damaged.lost_commits
        left = await damaged.read(lambda tx: len(tx.topics.fetch(TOPIC, start=0, most=99)))

    assert lost == 20 - left
    assert lost > 0
    async with a_store(copy) as again:
        assert again.lost_commits == 0


async def test_a_clean_start_has_lost_nothing(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await asyncio.gather(*(store.write(lambda tx, n=n: emit(tx, str(n))) for n in range(50)))  # type: ignore[misc]  # mypy infers no lambda with defaults

    async with a_store(tmp_path) as store:
        assert store.lost_commits == 0


async def test_a_damaged_row_is_handed_on_as_damaged_and_the_next_is_whole(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await store.write(lambda tx: emit(tx, "a"))
        await store.write(lambda tx: emit(tx, "b"))
    with sqlite3.connect(tmp_path / "tocsin.db") as raw:
        raw.execute(
            "UPDATE stream_records SET value = CAST(x'00112233' || substr(value, 5) AS BLOB) WHERE record_id = 'a'"
        )
    raw.close()

    async with a_store(tmp_path) as store:
        rows = await store.read(lambda tx: tx.topics.fetch(TOPIC, start=0, most=9))

    assert [row.value is None for row in rows] == [True, False]


async def test_at_the_quota_no_article_is_accepted_but_state_still_moves(tmp_path: Path) -> None:
    def accept(tx: Tx, name: str) -> None:
        tx.require_room()
        emit(tx, name, size=20_000)

    async with a_store(tmp_path, quota_bytes=2_000_000) as store:
        with pytest.raises(StoreFull):
            for n in range(200):
                await store.write(lambda tx, n=n: accept(tx, str(n)))  # type: ignore[misc]  # mypy infers no lambda with defaults

        await store.write(lambda tx: tx.advance("g", TOPIC, 0, expect=0, to=1))
        assert await store.read(lambda tx: tx.topics.position("g", TOPIC)) == 1


async def test_beyond_the_quota_writing_fails_as_full_and_heals_by_trimming(tmp_path: Path) -> None:
    async with a_store(tmp_path, quota_bytes=2_000_000) as store:
        with pytest.raises(StoreFull):
            for n in range(400):
                await store.write(lambda tx, n=n: emit(tx, str(n), size=20_000))  # type: ignore[misc]  # mypy infers no lambda with defaults

        await store.write(lambda tx: tx.advance("g", TOPIC, 0, expect=0, to=10**9))
        await store.write(
            lambda tx: tx.topics.trim(TOPIC, groups=["g"], now=NOON + timedelta(days=40_000), keep=timedelta(days=1))
        )

        assert await store.write(lambda tx: emit(tx, "again", size=20_000))


async def test_a_file_that_is_no_database_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "tocsin.db").write_bytes(b"this is a letter to my aunt" * 100)

    with pytest.raises(StoreDamaged):
        async with a_store(tmp_path):
            pass


def test_a_torn_count_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "c"
    counter = CommitCounter(path)
    for n in range(1, 8):
        counter.note(n)
    raw = bytearray(path.read_bytes())
    raw[12] ^= 0xFF  # the slot of odd counts: 7
    path.write_bytes(bytes(raw))

    assert counter.last() == 6
    counter.close()


@asynccontextmanager
async def held_up(store: SqliteStore) -> AsyncIterator[None]:
    """Keep the writer busy, so that what is written meanwhile comes into one commit."""
    go = threading.Event()
    first = asyncio.ensure_future(store.write(lambda _tx: go.wait(20)))
    await asyncio.sleep(0.05)
    try:
        yield
    finally:
        await asyncio.sleep(0.05)
        go.set()
        await first


async def test_a_unit_that_takes_the_whole_transaction_with_it_does_not_hurt_its_neighbours(tmp_path: Path) -> None:
    told: list[str] = []

    def telling(tx: Tx, name: str, size: int = 1) -> bool:
        tx.after(lambda: told.append(name))
        return emit(tx, name, size=size)

    async with a_store(tmp_path, quota_bytes=2_000_000) as store:
        async with held_up(store):
            before = asyncio.ensure_future(store.write(partial(telling, name="before")))
            greedy = asyncio.ensure_future(store.write(partial(telling, name="greedy", size=5_000_000)))
            after = asyncio.ensure_future(store.write(partial(telling, name="after")))

        with pytest.raises(StoreFull):
            await greedy
        assert await before
        assert await after
        rows = await store.read(lambda tx: tx.topics.fetch(TOPIC, start=0, most=9))
        assert [row.id for row in rows] == ["before", "after"]
        assert told == ["before", "after"]


async def test_closing_leaves_no_log_behind(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await store.write(lambda tx: emit(tx, "a"))
        await store.read(lambda tx: tx.topics.lag())

    assert sorted(await asyncio.to_thread(os.listdir, tmp_path)) == ["tocsin.commits", "tocsin.db"]


async def test_a_mistake_in_the_sql_of_a_unit_is_no_reason_to_wait(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        with pytest.raises(Exception, match="no such column") as caught:
            await store.write(lambda tx: tx.conn.exec_driver_sql("SELECT nonsense"))

    assert not isinstance(caught.value, StoreUnavailable)


async def test_damaged_pages_are_told_as_damage_and_not_blamed_on_a_record(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        for n in range(30):
            await store.write(lambda tx, n=n: emit(tx, str(n), size=2_000))  # type: ignore[misc]  # mypy infers no lambda with defaults
        root = await store.read(
            lambda tx: tx.conn.exec_driver_sql(
                "SELECT rootpage FROM sqlite_master WHERE name = 'stream_records'"
            ).scalar_one()
        )
    with (tmp_path / "tocsin.db").open("r+b") as raw:
        raw.seek((root - 1) * 4096)
        raw.write(b"\xff" * 64)

    async with a_store(tmp_path) as store:
        with pytest.raises(StoreDamaged, match=r"tocsin\.db"):
            await store.read(lambda tx: tx.topics.fetch(TOPIC, start=0, most=9))
        with pytest.raises(StoreDamaged, match=r"tocsin\.db"):
            await store.write(lambda tx: emit(tx, "next"))


async def test_a_commit_whose_count_cannot_be_noted_is_a_commit_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "tocsin.commits").symlink_to("/dev/full")

    async with a_store(tmp_path) as store:
        assert await store.write(lambda tx: emit(tx, "a"))
        assert [row.id for row in await store.read(lambda tx: tx.topics.fetch(TOPIC, start=0, most=9))] == ["a"]


async def test_a_count_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "tocsin.commits").mkdir()

    with pytest.raises(StoreUnavailable, match=r"tocsin\.commits"):
        async with a_store(tmp_path):
            pass


async def test_lost_commits_cost_the_validators_whoever_opens_the_store_first(tmp_path: Path) -> None:
    feed = FeedSetting(
        id="wire",
        url="https://n.example/feed",
        host="n.example",
        origin="file",
        owner="N",
        tier="wire",
        language=None,
        country=None,
        weight=1.0,
        verified=False,
    )
    async with a_store(tmp_path) as store:
        await store.write(lambda tx: tx.ingest.sync([feed], {"wire": NOON}))
        await store.write(lambda tx: tx.ingest.save("wire", {"etag": "x"}))
    counter = CommitCounter(tmp_path / "tocsin.commits")
    counter.note(1_000)
    counter.close()

    async with a_store(tmp_path) as looking:
        assert looking.lost_commits > 0

    async with a_store(tmp_path) as store:
        row = await store.read(lambda tx: tx.ingest.feed("wire"))
        assert row is not None
        assert row.etag is None


async def test_a_crowd_of_writers_takes_no_thread_from_others_and_is_answered_by_closing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tocsin.db")
    await store.open()
    async with held_up(store):
        crowd = [
            asyncio.ensure_future(store.write(lambda tx, n=n: emit(tx, str(n))))  # type: ignore[misc]  # mypy infers no lambda with defaults
            for n in range(WAITING_UNITS + 50)
        ]
        await asyncio.sleep(0)
        async with asyncio.timeout(2):
            await asyncio.to_thread(lambda: None)
        closing = asyncio.ensure_future(store.close())

    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*crowd, return_exceptions=True)
        await closing

    assert {type(outcome) for outcome in outcomes} <= {bool, StoreUnavailable}


async def test_trimming_looks_at_no_more_than_it_may_forget(tmp_path: Path) -> None:
    def look(tx: Tx) -> int:
        steps = 0

        def count() -> None:
            nonlocal steps
            steps += 100

        dbapi = tx.conn.connection.driver_connection
        assert isinstance(dbapi, sqlite3.Connection)
        dbapi.set_progress_handler(count, 100)
        tx.topics.trim(TOPIC, groups=["g"], now=SystemClock().now(), keep=timedelta(days=1), most=10)
        dbapi.set_progress_handler(None, 0)
        return steps

    async with a_store(tmp_path) as store:
        await store.write(lambda tx: tx.emit_all(TOPIC, [(str(n), str(n), b"x") for n in range(20_000)]))
        await store.write(lambda tx: tx.advance("g", TOPIC, 0, expect=0, to=1_000_000))

        assert await store.write(look) < 2_000


async def test_closing_does_not_wait_for_a_query_without_end(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "tocsin.db")
    await store.open()
    query = asyncio.ensure_future(store.read(lambda tx: tx.conn.exec_driver_sql(ENDLESS).scalar()))
    await asyncio.sleep(0.1)

    async with asyncio.timeout(5):
        await store.close()

    with pytest.raises(StoreUnavailable):
        await query
