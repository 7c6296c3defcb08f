"""One worker child as the event loop sees it: a wire, a deadline, an end."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import multiprocessing
import os
import pickle
import signal
import socket
import weakref
from multiprocessing import forkserver
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from tocsin.workers.child import INDEX, STARTED_NS, Prepare, Reply, Run, serve, unpickled
from tocsin.workers.job import FailureKind
from tocsin.workers.wire import Wire

if TYPE_CHECKING:
    from collections.abc import MutableSequence, Sequence
    from multiprocessing.context import ForkServerProcess

    from tocsin.workers.job import Job

START_DEADLINE_S = 30.0
CLOSE_GRACE_S = 0.5
END_DEADLINE_S = 2.0
CONTEXTS_KEPT = 8  # rule versions a child holds at once; after a reload the old one soon goes
LARGE_BYTES = 256 * 1024  # beyond this, pickling leaves the loop

CONTEXT = multiprocessing.get_context("forkserver")
OURS = "tocsin.workers.child"

_alive: weakref.WeakSet[Child] = weakref.WeakSet()


def start_fork_server(preload: Sequence[str]) -> None:
    """Start the process that children are forked from, and return at once while it imports *preload*.

    What it imports once, every child has at birth. A pool starts it by itself; who does so long before has the
    children earlier.
    """
    CONTEXT.set_forkserver_preload([*preload, OURS])
    forkserver.ensure_running()


class ChildGone(Exception):
    """A child ended in the middle of work; `index` is the record it was at."""

    def __init__(self, reason: str, kind: FailureKind, index: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind
        self.index = index


class Child:
    """One running child process. It serves one request at a time."""

    def __init__(
        self, process: ForkServerProcess, wire: Wire, transport: asyncio.WriteTransport, progress: MutableSequence[int]
    ) -> None:
        self._process = process
        self._wire = wire
        self._transport = transport
        self._progress = progress
        self._overdue = False
        self._busy = False
        self._watchdog: asyncio.TimerHandle | None = None
        self._contexts: list[str] = []
        self.pid: int = process.pid or 0
        self.has_worked = False
        _alive.add(self)

    @classmethod
    async def start(cls, name: str, *, memory_limit_bytes: int) -> Child:
        """Fork a child and wait until it answers.

        Raises:
            ChildGone: it ended, or said nothing within `START_DEADLINE_S`.
            OSError, EOFError: the fork server itself is gone; the next attempt starts another.
        """
        loop = asyncio.get_running_loop()
        forking = loop.run_in_executor(None, _fork, name, memory_limit_bytes)  # may wait seconds for the fork server
        try:
            process, link, progress = await asyncio.shield(forking)
        except asyncio.CancelledError:
            forking.add_done_callback(_discard)
            raise
        transport, wire = await loop.create_unix_connection(Wire, sock=link)
        child = cls(process, wire, transport, progress)
        try:
            await child._exchange(None, START_DEADLINE_S)
        except BaseException:
            await child.close()
            raise
        return child

    @property
    def gone(self) -> asyncio.Future[None]:
        """Done once the child has closed its end, for whatever reason."""
        return self._wire.gone

    async def prepare(self, job: Job[Any, Any, Any, Any]) -> str | None:
        """Make *job* ready here unless it is; return the reason when it cannot be.

        Raises:
            ChildGone: preparing killed the child, overran its deadline or took too much memory.
        """
        context = job.context
        if context in self._contexts:
            self._contexts.remove(context)
            self._contexts.append(context)
            return None
        # A thread: compiled lexicons are megabytes. It happens once for each child and version.
        blob = await asyncio.to_thread(pickle.dumps, (job.function, job.prepare, job.argument), pickle.HIGHEST_PROTOCOL)
        forget = self._contexts[: max(0, len(self._contexts) + 1 - CONTEXTS_KEPT)]
        reply = await self._exchange(Prepare(context, blob, tuple(forget)), job.prepare_deadline_s)
        del self._contexts[: len(forget)]
        for answer in reply.answers:
            if isinstance(answer, tuple):
                reason, kind = answer
                if reply.exhausted:
                    raise ChildGone(reason, kind, 0)
                return reason
        self._contexts.append(context)
        return None

    async def run(self, job: Job[Any, Any, Any, Any], blobs: Sequence[bytes], *, deadline_s: float) -> Reply:
        """Give pickled records to the prepared *job*; each has *deadline_s*.

        Raises:
            ChildGone: the child was killed for a deadline, or died; with the index of the record it was at.
        """
        self.has_worked = True
        return await self._exchange(Run(job.context, tuple(blobs)), deadline_s)

    async def _exchange(self, request: Prepare | Run | None, deadline_s: float) -> Reply:
        """Send *request* and wait for the answer; None only waits, for the greeting."""
        size = len(request.blobs) if isinstance(request, Run) else 1
        self._progress[INDEX] = 0
        self._progress[STARTED_NS] = monotonic_ns()
        self._busy = True
        self._watch(asyncio.get_running_loop(), deadline_s)
        try:
            if request is not None:
                await self._wire.send(await _pickled(request))
            frame = await self._wire.receive()
            self._busy = False
        except ConnectionError:
            raise await self._obituary(deadline_s, size) from None
        finally:
            if self._watchdog is not None:
                self._watchdog.cancel()
        try:
            reply = unpickled(frame) if len(frame) < LARGE_BYTES else await asyncio.to_thread(unpickled, frame)
        except Exception:  # noqa: BLE001 - bulkhead: bytes that a stranger's function may have written into the link
            self.kill()
            raise ChildGone("it answered nonsense", FailureKind.DIED, 0) from None
        return reply if isinstance(reply, Reply) else Reply()

    def _watch(self, loop: asyncio.AbstractEventLoop, deadline_s: float) -> None:
        """Kill the child when its present record is overdue, else look again when it would be.

        A time-out around the whole batch could not tell a slow batch from one record that hangs.
        """
        left_s = deadline_s - (monotonic_ns() - self._progress[STARTED_NS]) / 1e9
        if left_s <= 0:
            self._overdue = True
            self.kill()
        else:
            self._watchdog = loop.call_later(left_s, self._watch, loop, deadline_s)

    async def _obituary(self, deadline_s: float, size: int) -> ChildGone:
        index = min(max(self._progress[INDEX], 0), size - 1)
        if self._overdue:
            return ChildGone(f"over its deadline of {deadline_s:g} s", FailureKind.DEADLINE, index)
        self.kill()  # it may have closed its link and live on
        await asyncio.to_thread(self._process.join, END_DEADLINE_S)
        return ChildGone(_ending(self._process.exitcode), FailureKind.DIED, index)

    def kill(self) -> None:
        """End the child whatever it is doing."""
        # By pid and not through Process: when the fork server is gone, that believes its children gone too.
        if not self.gone.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def close(self) -> None:
        """Let an idle child go by itself, kill a busy one; over within a few seconds."""
        if self._busy:
            self.kill()
        self._transport.abort()
        await asyncio.to_thread(self._process.join, CLOSE_GRACE_S)
        if self._process.exitcode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            await asyncio.to_thread(self._process.join, END_DEADLINE_S)
        _alive.discard(self)
        if self._process.exitcode is not None:
            self._process.close()


async def _pickled(request: Prepare | Run) -> bytes:
    size = len(request.blob) if isinstance(request, Prepare) else sum(map(len, request.blobs))
    if size < LARGE_BYTES:
        return pickle.dumps(request, pickle.HIGHEST_PROTOCOL)
    return await asyncio.to_thread(pickle.dumps, request, pickle.HIGHEST_PROTOCOL)


def _fork(name: str, memory_limit_bytes: int) -> tuple[ForkServerProcess, socket.socket, MutableSequence[int]]:
    ours, theirs = socket.socketpair()
    try:
        ours.setblocking(False)
        progress: MutableSequence[int] = CONTEXT.RawArray("q", 2)
        process = CONTEXT.Process(target=serve, args=(theirs, progress, memory_limit_bytes), name=name, daemon=True)
        process.start()
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours, progress


def _discard(forking: asyncio.Future[tuple[ForkServerProcess, socket.socket, MutableSequence[int]]]) -> None:
    """Let go of a child that nobody waited for; it ends when its link closes."""
    if not forking.cancelled() and forking.exception() is None:
        forking.result()[1].close()


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = " (the system, short of memory?)" if -code == signal.SIGKILL else ""
        return f"the interpreter was ended by {name}{hint}"
    return f"the interpreter exited with code {code}"


@atexit.register
def _kill_the_rest() -> None:
    """Children ignore SIGTERM, so multiprocessing's own farewell would wait for ever."""
    for child in list(_alive):
        child.kill()
