"""The inside of a worker child: read a frame, do the work, answer. Nothing here knows the event loop.

The parent decides everything: when the child ends, and whether a record took too long (the shared page
`progress` tells it where the child is, so that it can kill one that holds the interpreter lock in C).
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import multiprocessing
import os
import pickle
import resource
import select
import signal
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic_ns, perf_counter
from typing import TYPE_CHECKING, Any

from tocsin.workers.job import FailureKind

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, MutableSequence
    from io import BufferedRWPair

HEADER_BYTES = 8
RESULT_LIMIT_BYTES = 32 * 2**20
REPLY_LIMIT_BYTES = 64 * 2**20  # a batch stops early here; what is left of it is asked again
REASON_LIMIT = 1000
MESSAGE_LIMIT = 300
TRACEBACK_FRAMES = 3
TRACEBACK_LINES = 8
MEMORY_HEADROOM_BYTES = 64 * 2**20  # to say "out of memory" also takes memory

# Slots of the shared page.
INDEX, STARTED_NS = 0, 1


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make `name` ready; `blob` is the pickled (function, prepare, argument). `forget` makes room."""

    name: str
    blob: bytes
    forget: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """Give each of `blobs`, a pickled record, to what was prepared as `name`."""

    name: str
    blobs: tuple[bytes, ...]


@dataclass(slots=True)
class Reply:
    """One answer a record, in order: a pickled result, or why there is none.

    `answers` may be shorter than what was asked: then the reply grew too big, or the last one ran out of memory
    (`exhausted`) and this child is not to be used again.
    """

    answers: list[bytes | tuple[str, FailureKind]] = field(default_factory=list)
    exhausted: bool = False
    seconds: float = 0.0


def serve(link: socket.socket, progress: MutableSequence[int], memory_limit_bytes: int) -> None:
    """Answer the parent's frames until it closes the link."""
    _obey_only_the_parent()
    soft, hard = _limit_memory(memory_limit_bytes)
    worker = _Worker(progress, soft, hard)
    wire = link.makefile("rwb")
    try:
        _write(wire, None)
        while (frame := _read(wire)) is not None:
            _write(wire, worker.answer(frame))
    except OSError:  # the parent has let go of us, or a record's function of our link
        os._exit(1)


def _obey_only_the_parent() -> None:
    """Leave ^C and a service manager's SIGTERM to the parent, and die with it at once, even in the middle of C code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        # The kernel sends SIGIO, deadly by default, when the parent's end of this pipe closes. PR_SET_PDEATHSIG would
        # watch the fork server instead, which itself waits for the last child to go.
        sentinel = parent.sentinel
        fcntl.fcntl(sentinel, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(sentinel, fcntl.F_SETFL, fcntl.fcntl(sentinel, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([sentinel], [], [], 0)[0]:
            os._exit(1)
    with contextlib.suppress(OSError):  # the kernel's choice when memory runs out: a child, never the parent
        Path("/proc/self/oom_score_adj").write_text("500")


def _limit_memory(limit_bytes: int) -> tuple[int, int]:
    """Bound private memory (address space would also count mapped libraries and models) and leave no core file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = limit_bytes + MEMORY_HEADROOM_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, hard))
    return limit_bytes, hard


def _read(wire: BufferedRWPair) -> bytes | None:
    header = wire.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return None
    size = int.from_bytes(header, "big")
    frame = wire.read(size)
    return frame if len(frame) == size else None


def _write(wire: BufferedRWPair, answer: object) -> None:
    frame = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
    wire.write(len(frame).to_bytes(HEADER_BYTES, "big"))
    wire.write(frame)
    wire.flush()


class _Worker:
    """What this child has prepared, by name."""

    def __init__(self, progress: MutableSequence[int], soft_limit: int, hard_limit: int) -> None:
        self._prepared: dict[str, tuple[Callable[[Any, Any], object], Any]] = {}
        self._progress = progress
        self._soft_limit = soft_limit
        self._hard_limit = hard_limit

    def answer(self, frame: bytes) -> Reply:
        request = unpickled(frame)
        return self._run(request) if isinstance(request, Run) else self._prepare(request)

    def _prepare(self, request: Prepare) -> Reply:
        if request.forget:
            gc.unfreeze()
            for name in request.forget:
                self._prepared.pop(name, None)
            gc.collect()
        started = perf_counter()
        reply = Reply()
        try:
            function, prepare, argument = unpickled(request.blob)
            self._prepared[request.name] = function, argument if prepare is None else prepare(argument)
        except MemoryError as error:
            self._say_out_of_memory(reply, error)
        except BaseException as error:  # noqa: BLE001 - bulkhead: a stranger's rules may raise anything, SystemExit and Rust's panics too
            reply.answers.append((described(error), FailureKind.RAISED))
        gc.freeze()  # compiled rules are never garbage while they serve, so no collection needs to walk them
        reply.seconds = perf_counter() - started
        return reply

    def _run(self, request: Run) -> Reply:
        function, context = self._prepared[request.name]
        progress = self._progress
        started = perf_counter()
        reply = Reply()
        size = 0
        for index, blob in enumerate(request.blobs):
            progress[STARTED_NS] = monotonic_ns()
            progress[INDEX] = index
            try:
                value = pickle.dumps(function(context, unpickled(blob)), pickle.HIGHEST_PROTOCOL)
            except MemoryError as error:
                self._say_out_of_memory(reply, error)
                break
            except BaseException as error:  # noqa: BLE001 - bulkhead: one record's failure, SystemExit and Rust's panics too
                reply.answers.append((described(error), FailureKind.RAISED))
                continue
            if len(value) > RESULT_LIMIT_BYTES:
                reason = f"result of {len(value)} bytes is over the limit of {RESULT_LIMIT_BYTES}"
                reply.answers.append((reason, FailureKind.RAISED))
                continue
            reply.answers.append(value)
            size += len(value)
            if size > REPLY_LIMIT_BYTES:
                break
        progress[STARTED_NS] = monotonic_ns()
        progress[INDEX] = len(request.blobs)
        reply.seconds = perf_counter() - started
        return reply

    def _say_out_of_memory(self, reply: Reply, error: MemoryError) -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (self._hard_limit, self._hard_limit))
        limit = f"over the limit of {self._soft_limit} bytes"
        reply.answers.append((f"{limit}: {described(error)}", FailureKind.MEMORY))
        reply.exhausted = True


def unpickled(blob: bytes) -> Any:  # noqa: ANN401 - a pickle says itself what it is
    """Read what our own process wrote into our own link; nobody else has an end of it."""
    return pickle.loads(blob)  # noqa: S301 - see above


def described(error: BaseException) -> str:
    """Type, message and the last lines of the traceback, however large or broken the error itself is."""
    try:
        message = str(error)[:MESSAGE_LIMIT]
    except Exception:  # noqa: BLE001 - bulkhead: a stranger's exception may not even be printable
        message = "(its message cannot be printed)"
    ours = error.__traceback__  # the frame that caught it says nothing
    where = traceback.format_tb(ours.tb_next if ours else None, limit=-TRACEBACK_FRAMES)
    lines = "".join(where).rstrip().splitlines()[-TRACEBACK_LINES:]
    return "\n".join([f"{type(error).__name__}: {message}", *lines])[:REASON_LIMIT]
