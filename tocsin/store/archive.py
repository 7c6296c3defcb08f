"""What was read and rung, by month: the stream forgets, the archive keeps.

One SQLite file a month, or several when a month is large, with full-text search. Nothing is ever deleted from a
file (a contentless index of SQLite 3.40 cannot); retention drops whole files, the oldest first. A damaged file is
put by under another name, and its month goes on in a new one.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import weakref
import zlib
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

import structlog

from tocsin.errors import StoreFull, StoreUnavailable
from tocsin.store.schema import EPOCH, MICROSECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import timedelta
    from pathlib import Path

log = structlog.get_logger()

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, key TEXT NOT NULL,
    seen_at INTEGER NOT NULL, url TEXT NOT NULL, value BLOB NOT NULL, UNIQUE (kind, id)
);
CREATE INDEX IF NOT EXISTS records_key ON records (kind, key);
CREATE INDEX IF NOT EXISTS records_url ON records (url) WHERE url <> '';
CREATE INDEX IF NOT EXISTS records_seen ON records (kind, seen_at, id);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(title, text, content='', tokenize='unicode61');
"""
_NAME = re.compile(r"archive-(?P<month>\d{4}-\d{2})\.(?P<part>\d{3})\.db")
BUSY_S = 5.0
PARTS = 8  # files that the allowed size is cut into: what trimming drops at once is at most this share
DAMAGED = ".damaged"
_WORD = re.compile(r"\w+")
_COMPRESSION = 1  # a third of the size of JSON, and fast enough for thousands a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One record for the archive; *kind* is its topic, *value* its bytes on the stream, *key* the stream's key."""

    kind: str
    id: str
    key: str
    seen_at: datetime
    url: str = ""
    title: str = ""
    text: str = ""
    value: bytes = b""


