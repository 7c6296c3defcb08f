"""Reads everything that is stored once, and says what is not as it was written.

Three kinds of damage look different: a sealed value whose checksum does not match, an index that says other things
than its table, a page that makes no sense. Each finding says what becomes of it and what to do.
"""

from __future__ import annotations

import re
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import LargeBinary, NullPool, Table, create_engine, func, select, type_coerce, update
from sqlalchemy.exc import DBAPIError

from tocsin.errors import RecordUnreadable
from tocsin.store import dead_letters, everything, replays, topics
from tocsin.store.archive import BUSY_S, files_of, is_damage
from tocsin.store.commit_counter import CommitCounter, counters
from tocsin.store.ingest_tables import feeds
from tocsin.store.schema import Sealed, unseal

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Column, Connection
    from sqlalchemy.sql.elements import ColumnElement

Progress = Callable[[str, int, int], None]  # of what, how much is done, of how much
AT_ONCE: Final = 500
TOLD_AT_MOST: Final = 1_000  # lines of one check of SQLite's
_INDEX: Final = re.compile(r"\bindex (\S+)")

_TABLES: Final = everything.metadata.sorted_tables
# What to do about a damaged value, by table; elsewhere nothing can be done but to know of it.
_ADVICE: Final[Mapping[str, str]] = {
    "stream_records": "who has not read it yet will set it aside, the others go on",
    "feeds": "the feed is read as if nothing of it were known; what it still shows is recognised by its articles",
    "incidents": "news of it will be set aside; tocsin dead-letters shows which",
    "burst_series": "news of that country and topic will not be counted, but set aside",
    "burst_articles": "a burst that it belongs to cannot be told; tocsin dead-letters shows which",
    "incident_alerts": "it cannot be shown any more; who was to be told of it has a copy",
    "notifier_alerts": "messages that quote it and are not sent yet will be given up",
    "dead_letters": "it cannot be replayed; tocsin dead-letters drop forgets it",
    "stream_replays": "it is set aside once more",
}
_NOT_AN_INDEX: Final = (
    "stop the service, keep a copy of tocsin.db, put the last good copy in its place or begin without one: what the"
    " feeds still show is fetched again"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it was written. `repairable` is what `--repair` can mend."""

    part: str
    what: str
    advice: str
    repairable: bool = False


def scrub(store: Path, archive: Path, *, writable: bool, repair: bool = False, progress: Progress) -> Iterator[Finding]:
    """Read the store's file and the archive's, all of it; *writable* when no service has them open.

    With *repair* what is repairable is mended, and what still is not right afterwards is found.
    """
    try:
        with closing(_opened(store, writable=writable)) as conn:
            progress("pages and indexes", 0, 1)
            found = [*counter_findings(store, conn), *shape_findings(conn, store.name)]
            if repair and any(finding.repairable for finding in found):
                conn.execute("REINDEX")
                found = [*counter_findings(store, conn), *shape_findings(conn, store.name)]
            progress("pages and indexes", 1, 1)
            yield from found
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        yield Finding(part=store.name, what=str(error), advice=_NOT_AN_INDEX)
    yield from _rows(store, writable=writable, repair=repair, progress=progress)
    yield from archive_findings(archive, progress)


def lost(store: Path, *, writable: bool) -> Iterator[Finding]:
    """Look for lost commits only."""
    with closing(_opened(store, writable=writable)) as conn:
        yield from counter_findings(store, conn)


def _opened(path: Path, *, writable: bool) -> sqlite3.Connection:
    conn = sqlite3.connect(f"{path.absolute().as_uri()}?mode={'rw' if writable else 'ro'}", uri=True, timeout=BUSY_S)
    conn.isolation_level = None
    return conn


def _rows(store: Path, *, writable: bool, repair: bool, progress: Progress) -> Iterator[Finding]:
    engine = create_engine(
        "sqlite://",
        creator=lambda: _opened(store, writable=writable),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    try:
        with engine.connect() as conn:
            found = list(row_findings(conn, progress))
            if repair and any(finding.repairable for finding in found):
                mend_rows(conn, found)
                found = list(row_findings(conn, progress))
            yield from found
    except DBAPIError as error:  # a page that makes no sense, told by now
        yield Finding(part=store.name, what=f"not all rows can be read: {error.orig}", advice=_NOT_AN_INDEX)
    finally:
        engine.dispose()


# ------------------------------------------------------------------------------------------- rows, on any database


def row_findings(conn: Connection, progress: Progress) -> Iterator[Finding]:
    """Verify every checksum there is, and that no cursor stands where the stream has never been."""
    for table in _TABLES:
        checks = list(_checks(table))
        if checks:
            yield from _table_findings(conn, table, checks, progress)
    yield from _cursor_findings(conn)


_Check = tuple["ColumnElement[bytes]", "ColumnElement[int] | None"]  # the bytes; their checksum where it is not inside


def _checks(table: Table) -> Iterator[_Check]:
    for column in table.c:
        if isinstance(column.type, Sealed) or column is topics.records.c.value:
            yield type_coerce(column, LargeBinary), None
    if table in (dead_letters.dead_letters, replays.replays):
        yield table.c.value, table.c.checksum


def _table_findings(conn: Connection, table: Table, checks: list[_Check], progress: Progress) -> Iterator[Finding]:
    total = conn.execute(select(func.count()).select_from(table)).scalar() or 0
    keys: list[Column[Any]] = list(table.primary_key.columns)
    wanted = [*keys, *(part for check in checks for part in check if part is not None)]
    done = 0
    for row in conn.execution_options(yield_per=AT_ONCE).execute(select(*wanted)):
        if done % AT_ONCE == 0:
            progress(f"checksums of {table.name}", done, total)
        done += 1
        name, values = " ".join(str(part) for part in row[: len(keys)]), iter(row[len(keys) :])
        for _, apart in checks:
            value, checksum = next(values), None if apart is None else next(values)
            if value is None or (apart is not None and checksum is None):
                continue
            if not _is_whole(bytes(value), checksum):
                yield Finding(
                    part=table.name,
                    what=f"{name}: checksum does not match",
                    advice=_ADVICE.get(table.name, ""),
                    repairable=table.name == "feeds",
                )
    progress(f"checksums of {table.name}", total, total)


def _is_whole(value: bytes, checksum: int | None) -> bool:
    if checksum is not None:
        return zlib.crc32(value) == checksum
    try:
        unseal(value, what="")
    except RecordUnreadable:
        return False
    return True


def mend_rows(conn: Connection, found: Iterable[Finding]) -> None:
    """Put right what of *found* can be: a feed's window is forgotten, a cursor goes back to the first record kept."""
    parts = {finding.part for finding in found if finding.repairable}
    if feeds.name in parts:
        window = feeds.c.window
        rows: Sequence[Any] = conn.execute(select(feeds.c.id, type_coerce(window, LargeBinary))).all()
        for name, value in rows:
            if value is not None and not _is_whole(bytes(value), None):
                conn.execute(update(feeds).where(feeds.c.id == name).values(window=None, body_hash=None))
    if topics.cursors.name in parts:
        last = _last(conn)
        astray = (topics.cursors.c.position < 0) | (topics.cursors.c.position > last + 1)
        conn.execute(update(topics.cursors).where(astray).values(position=0))


def _last(conn: Connection) -> int:
    """Return the highest offset ever given."""
    return int(conn.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'stream_records'").scalar() or 0)


def _cursor_findings(conn: Connection) -> Iterator[Finding]:
    """Find cursors beyond the last record that any topic ever had: their groups would pass over what comes."""
    if conn.dialect.name != "sqlite":
        return  # there the broker has the records, and its own checks
    last = _last(conn)
    c = topics.cursors.c
    for group, topic, position in conn.execute(select(c.consumer_group, c.topic, c.position)):
        if not 0 <= position <= last + 1:
            yield Finding(
                part="stream_cursors",
                what=f"group {group!r} stands at {position} of {topic!r}, which ends at {last}",
                advice="it would pass over what comes; --repair sets it back to the first record that is kept",
                repairable=True,
            )


# ------------------------------------------------------------------------------------------------ SQLite's own file


def shape_findings(conn: sqlite3.Connection, part: str) -> Iterator[Finding]:
    """Have SQLite verify pages, tables and indexes of one file."""
    try:
        indexes = {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
        roots = dict(conn.execute("SELECT rootpage, name FROM sqlite_master WHERE type = 'index'"))
        lines = [line for (line,) in conn.execute(f"PRAGMA integrity_check({TOLD_AT_MOST})")]
        lines += [
            f"{table}: row {row} points to nothing" for table, row, *_ in conn.execute("PRAGMA foreign_key_check")
        ]
    except sqlite3.DatabaseError as error:
        yield Finding(part=part, what=str(error), advice=_NOT_AN_INDEX)
        return
    for line in lines if lines != ["ok"] else ():
        named = _INDEX.search(line)
        tree = re.match(r"Tree (\d+)", line)
        index = named is not None and named[1] in indexes
        index = index or (tree is not None and int(tree[1]) in roots)
        advice = "--repair builds it anew from its table" if index else _NOT_AN_INDEX
        yield Finding(part=part, what=line, advice=advice, repairable=index)


def counter_findings(path: Path, conn: sqlite3.Connection) -> Iterator[Finding]:
    """Compare the commits that the file knows with those that were noted beside it."""
    note = path.with_suffix(".commits")
    if not note.exists():
        return
    counter = CommitCounter(note)
    try:
        noted = counter.last()  # before the row: a service that runs meanwhile counts the row up first
    finally:
        counter.close()
    row = conn.execute(f"SELECT value FROM {counters.name} WHERE name = 'commits'").fetchone()  # noqa: S608  a name of ours
    counted = row[0] if row is not None else 0
    if noted > counted:
        yield Finding(
            part=note.name,
            what=f"{noted - counted} commits are lost: the log was damaged",
            advice="the next start says so, too, and has every feed fetched again",
        )


# --------------------------------------------------------------------------------------------------------- the archive


def archive_findings(folder: Path, progress: Progress) -> Iterator[Finding]:
    """Read every record of every month's file."""
    paths = files_of(folder)
    for place, path in enumerate(paths):
        progress(f"archive {path.name}", place, len(paths))
        advice = "the file is put by when it is next written to; what it holds of the stream is archived no more"
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as conn:
                bad = [line for (line,) in conn.execute(f"PRAGMA integrity_check({TOLD_AT_MOST})") if line != "ok"]
                yield from (Finding(part=path.name, what=line, advice=advice) for line in bad)
                for kind, name, value in conn.execute("SELECT kind, id, value FROM records"):
                    try:
                        zlib.decompress(value)
                    except (zlib.error, TypeError) as error:
                        what = f"{kind} {name}: {error}"
                        yield Finding(part=path.name, what=what, advice="this one record cannot be read any more")
        except sqlite3.DatabaseError as error:
            yield Finding(part=path.name, what=str(error), advice=advice)
    progress("archive", len(paths), len(paths))
