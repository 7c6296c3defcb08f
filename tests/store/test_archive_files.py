"""The archive in month files: what only files can suffer."""

from __future__ import annotations

import os
import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.store.archived import kept
from tocsin.errors import StoreUnavailable
from tocsin.store.archive import FileArchive
from tocsin.testing import DAY, NOON

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_that_was_moved_away_while_it_was_written_is_written_no_more(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path / "archive", size=10**9)
    archive.put([kept("before")])
    (tmp_path / "archive").rename(tmp_path / "elsewhere")

    archive.put([kept("after")])

    assert [row.id for row in archive.latest("articles.v1", limit=9)] == ["after"]


def test_the_oldest_goes_first_when_the_archive_is_too_large(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path, size=4_000_000)
    for n in range(120):
        archive.put([kept(str(n), value=os.urandom(60_000))])

    dropped = archive.trim(now=NOON, keep=timedelta(days=90))

    assert dropped
    assert sum(archive.sizes().values()) <= 4_000_000
    assert archive.by_key("articles.v1", "0") == []
    assert len(archive.by_key("articles.v1", "119")) == 1


@pytest.mark.parametrize("at", [0, 4096], ids=["no database any more", "a damaged page"])
def test_a_damaged_file_is_put_by_and_the_archive_goes_on(tmp_path: Path, at: int) -> None:
    archive = FileArchive(tmp_path, size=10**9)
    archive.put([kept("old", at=NOON - 40 * DAY, title="Narva")])
    archive.put([kept(str(n), title="Narva", value=os.urandom(500)) for n in range(50)])
    archive.close()
    damaged = tmp_path / list(archive.sizes())[-1]
    with damaged.open("r+b") as raw:
        raw.seek(at)
        raw.write(b"\xff" * 40_000)

    found = archive.search("articles.v1", "narva")
    page = archive.latest("articles.v1", limit=9)
    archive.put([kept("new", title="Narva")])

    assert [row.id for row in found] == ["old"]
    assert [row.id for row in page] == ["old"]
    assert [row.id for row in archive.search("articles.v1", "narva")] == ["new", "old"]
    assert damaged.with_name(f"{damaged.name}.damaged").exists()


def test_what_was_put_by_is_dropped_with_its_month(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path, size=10**9)
    archive.put([kept("new")])
    (tmp_path / "archive-2020-01.001.db.damaged").touch()
    (tmp_path / f"archive-{NOON:%Y-%m}.009.db.damaged").touch()

    archive.trim(now=NOON, keep=timedelta(days=90))

    assert [path.name for path in tmp_path.glob("*.damaged")] == [f"archive-{NOON:%Y-%m}.009.db.damaged"]


def test_one_damaged_value_hides_no_other(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path, size=10**9)
    archive.put([kept("a", value=b"a" * 50), kept("b", value=b"b" * 50)])
    with sqlite3.connect(tmp_path / next(iter(archive.sizes()))) as raw:
        raw.execute("UPDATE records SET value = x'00' WHERE id = 'a'")
    raw.close()

    assert [row.id for row in archive.latest("articles.v1", limit=9)] == ["b"]


def test_a_folder_that_cannot_be_made_is_a_reason_to_wait(tmp_path: Path) -> None:
    (tmp_path / "archive").touch()

    with pytest.raises(StoreUnavailable, match="archive"):
        FileArchive(tmp_path / "archive", size=10**9).put([kept("a")])


def test_what_is_kept_again_after_a_crash_shows_once_though_a_new_file_was_begun(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path, size=4_000_000)
    batch = [kept(str(n), title="Narva", value=os.urandom(60_000)) for n in range(10)]

    for _ in range(2):
        archive.put(batch)

    assert len(archive.sizes()) == 2
    assert len(archive.latest("articles.v1", limit=99)) == 10
    assert len(archive.search("articles.v1", "narva")) == 10
    assert len(archive.by_key("articles.v1", "3")) == 1
