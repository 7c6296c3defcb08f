"""What is SQLite's own: lost commits, the quota, damaged rows."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tocsin.errors import StoreDamaged, StoreFull
from tocsin.store.commit_counter import CommitCounter
from tocsin.store.sqlite import SqliteStore
from tocsin.testing import NOON, a_store

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.store.tx import Tx

TOPIC = "articles.v1"


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
        await store.write(lambda tx: tx.topics.trim(TOPIC, before=NOON + timedelta(days=40_000)))

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
