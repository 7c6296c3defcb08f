"""The store of a cluster: PostgreSQL, one writer thread a process that puts many units into one commit."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

import psycopg
import structlog
from psycopg.pq import TransactionStatus
from sqlalchemy.exc import DBAPIError

from tocsin import metrics
from tocsin.clock import Clock, SystemClock
from tocsin.errors import StoreUnavailable
from tocsin.store.migrate import migrate
from tocsin.store.postgresql_session import (
    Identity,
    Session,
    connect,
    engine,
    is_conflict,
    is_loss,
    session_of,
    sqlstate,
    translated,
    where,
)
from tocsin.store.postgresql_wakes import Listener, notifications
from tocsin.store.settings import Timeouts
from tocsin.store.trouble import QUOTA, Troubles
from tocsin.store.tx import Tx
from tocsin.store.wakes import Wakes
from tocsin.store.writer import Order, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Engine

log = structlog.get_logger()

T = TypeVar("T")

READERS: Final = 4
OPEN_WITHIN_S: Final = 5.0
BACK_WITHIN_S: Final = 10.0  # a restart or fail-over that is over by then costs nobody an error
DOUBT_WITHIN_S: Final = 60.0  # whether a commit stands is worth waiting for
RECONNECT_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0)
LOSSES: Final = 3  # of the connection under one commit: then it may be what kills it
CONFLICTS: Final = 12  # that one commit may meet with before its callers are told to wait
ALONE_AFTER: Final = 3  # conflicts; then each unit is committed by itself
OUTBOX_LIMIT: Final = 1_000_000  # records, of some kilobytes each
LOOK_EVERY_S: Final = 5.0
CLOSE_DEADLINE_S: Final = 8.0
CANCEL_WITHIN_S: Final = 1.0
MIGRATION_PATIENCE_S: Final = 3600.0
IN_DOUBT_PAUSE_S: Final = 0.05
TAKEN_KEY: Final = "23505"
READ_ONLY: Final = "25006"  # a server that was the primary and is none any more

_BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id()::text"
_BEGIN_READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_END_OLD: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %(pid)s AND backend_start::text = %(started)s"
)
_WAITING: Final = "SELECT pg_stat_get_live_tuples('stream_records'::regclass)"  # as counted a second ago or so
_FATE: Final = "SELECT pg_xact_status(%(xid)s::text::xid8)"
_ERRORS: Final = (psycopg.Error, DBAPIError)


class _Torn(Exception):
    """A unit failed, and the whole transaction with it."""


class _Contended(Exception):
    """Other processes stand in the way again and again; what is smaller gets through sooner."""


class _InDoubt(Exception):
    """The connection was lost when a commit was under way."""

    def __init__(self, *, xid: str, on: Identity, woken: set[str]) -> None:
        super().__init__(xid)
        self.xid = xid
        self.on = on
        self.woken = woken


class _Line:
    """A connection that is opened when it is needed, and anew after it was lost. Belongs to one thread at a time."""

    def __init__(self, engine: Engine, *, closing: threading.Event, at: str) -> None:
        self._engine = engine
        self._closing = closing
        self._at = at
        self._conn: Connection | None = None
        self.last: Identity | None = None  # whom we were connected to, now or before

    def conn(self, *, within_s: float) -> Connection:
        """Return the connection; one that has to be opened is tried for *within_s*.

        Raises:
            StoreUnavailable: it cannot be had.
        """
        if self._conn is not None:
            return self._conn
        deadline = time.monotonic() + within_s
        attempt = 0
        while True:
            try:
                self._conn = self._engine.connect()
                before, self.last = self.last, session_of(self._conn).identity
                if before is not None:  # whatever still runs there holds locks, or is about to commit
                    session_of(self._conn).execute(_END_OLD, {"pid": before.pid, "started": before.started})
            except _ERRORS as error:
                self.drop()
                pause = RECONNECT_PAUSES_S[min(attempt, len(RECONNECT_PAUSES_S) - 1)]
                if time.monotonic() + pause > deadline or self._closing.wait(pause):
                    raise StoreUnavailable(f"{self._at}: {_words(error)}") from error
                attempt += 1
            else:
                return self._conn

    def drop(self) -> None:
        """Let go of the connection, whatever state it is in."""
        conn, self._conn = self._conn, None
        if conn is not None:
            conn.invalidate()
            conn.close()

    def cut(self) -> None:
        """End what is under way, from another thread."""
        conn = self._conn
        if conn is not None:
            with contextlib.suppress(*_ERRORS):
                session_of(conn).cancel_safe(timeout=CANCEL_WITHIN_S)


class PostgresqlStore:
    """`Store` on one database, which other processes use at the same time.

    Raises:
        ValueError: *dsn* is no connection string.
    """

    def __init__(
        self,
        dsn: str,
        *,
        clock: Clock | None = None,
        readers: int = READERS,
        timeouts: Timeouts | None = None,
        name: str = "tocsin",
    ) -> None:
        timeouts = timeouts or Timeouts()
        self.at = where(dsn)
        self._clock = clock or SystemClock()
        self._wakes = Wakes()
        self._closing = threading.Event()
        self._closed = False
        self._engine = engine(dsn, timeouts=timeouts, name=name)
        self._migrating = engine(dsn, timeouts=timeouts, name=name, patience_s=MIGRATION_PATIENCE_S)
        self._line = _Line(self._engine, closing=self._closing, at=self.at)
        self._writer = Writer(self._work, wakes=self._wakes)
        self._troubles = Troubles(self.at)
        self._full = ""
        self._look_at = 0.0
        self._reading = threading.local()
        self._lines: list[_Line] = []
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="store-reader")
        self._listener = Listener(
            lambda: connect(dsn, timeouts=timeouts, name=name), wakes=self._wakes, is_own=self._is_writer
        )

    async def open(self) -> None:
        """Bring the schema up to date, and start to write and to listen; after an error it may be tried again.

        Raises:
            StoreDamaged: the schema is of a later version, or the database is of no use to us.
            StoreUnavailable: it cannot be opened now.
        """
        try:
            await asyncio.to_thread(self._prepare)
        except asyncio.CancelledError:
            self._closing.set()  # the thread may still wait for the server
            raise
        self._writer.start()
        self._listener.start(asyncio.get_running_loop())

    async def close(self) -> None:
        """Finish what is under way and let go of the database."""
        if self._closed:
            return
        self._closed = True
        self._closing.set()  # what goes well ends well; nobody waits for a server that is away
        ended = await self._writer.close(within_s=CLOSE_DEADLINE_S)
        if ended:
            await asyncio.to_thread(self._line.drop)
        await asyncio.to_thread(self._end_readers)
        await asyncio.to_thread(self._listener.close)

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Run *unit* in one transaction and answer after its commit (see `Store.write`)."""
        return await self._writer.write(unit)

    async def read(self, query: Callable[[Tx], T]) -> T:
        """Run *query* on a snapshot of what is committed; it cannot write."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query)

    def bytes_on_disk(self) -> int:
        """Return the size of the database; blocks for a moment."""
        size = "SELECT pg_database_size(current_database())"
        return self._readers.submit(self._read, lambda tx: int(tx.conn.exec_driver_sql(size).scalar_one())).result()

    def trouble(self) -> Sequence[str]:
        """Say why the store does not take what it is given, as of the last attempt."""
        return self._troubles.told()

    def mark(self, name: str) -> int:
        """Return a mark to hand to `wait`."""
        return self._wakes.mark(name)

    async def wait(self, name: str, mark: int, *, timeout_s: float) -> None:
        """Return once *name* was woken after *mark*, or after *timeout_s*."""
        await self._wakes.wait(name, mark, timeout_s=timeout_s)

    def _is_writer(self, pid: int) -> bool:
        return self._line.last is not None and self._line.last.pid == pid

    def _prepare(self) -> None:
        self._line.conn(within_s=OPEN_WITHIN_S)
        try:
            migrate(self._migrating)
        except _ERRORS as error:
            raise StoreUnavailable(f"{self.at}: schema not brought up to date: {_words(error)}") from error

    # -------------------------------------------------------------------------------------------------- reading

    def _read(self, query: Callable[[Tx], T]) -> T:
        line: _Line | None = getattr(self._reading, "line", None)
        if line is None:
            line = self._reading.line = _Line(self._engine, closing=self._closing, at=self.at)
            self._lines.append(line)
        fresh = False
        while True:
            conn = line.conn(within_s=BACK_WITHIN_S)
            session = session_of(conn)
            try:
                session.execute(_BEGIN_READING)
                try:
                    return query(Tx(conn, self._clock))
                finally:
                    if not session.is_lost:
                        session.execute("ROLLBACK")
            except _ERRORS as error:
                lost = session.is_lost or is_loss(error)
                if lost:
                    line.drop()
                if not lost or fresh or self._closing.is_set():
                    raise translated(error, at=self.at) from error
                fresh = True

    def _end_readers(self) -> None:
        """Cut the queries that are under way: whoever asked is going, too."""
        self._readers.shutdown(wait=False)
        for line in self._lines:
            line.cut()
        self._readers.shutdown()
        for line in self._lines:
            line.drop()

    # -------------------------------------------------------------------------------------------------- writing

    def _work(self, batch: Sequence[Order]) -> None:
        """Commit *batch* and answer it. Runs in the writer's thread, which must outlive whatever happens."""
        woken: set[str] = set()
        try:
            woken = self._commit(batch)
        except _Contended:
            for order in batch:
                self._work([order])
            return
        except Exception as error:  # noqa: BLE001 — the one writer outlives any unit; each caller gets the error
            fate = translated(error, at=self.at)
            self._troubles.failed(fate)
            for order in batch:
                order.outcome, order.error = None, fate
        self._writer.answer(batch, woken)

    def _commit(self, batch: Sequence[Order]) -> set[str]:
        """Run *batch* in one transaction, and again for as long as that may help; return what it wakes."""
        conflicts = losses = 0
        savepoints = False
        while True:
            conn = self._line.conn(within_s=BACK_WITHIN_S)
            session = session_of(conn)
            try:
                return self._once(conn, batch, savepoints=savepoints, conflicts=conflicts)
            except _Torn:
                savepoints = True
            except _InDoubt as doubt:
                losses += 1
                if self._stands(doubt):
                    return doubt.woken
                if losses >= LOSSES:
                    raise StoreUnavailable(f"{self.at}: the connection was lost at each commit") from doubt
            except _ERRORS as error:
                if session.is_lost or is_loss(error) or sqlstate(error) == READ_ONLY:
                    losses += 1
                    self._line.drop()
                    log.warning("connection lost", store=self.at, reason=_words(error))
                else:
                    conflicts += 1
                    self._undo(session)
                if losses >= LOSSES or conflicts >= CONFLICTS or not (losses or _may_pass(error)):
                    raise
                if conflicts >= ALONE_AFTER and len(batch) > 1:
                    raise _Contended from error
                self._closing.wait(_jitter(conflicts))

    def _once(self, conn: Connection, batch: Sequence[Order], *, savepoints: bool, conflicts: int) -> set[str]:
        """Run *batch* in one transaction; without *savepoints* only if none of them fails, or if it is the only one."""
        session = session_of(conn)
        begun = session.execute(_BEGIN, prepare=False)
        begun.nextset()
        (xid,) = begun.fetchone() or ("",)
        tx = Tx(conn, self._clock, no_room=self._no_room(session))
        for order in batch:
            if savepoints:
                session.execute("SAVEPOINT unit")
            order.run(tx)
            self._judge(order, session, patient=conflicts < ALONE_AFTER)
            if savepoints:
                session.execute("ROLLBACK TO unit; RELEASE unit" if order.error else "RELEASE unit", prepare=False)
            elif order.error is not None:
                self._undo(session)
                if len(batch) > 1:
                    raise _Torn
                return set()
        # One message: told after the commit, so that its lock on all who tell is not held while the disk is waited for.
        commit = "; ".join(("COMMIT", *notifications(tx.woken)))
        try:
            ended = session.execute(commit, prepare=False)
        except _ERRORS as error:
            raise _InDoubt(xid=xid, on=session.identity, woken=tx.woken) from error
        if ended.statusmessage != "COMMIT":
            raise StoreUnavailable(f"{self.at}: COMMIT was answered by {ended.statusmessage}")
        metrics.STORE_COMMITS.inc()
        if not any(order.error for order in batch):
            self._troubles.worked()
        return tx.woken

    def _no_room(self, session: Session) -> str:
        """Return why no article is accepted, if so: state and alerts keep the room that a full outbox would take."""
        if time.monotonic() >= self._look_at:
            (waiting,) = session.execute(_WAITING).fetchone() or (0,)
            self._full = f"{waiting:,} records wait for the brokers" if waiting > OUTBOX_LIMIT else ""
            self._troubles.note(QUOTA, self._full)
            self._look_at = time.monotonic() + LOOK_EVERY_S
        return self._full

    def _judge(self, order: Order, session: Session, *, patient: bool) -> None:
        """Tell what is wrong with a unit from what is wrong with the whole transaction, which is raised."""
        ours = order.error if order.error is None else _of_database(order.error)
        if ours is not None:
            if is_loss(ours) or is_conflict(ours) or sqlstate(ours) == READ_ONLY:
                raise ours
            if patient and _may_pass(ours):
                raise ours
        if session.is_lost:
            raise psycopg.OperationalError("the connection was lost")
        if isinstance(order.error, _ERRORS):
            order.error = translated(order.error, at=self.at)
            self._troubles.failed(order.error)
        elif order.error is None and session.info.transaction_status == TransactionStatus.INERROR:
            order.error = RuntimeError("the unit went on after the database had refused a statement of it")

    def _stands(self, doubt: _InDoubt) -> bool:
        """Say whether the commit that nobody confirmed is one.

        Raises:
            StoreUnavailable: nobody who knows can be asked.
        """
        deadline = time.monotonic() + DOUBT_WITHIN_S
        self._line.drop()
        while True:
            session = session_of(self._line.conn(within_s=max(0.0, deadline - time.monotonic())))
            if session.identity.timeline != doubt.on.timeline:
                # Another server knows other transactions by these numbers. Run again: what was done already is known
                # by its ids and cursors.
                log.warning("commit not resolved", store=self.at, reason="another server has taken over")
                return False
            try:
                (fate,) = session.execute(_FATE, {"xid": doubt.xid}).fetchone() or (None,)
                if fate == "committed":
                    log.info("commit confirmed", store=self.at, xid=doubt.xid)
                    if doubt.woken:
                        with contextlib.suppress(*_ERRORS):  # who waits looks by himself as well
                            session.execute("; ".join(notifications(doubt.woken)), prepare=False)
                    return True
                if fate != "in progress" or time.monotonic() > deadline:
                    return False
            except _ERRORS as error:
                self._line.drop()
                if time.monotonic() > deadline:
                    raise StoreUnavailable(f"{self.at}: whether a commit stands is not known") from error
            time.sleep(IN_DOUBT_PAUSE_S)

    def _undo(self, session: Session) -> None:
        try:
            session.execute("ROLLBACK")
        except _ERRORS:
            self._line.drop()


def _may_pass(error: BaseException) -> bool:
    """Whether running the same again may help: a key that is taken may be one that another process took just now."""
    return is_conflict(error) or sqlstate(error) == TAKEN_KEY


def _of_database(error: BaseException) -> BaseException | None:
    """Return the database's error that *error* is or comes from."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        if isinstance(at, _ERRORS):
            return at
        seen.add(id(at))
        at = at.__cause__ or at.__context__
    return None


def _words(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(cause).split()) or type(cause).__name__


def _jitter(conflicts: int) -> float:
    return random.uniform(0, 0.005 * 2 ** min(conflicts, 6))  # noqa: S311 — so that two do not meet again
