"""A connection to PostgreSQL that comes back after it was lost."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from tocsin.errors import StoreUnavailable
from tocsin.store.postgresql_session import ERRORS, Identity, session_of, words

if TYPE_CHECKING:
    import threading

    from sqlalchemy import Connection, Engine

BACK_WITHIN_S: Final = 10.0  # a restart or fail-over that is over by then costs nobody an error
RECONNECT_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0)
CANCEL_WITHIN_S: Final = 1.0

_END_OLD: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %(pid)s AND backend_start::text = %(started)s"
)


class Line:
    """A connection that is opened when it is needed, and anew after it was lost. Belongs to one thread at a time."""

    def __init__(self, engine: Engine, *, closing: threading.Event, at: str) -> None:
        self._engine = engine
        self._closing = closing
        self._at = at
        self._conn: Connection | None = None
        self.last: Identity | None = None  # whom it leads to, or led to

    def conn(self, *, within_s: float | None = None) -> Connection:
        """Return the connection; one that has to be opened is tried for *within_s*, else for `BACK_WITHIN_S`.

        Raises:
            StoreUnavailable: it cannot be had.
        """
        if self._conn is not None:
            return self._conn
        deadline = time.monotonic() + (BACK_WITHIN_S if within_s is None else within_s)
        attempt = 0
        while True:
            try:
                self._conn = self._engine.connect()
                session = session_of(self._conn)
                if self.last is not None:  # whatever still runs there holds locks, or is about to commit
                    session.execute(_END_OLD, {"pid": self.last.pid, "started": self.last.started})
                self.last = session.identity
            except ERRORS as error:
                self.drop()
                pause = RECONNECT_PAUSES_S[min(attempt, len(RECONNECT_PAUSES_S) - 1)]
                if time.monotonic() + pause > deadline or self._closing.wait(pause):
                    raise StoreUnavailable(f"{self._at}: {words(error)}") from error
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
            with contextlib.suppress(*ERRORS):
                session_of(conn).cancel_safe(timeout=CANCEL_WITHIN_S)