class FileArchive:
    """The month files under one folder, `size` bytes at most. Every method blocks: call it in a thread."""

    def __init__(self, folder: Path, *, size: int) -> None:
        self._folder = folder
        self.size = size
        self._writing = _Writing()
        weakref.finalize(self, self._writing.close)

    def close(self) -> None:
        """Let go of the file that is being written; it is opened again when there is more to keep."""
        self._writing.close()

    def put(self, kept: Sequence[Kept]) -> None:
        """Keep records; what is there already stays as it is.

        Raises:
            StoreFull, StoreUnavailable: nothing of the last month tried was kept.
        """
        by_month: dict[str, list[Kept]] = {}
        for record in kept:
            by_month.setdefault(record.seen_at.astimezone(UTC).strftime("%Y-%m"), []).append(record)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for month, records in by_month.items():
                self._put_in(month, records)
        except OSError as error:
            raise StoreUnavailable(f"archive {self._folder}: {error}") from error

    def latest(self, kind: str, *, limit: int, before: tuple[datetime, str] | None = None) -> list[Kept]:
        """Return a page, the newest first; *before* is the instant and id of the last one seen."""
        query = "SELECT * FROM records WHERE kind = ? AND (seen_at, id) < (?, ?) ORDER BY seen_at DESC, id DESC LIMIT ?"
        instant, last = ((before[0] - EPOCH) // MICROSECOND, before[1]) if before else (2**63 - 1, "")
        until = before[0].astimezone(UTC).strftime("%Y-%m") if before else "9999-12"
        found: list[Kept] = []
        for month, paths in groupby(self._newest_first(), key=lambda path: path.name[8:15]):
            if month > until:
                continue
            for rows in _asked(paths, query, (kind, instant, last, limit)):  # the parts of a month overlap in time
                found += rows
            found = _once(found)
            if len(found) >= limit:
                break
        return sorted(found, key=lambda kept: (kept.seen_at, kept.id), reverse=True)[:limit]

    def by_key(self, kind: str, key: str) -> list[Kept]:
        """Return all of one key, the newest first."""
        query = "SELECT * FROM records WHERE kind = ? AND key = ? ORDER BY seen_at DESC"
        return _once(row for rows in _asked(self._newest_first(), query, (kind, _storable(key))) for row in rows)

    def by_url(self, kind: str, url: str) -> list[Kept]:
        """Return all of one URL, the newest first."""
        query = "SELECT * FROM records WHERE url = ? AND url <> '' AND kind = ? ORDER BY seen_at DESC"
        return _once(row for rows in _asked(self._newest_first(), query, (_storable(url), kind)) for row in rows)

    def search(self, kind: str, words: str, *, limit: int = 50) -> list[Kept]:
        """Return what holds all of *words* in title or text, the newest first."""
        terms = " ".join(f'"{word}"' for word in _WORD.findall(words))
        if not terms:
            return []
        query = (
            "SELECT records.* FROM words JOIN records ON records.number = words.rowid"
            " WHERE words MATCH ? AND kind = ? ORDER BY seen_at DESC LIMIT ?"
        )
        found: list[Kept] = []
        for rows in _asked(self._newest_first(), query, (terms, kind, limit)):
            found = _once((*found, *rows))
            if len(found) >= limit:
                break
        return found[:limit]

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each file by its name, the oldest first."""
        return {path.name: path.stat().st_size for path in files_of(self._folder)}

    def trim(self, *, now: datetime, keep: timedelta) -> list[str]:
        """Drop what ended before *keep* ago, then the oldest files while all together are larger than allowed.

        The file that is being written stays. Returns the names of what was dropped.
        """
        oldest_kept = (now - keep).astimezone(UTC).strftime("%Y-%m")
        dropped: list[str] = []
        for path in files_of(self._folder)[:-1]:
            named = _NAME.fullmatch(path.name)
            assert named is not None
            if named["month"] < oldest_kept or sum(self.sizes().values()) > self.size:
                self._writing.close(path)
                for part in (path, *path.parent.glob(f"{path.name}-*")):
                    part.unlink(missing_ok=True)
                dropped.append(path.name)
        for path in self._folder.glob(f"archive-*{DAMAGED}*"):
            named = _NAME.match(path.name)
            if named is not None and named["month"] < oldest_kept:
                path.unlink(missing_ok=True)
        return dropped

    def _put_in(self, month: str, records: Sequence[Kept]) -> None:
        while True:
            path = self._part(month)
            try:
                self._writing.insert(path, records)
            except sqlite3.DatabaseError as error:
                self._writing.close()
                if not is_damage(error):
                    full = error.sqlite_errorcode == sqlite3.SQLITE_FULL
                    raise (StoreFull if full else StoreUnavailable)(f"archive {path}: {error}") from error
                log.error("archive file put by", file=str(path), reason=str(error))  # noqa: TRY400 — the disk's trouble has no traceback
                for part in (path, *path.parent.glob(f"{path.name}-*")):
                    part.replace(part.with_name(part.name.replace(path.name, path.name + DAMAGED)))
            else:
                return

    def _part(self, month: str) -> Path:
        """Return the file that takes what *month* brings now."""
        parts = [path for path in files_of(self._folder) if path.name.startswith(f"archive-{month}.")]
        if not parts:
            return self._folder / f"archive-{month}.001.db"
        named = _NAME.fullmatch(parts[-1].name)
        assert named is not None
        log_file = parts[-1].with_name(f"{parts[-1].name}-wal")  # what is not in the file itself yet
        written = parts[-1].stat().st_size + (log_file.stat().st_size if log_file.exists() else 0)
        full = written > self.size // PARTS
        return self._folder / f"archive-{month}.{int(named['part']) + full:03}.db"

    def _newest_first(self) -> Iterator[Path]:
        return reversed(files_of(self._folder))


class _Writing:
    """The file written last, kept open: opening one, and closing it again, costs more than what a batch writes.

    A file that somebody else has moved away is let go of.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._conn: sqlite3.Connection | None = None
        self._path: Path | None = None
        self._inode = (0, 0)

    def insert(self, path: Path, records: Iterable[Kept]) -> None:
        """Put *records* into the file at *path*."""
        with self._lock:
            if self._conn is None or self._path != path or self._inode != _inode(path):
                self._close()
                self._conn, self._path = _made(path), path
                self._inode = _inode(path)
            _insert(self._conn, records)

    def close(self, path: Path | None = None) -> None:
        """Close the file if it is that at *path*, or whichever it is."""
        with self._lock:
            if path is None or path == self._path:
                self._close()

    def _close(self) -> None:
        conn, self._conn, self._path = self._conn, None, None
        if conn is not None:
            conn.close()


def _inode(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino


def files_of(folder: Path) -> list[Path]:
    """Return the files of the archive under *folder*, the oldest first."""
    return sorted(path for path in folder.glob("archive-*.db") if _NAME.fullmatch(path.name))


def _made(path: Path) -> sqlite3.Connection:
    """Open the file at *path* to write to it, and make it if need be."""
    conn = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
    try:
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute("PRAGMA synchronous=FULL")  # the cursor moves next, and nobody looks back
        conn.executescript(_SCHEMA)
    except sqlite3.Error:
        conn.close()
        raise
    return conn


def _asked(paths: Iterable[Path], query: str, values: tuple[object, ...]) -> Iterator[list[Kept]]:
    """Ask one file after the other; one that is damaged, or dropped meanwhile, is passed over."""
    for path in paths:
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_S)) as conn:
                conn.row_factory = sqlite3.Row
                yield list(_rows(conn.execute(query, values)))
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                log.error("archive file passed over", file=str(path), reason=str(error))  # noqa: TRY400 — the disk's trouble has no traceback
            elif path.exists() and "no such table" not in str(error):  # that one is just being made
                raise StoreUnavailable(f"archive {path}: {error}") from error


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Say whether *error* means that the file's bytes make no sense."""
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _insert(conn: sqlite3.Connection, records: Iterable[Kept]) -> None:
    with conn:
        for record in records:
            row = (
                record.kind,
                _storable(record.id),
                _storable(record.key),
                (record.seen_at - EPOCH) // MICROSECOND,
                _storable(record.url),
                zlib.compress(record.value, _COMPRESSION),
            )
            added = conn.execute(
                "INSERT INTO records (kind, id, key, seen_at, url, value) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                row,
            )
            if added.rowcount == 1 and (record.title or record.text):
                words = (added.lastrowid, _storable(record.title), _storable(record.text))
                conn.execute("INSERT INTO words (rowid, title, text) VALUES (?, ?, ?)", words)


def _storable(text: str) -> str:
    """Return *text* without halves of surrogates, which no UTF-8 can say."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _once(found: Iterable[Kept]) -> list[Kept]:
    """Leave out what was put a second time, into the next file, after a crash."""
    return list({(row.kind, row.id): row for row in found}.values())


def _rows(cursor: sqlite3.Cursor) -> Iterator[Kept]:
    for row in cursor:
        try:
            value = zlib.decompress(row["value"])
        except zlib.error as error:
            log.error("archived record unreadable", kind=row["kind"], record=row["id"], reason=str(error))  # noqa: TRY400 — a flipped bit has no traceback
            continue
        yield Kept(
            kind=row["kind"],
            id=row["id"],
            key=row["key"],
            seen_at=EPOCH + row["seen_at"] * MICROSECOND,
            url=row["url"],
            value=value,
        )
