"""The embedded store: one SQLite file, one writer thread that puts many units into one commit."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import structlog
from sqlalchemy import Engine, create_engine, event, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from tocsin import metrics
from tocsin.clock import Clock, SystemClock
from tocsin.errors import StoreDamaged, StoreFull, StoreUnavailable
from tocsin.store.commit_counter import CommitCounter, counters
from tocsin.store.migrate import migrate
from tocsin.store.schema import insert_ignore
from tocsin.store.trouble import QUOTA, Troubles
from tocsin.store.tx import Tx
from tocsin.store.wakes import Wakes
from tocsin.store.writer import Order, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

log = structlog.get_logger()

T = TypeVar("T")

READERS = 4
BUSY_TIMEOUT_MS = 5_000
PAGE_BYTES = 4096
RESERVE_SHARE = 0.1  # of the quota: kept from new articles, so that alerts and trimming still find room
NO_ROOM = "the store has used up its quota but for a reserve, and something must be trimmed first"
CLOSE_DEADLINE_S = 8.0
FULL_BELOW_BYTES = 1_000_000  # SQLite says "I/O error" when the disk has no room for what it keeps beside the file

# What passes: the file or the machine is not as it should be now. Every other error is the unit's own.
_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_PERM,
}
_NO_ROOM = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}  # what SQLite says instead when it is about another file
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_DATABASE_ERRORS = (DBAPIError, sqlite3.Error)  # the second from setting up a connection

_COUNT = update(counters).where(counters.c.name == "commits").values(value=counters.c.value + 1)


class _Torn(Exception):
    """A unit failed in a way that undid the whole transaction, its neighbours included."""


class SqliteStore:
    """`Store` on one file. `lost_commits` says how many commits a damaged log has cost, found at opening."""

    def __init__(self, path: Path, *, clock: Clock | None = None, quota_bytes: int | None = None) -> None:
        self.path = path
        self.lost_commits = 0
        self.quota_used = 0.0  # a share, as of the last commit
        self._clock = clock or SystemClock()
        self._quota_pages = None if quota_bytes is None else max(256, quota_bytes // PAGE_BYTES)
        self._engine = _engine(path)
        self._counter = CommitCounter(path.with_suffix(".commits"))
        self._wakes = Wakes()
        self._counter_works = True
        self._troubles = Troubles(str(path))
        self._writer = Writer(self._commit, wakes=self._wakes)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._reading = threading.local()
        self._read_conns: list[Connection] = []
        self._write_conn: Connection | None = None
        self._closed = False

    async def open(self) -> None:
        """Bring the schema up to date, look for lost commits and start the writer.

        Raises:
            StoreDamaged: the file is no database, or its schema is of a later version.
            StoreUnavailable: it cannot be opened now.

        """
        try:
            await asyncio.to_thread(self._prepare)
        except Exception:
            self._counter.close()
            raise
        self._writer.start()

    async def close(self) -> None:
        """Finish what is under way and let go of the file."""
        if self._closed:
            return
        self._closed = True
        ended = await self._writer.close(within_s=CLOSE_DEADLINE_S)
        if ended and self._write_conn is not None:
            await asyncio.to_thread(self._write_conn.close)
        await asyncio.to_thread(self._end_readers)
        if ended:  # else it may still write to the file, or to another that got its number
            self._counter.close()
        self._engine.dispose()

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Run *unit* in one transaction and answer after its commit (see `Store.write`)."""
        return await self._writer.write(unit)

    async def read(self, query: Callable[[Tx], T]) -> T:
        """Run *query* on a snapshot of what is committed; it cannot write."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)

    def bytes_on_disk(self) -> int:
        """Return the size of the file and its log; blocks for a moment."""
        parts = (self.path, self.path.with_name(f"{self.path.name}-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())

    def trouble(self) -> Sequence[str]:
        """Say why the store does not take what it is given, as of the last attempt."""
        return self._troubles.told()

    def mark(self, name: str) -> int:
        """Return a mark to hand to `wait`."""
        return self._wakes.mark(name)

    async def wait(self, name: str, mark: int, *, timeout_s: float) -> None:
        """Return once *name* was woken after *mark*, or after *timeout_s*."""
        await self._wakes.wait(name, mark, timeout_s=timeout_s)

    def _prepare(self) -> None:
        try:
            migrate(self._engine)
            conn = self._write_conn = self._engine.connect()
            conn.exec_driver_sql("BEGIN IMMEDIATE")
            insert_ignore(conn, counters, {"name": "commits", "value": 0})
            counted = conn.execute(select(counters.c.value).where(counters.c.name == "commits")).scalar_one()
            noted = self._counter.last()
            if noted > counted:
                self.lost_commits = noted - counted
                conn.execute(update(counters).where(counters.c.name == "commits").values(value=noted))
                # What was accepted in them is fetched again: no feed may answer "not modified". Now or never, for
                # from here on nothing says that they were lost.
                Tx(conn, self._clock).ingest.drop_validators()
            conn.exec_driver_sql("COMMIT")
            if self._quota_pages is not None:
                conn.exec_driver_sql(f"PRAGMA max_page_count={self._quota_pages}")
        except _DATABASE_ERRORS as error:
            raise self._translated(error) from error
        metrics.STORE_LOST_COMMITS.set(self.lost_commits)
        if self.lost_commits:
            log.error("commits were lost", store=str(self.path), commits=self.lost_commits)

    def _read(self, query: Callable[[Tx], T]) -> T:
        conn: Connection | None = getattr(self._reading, "conn", None)
        try:
            if conn is None:
                conn = self._reading.conn = self._engine.connect()
                conn.exec_driver_sql("PRAGMA query_only=1")
                self._read_conns.append(conn)
            conn.exec_driver_sql("BEGIN")
            try:
                return query(Tx(conn, self._clock))
            finally:
                conn.exec_driver_sql("ROLLBACK")
        except _DATABASE_ERRORS as error:
            raise self._translated(error) from error

    def _end_readers(self) -> None:
        """Cut the queries that are under way: whoever asked is going, too."""
        self._readers.shutdown(wait=False)
        for conn in self._read_conns:
            dbapi = conn.connection.driver_connection
            assert isinstance(dbapi, sqlite3.Connection)
            dbapi.interrupt()
        self._readers.shutdown()
        for conn in self._read_conns:
            conn.exec_driver_sql("SELECT 1")  # an interruption lasts until then, and would leave the log behind
            conn.close()

    def _commit(self, batch: Sequence[Order]) -> None:
        """Run *batch* in one commit and answer it. Runs in the writer's thread, to which the connection belongs."""
        conn = self._write_conn
        assert conn is not None
        woken: set[str] = set()
        try:
            conn.exec_driver_sql("BEGIN IMMEDIATE")
            has_room = self._has_room(conn)
            no_room = "" if has_room else NO_ROOM
            self._troubles.note(QUOTA, no_room)
            tx = Tx(conn, self._clock, no_room=no_room)
            for order in batch:
                self._run(tx, order)
            conn.execute(_COUNT)
            count = conn.execute(select(counters.c.value).where(counters.c.name == "commits")).scalar_one()
            conn.exec_driver_sql("COMMIT")
            self._note(count)
            woken = tx.woken
            metrics.STORE_COMMITS.inc()
            if all(order.error is None for order in batch):
                self._troubles.worked()
        except Exception as error:  # noqa: BLE001 — the one writer outlives any unit; each caller gets the error
            with contextlib.suppress(DBAPIError):
                conn.exec_driver_sql("ROLLBACK")
            if isinstance(error, _Torn) and len(batch) > 1:
                for order in batch:
                    self._commit([order])
                return
            for order in batch:
                order.error = order.error or self._failed(error)
                self._troubles.failed(order.error)
        self._writer.answer(batch, woken)

    def _note(self, count: int) -> None:
        """Note the count of a commit that stands, whatever becomes of the note."""
        try:
            self._counter.note(count)
        except OSError as error:
            if self._counter_works:
                log.error("commit count not noted", store=str(self.path), reason=str(error))  # noqa: TRY400 — the disk's trouble has no traceback
            self._counter_works = False
        else:
            self._counter_works = True

    def _run(self, tx: Tx, order: Order) -> None:
        """Run one unit in a savepoint of its own; what it raises is kept for its caller."""
        conn = tx.conn
        conn.exec_driver_sql("SAVEPOINT unit")
        order.run(tx)
        if isinstance(order.error, DBAPIError):
            order.error = self._translated(order.error)
            self._troubles.failed(order.error)
        try:
            if order.error is not None:
                conn.exec_driver_sql("ROLLBACK TO unit")
            conn.exec_driver_sql("RELEASE unit")
        except DBAPIError as error:  # a full disk rolls back the whole transaction by itself
            raise _Torn from error

    def _has_room(self, conn: Connection) -> bool:
        if self._quota_pages is None:
            return True
        used = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        free = conn.exec_driver_sql("PRAGMA freelist_count").scalar_one()
        self.quota_used = (int(used) - int(free)) / self._quota_pages
        return self.quota_used < 1 - RESERVE_SHARE

    def _failed(self, error: Exception) -> BaseException:
        """Return what a commit that failed means for units that did nothing wrong."""
        fate = self._translated(error)
        return StoreUnavailable(f"{self.path}: {error}") if isinstance(fate, DBAPIError | _Torn) else fate

    def _translated(self, error: Exception) -> BaseException:
        """Turn the database's error into the fate it means for the work; a unit's own mistakes stay as they are."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, OSError):
            full = cause.errno in (errno.ENOSPC, errno.EDQUOT)
            return (StoreFull if full else StoreUnavailable)(f"{self.path}: {cause}")
        if not isinstance(cause, sqlite3.Error):
            return error
        code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF  # beyond the byte: the fine print
        if code == sqlite3.SQLITE_FULL:
            return StoreFull(f"{self.path}: {cause}")
        if code in _NO_ROOM and (left := shutil.disk_usage(self.path.parent).free) < FULL_BELOW_BYTES:
            return StoreFull(f"{self.path}: {cause}; the disk has {left} bytes left")
        if code in _DAMAGED:
            return StoreDamaged(f"{self.path}: {cause} (tocsin doctor --scrub says what to do)")
        return StoreUnavailable(f"{self.path}: {cause}") if code in _PASSING else error


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",  # BEGIN and COMMIT are ours
        connect_args={"check_same_thread": False, "cached_statements": 512},
    )

    @event.listens_for(engine, "connect")
    def set_up(dbapi: sqlite3.Connection, _record: object) -> None:
        cursor = dbapi.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")  # takes effect only before the first table
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA temp_store=MEMORY")
        cursor.close()

    return engine
