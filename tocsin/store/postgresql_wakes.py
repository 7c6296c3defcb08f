"""Wakes across processes: what one commits, the others' waiters hear of by LISTEN and NOTIFY.

Who waits also looks by himself from time to time, so a wake may come late or twice; after a gap everybody is woken.
"""

from __future__ import annotations

import os
import re
import select
import threading
import time
from collections import deque
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Final

import psycopg
import structlog
from psycopg import sql

from tocsin.errors import StoreDamaged
from tocsin.records import digest
from tocsin.store.postgresql_session import Session, words

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from tocsin.store.wakes import Wakes

log = structlog.get_logger()

PREFIX: Final = "tocsin:"
PLAIN: Final = re.compile(r"[!-~]{1,56}")  # with the prefix as long as PostgreSQL lets a name be
HEARTBEAT_S: Final = 10.0  # a connection that died in silence is noticed by then
RECONNECT_S: Final = 1.0
CLOSE_DEADLINE_S: Final = 2.0


def notifications(names: Iterable[str]) -> list[str]:
    """Return the statements that tell whoever listens to one of *names*."""
    return [f"NOTIFY {sql.Identifier(channel_of(name)).as_string()}" for name in sorted(names)]


def channel_of(name: str) -> str:
    """Return the channel on which *name* is woken: nobody is disturbed by what he does not wait for."""
    return PREFIX + (name if PLAIN.fullmatch(name) else f" {digest(name)}")


class Listener:
    """A thread with a connection of its own that wakes this process's waiters for what others commit.

    It listens to a name from when somebody first takes a mark of it, and wakes that once when it does. *is_own* says
    of a backend that it is this process's writer, which wakes its waiters without this detour.
    """

    def __init__(self, connect: Callable[[], Session], *, wakes: Wakes, is_own: Callable[[int], bool]) -> None:
        self._connect = connect
        self._wakes = wakes
        self._is_own = is_own
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = threading.Event()
        self._heeded: deque[str] = deque()
        self._names: dict[str, str] = {}  # by channel
        wakes.tell_of_names(self.heed)
        self._bell = self._rope = -1
        self._thread = threading.Thread(target=self._run, name="store-listener", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen from now on; wakes are delivered in *loop*."""
        self._loop = loop
        self._bell, self._rope = os.pipe()
        self._thread.start()

    def heed(self, name: str) -> None:
        """Listen to *name* as well, soon."""
        self._heeded.append(name)
        if self._rope >= 0:
            os.write(self._rope, b".")

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
            self._rope = -1

    def _run(self) -> None:
        quiet = False
        while not self._closing.is_set():
            try:
                with closing(self._connect()) as session:
                    quiet = False
                    self._listen(session)
            except (psycopg.Error, StoreDamaged, OSError) as error:
                if not quiet and not self._closing.is_set():
                    log.warning("store not listened to", reason=words(error))
                quiet = True
                self._closing.wait(RECONNECT_S)

    def _listen(self, session: Session) -> None:
        self._hear(session, self._names)
        self._deliver(self._wakes.wake_everybody)
        heard = time.monotonic()
        ears = select.poll()
        for file in (session.fileno(), self._bell):
            ears.register(file, select.POLLIN)
        while not self._closing.is_set():
            while self._heeded:
                name = self._heeded.popleft()
                self._names[channel_of(name)] = name
                self._hear(session, [channel_of(name)])
                self._deliver(partial(self._wakes.wake, [name]))
            for told in session.notifies(timeout=0):
                if told.channel in self._names and not self._is_own(told.pid):
                    self._deliver(partial(self._wakes.wake, [self._names[told.channel]]))
            for file, _ in ears.poll(HEARTBEAT_S * 1000):
                if file == self._bell:
                    os.read(self._bell, 4096)
            if time.monotonic() - heard > HEARTBEAT_S:
                session.execute("SELECT 1")
                heard = time.monotonic()

    @staticmethod
    def _hear(session: Session, channels: Iterable[str]) -> None:
        for channel in channels:
            session.execute(f"LISTEN {sql.Identifier(channel).as_string()}", prepare=False)

    def _deliver(self, wake: Callable[[], None]) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(wake)
