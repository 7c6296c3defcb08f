"""Wakes across processes: what one commits, the others' waiters hear of by LISTEN and NOTIFY.

Who waits also looks by himself from time to time, so a wake may come late or twice; after a gap everybody is woken.
"""

from __future__ import annotations

import os
import select
import threading
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Final

import psycopg
import structlog
from psycopg import sql

from tocsin.errors import StoreDamaged
from tocsin.store.postgresql_session import Session, storable, words

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection, Iterator

    from tocsin.store.wakes import Wakes

log = structlog.get_logger()

CHANNEL: Final = "tocsin"
HEARTBEAT_S: Final = 10.0  # a connection that died in silence is noticed by then
RECONNECT_S: Final = 1.0
CLOSE_DEADLINE_S: Final = 2.0
PAYLOAD_LIMIT_BYTES: Final = 7_999


def notifications(names: Collection[str]) -> list[str]:
    """Return the statements that tell everybody who listens of *names*; one that is too long is not told."""
    sayable = {storable(name).decode() for name in names}
    return [f"NOTIFY {CHANNEL}, {sql.Literal(payload).as_string()}" for payload in _payloads(sorted(sayable))]


def _payloads(names: Collection[str]) -> Iterator[str]:
    payload: list[str] = []
    size = 0
    for name in names:
        length = len(name.encode()) + 1
        if length > PAYLOAD_LIMIT_BYTES:
            continue
        if size + length > PAYLOAD_LIMIT_BYTES:
            yield "\n".join(payload)
            payload, size = [], 0
        payload.append(name)
        size += length
    if payload:
        yield "\n".join(payload)


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
        self._bell = self._rope = -1
        self._thread = threading.Thread(target=self._run, name="store-listener", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen from now on; wakes are delivered in *loop*."""
        self._loop = loop
        self._bell, self._rope = os.pipe()
        self._thread.start()

    def close(self) -> None:
        """End the thread; blocks for a moment."""
        self._closing.set()
        if self._thread.ident is None:
            return
        os.write(self._rope, b".")
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
                    log.warning("store not listened to", reason=words(error))
                quiet = True
                self._closing.wait(RECONNECT_S)

    def _listen(self, session: Session) -> None:
        session.execute(f"LISTEN {CHANNEL}")
        self._deliver(self._wakes.wake_everybody)
        heard = time.monotonic()
        ears = select.poll()
        for file in (session.fileno(), self._bell):
            ears.register(file, select.POLLIN)
        while not self._closing.is_set():
            for told in session.notifies(timeout=0):
                if not self._is_own(told.pid):
                    self._deliver(partial(self._wakes.wake, told.payload.split("\n")))
            ears.poll(HEARTBEAT_S * 1000)
            if time.monotonic() - heard > HEARTBEAT_S:
                session.execute("SELECT 1")
                heard = time.monotonic()

    def _deliver(self, wake: Callable[[], None]) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(wake)
