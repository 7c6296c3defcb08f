"""Wakes across processes: what one commits, the others' waiters hear of by LISTEN and NOTIFY.

Who waits also looks by himself from time to time, so a wake may come late or twice; after a gap everybody is woken.
"""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

import psycopg
import structlog
from psycopg import sql

from tocsin.errors import StoreDamaged
from tocsin.store.postgresql_session import Session, translated

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Iterator

    from tocsin.store.wakes import Wakes

log = structlog.get_logger()

CHANNEL: Final = "tocsin"
HEARTBEAT_S: Final = 10.0  # a connection that died in silence is noticed by then
RECONNECT_S: Final = 1.0
CLOSE_DEADLINE_S: Final = 2.0
_PAYLOAD_LIMIT: Final = 7_900  # PostgreSQL takes 7,999 bytes


def notifications(names: Collection[str]) -> list[str]:
    """Return the statements that tell everybody who listens of *names*."""
    return [f"NOTIFY {CHANNEL}, {sql.Literal(payload).as_string()}" for payload in _payloads(sorted(names))]


def _payloads(names: Collection[str]) -> Iterator[str]:
    payload = ""
    for name in names:
        if payload and len(payload.encode()) + len(name.encode()) >= _PAYLOAD_LIMIT:
            yield payload
            payload = ""
        payload = f"{payload}\n{name}" if payload else name
    if payload:
        yield payload


class Listener:
    """A thread with a connection of its own that wakes this process's waiters for what others commit.

    *is_own* says of a backend that it is this process's writer, which wakes its waiters without this detour.
    """

    def __init__(self, connect: Callable[[], Session], *, wakes: Wakes, is_own: Callable[[int], bool]) -> None:
        self._connect = connect
        self._wakes = wakes
        self._is_own = is_own
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = threading.Event()
        self._bell, self._rope = os.pipe()
        self._thread = threading.Thread(target=self._run, name="store-listener", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen from now on; wakes are delivered in *loop*."""
        self._loop = loop
        self._thread.start()

    def close(self) -> None:
        """End the thread; blocks for a moment."""
        self._closing.set()
        os.write(self._rope, b".")
        if self._thread.ident is not None:
            self._thread.join(CLOSE_DEADLINE_S)
        if not self._thread.is_alive():
            os.close(self._bell)
            os.close(self._rope)

    def _run(self) -> None:
        quiet = False
        while not self._closing.is_set():
            try:
                with closing(self._connect()) as session:
                    quiet = False
                    self._listen(session)
            except (psycopg.Error, StoreDamaged) as error:
                if not quiet and not self._closing.is_set():
                    log.warning("store not listened to", reason=str(translated(error, at="wakes")))
                quiet = True
                self._closing.wait(RECONNECT_S)

    def _listen(self, session: Session) -> None:
        session.execute(f"LISTEN {CHANNEL}")
        self._deliver(self._wakes.wake_everybody)
        heard = time.monotonic()
        while not self._closing.is_set():
            for told in session.notifies(timeout=0):
                if not self._is_own(told.pid):
                    names = told.payload.split("\n")
                    self._deliver(lambda names=names: self._wakes.wake(names))  # type: ignore[misc]  # mypy infers no lambda with defaults
            select.select([session.fileno(), self._bell], [], [], HEARTBEAT_S)
            if time.monotonic() - heard > HEARTBEAT_S:
                session.execute("SELECT 1")
                heard = time.monotonic()

    def _deliver(self, wake: Callable[[], None]) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(wake)
