"""The store of a cluster: one PostgreSQL database, which several processes use at the same time."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from tocsin.clock import Clock, SystemClock
from tocsin.errors import StoreUnavailable
from tocsin.store.migrate import migrate
from tocsin.store.postgresql_commits import Commits
from tocsin.store.postgresql_line import Line
from tocsin.store.postgresql_session import ERRORS, connect, engine, is_loss, session_of, translated, where, words
from tocsin.store.postgresql_wakes import Listener
from tocsin.store.settings import Timeouts
from tocsin.store.trouble import Troubles
from tocsin.store.tx import Tx
from tocsin.store.wakes import Wakes
from tocsin.store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tocsin.store.writer import Order

T = TypeVar("T")

READERS: Final = 4
OPEN_WITHIN_S: Final = 5.0
CLOSE_DEADLINE_S: Final = 8.0
MIGRATION_PATIENCE_S: Final = 3600.0

_BEGIN_READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


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
        name: str = "",
    ) -> None:
        timeouts = timeouts or Timeouts()
        self.at = where(dsn)
        self._clock = clock or SystemClock()
        self._wakes = Wakes()
        self._closing = threading.Event()
        self._closed = False
        self._engine = engine(dsn, timeouts=timeouts, name=name)
        self._migrating = engine(dsn, timeouts=timeouts, name=name, patience_s=MIGRATION_PATIENCE_S)
        self._troubles = Troubles(self.at)
        self._line = Line(self._engine, closing=self._closing, at=self.at)
        self._commits = Commits(
            self._line,
            at=self.at,
            clock=self._clock,
            troubles=self._troubles,
            closing=self._closing,
            silent=timeouts.idle_in_transaction,
            answer=self._answer,
        )
        self._writer = Writer(self._commits.work, wakes=self._wakes)
        self._reading = threading.local()
        self._lines: list[Line] = []
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
            await asyncio.to_thread(self._commits.leave)
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

    def _answer(self, orders: Sequence[Order], woken: set[str]) -> None:
        self._writer.answer(orders, woken)

    def _is_writer(self, pid: int) -> bool:
        return self._line.last is not None and self._line.last.pid == pid

    def _prepare(self) -> None:
        self._line.conn(within_s=OPEN_WITHIN_S)
        try:
            migrate(self._migrating)
        except ERRORS as error:
            raise StoreUnavailable(f"{self.at}: schema not brought up to date: {words(error)}") from error

    def _read(self, query: Callable[[Tx], T]) -> T:
        line: Line | None = getattr(self._reading, "line", None)
        if line is None:
            line = self._reading.line = Line(self._engine, closing=self._closing, at=self.at)
            self._lines.append(line)
        fresh = False
        while True:
            conn = line.conn()
            session = session_of(conn)
            try:
                session.execute(_BEGIN_READING)
                try:
                    return query(Tx(conn, self._clock))
                finally:
                    if not session.is_lost:
                        session.execute("ROLLBACK")
            except ERRORS as error:
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
