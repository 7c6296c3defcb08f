"""Worker children as one thing: give it a job and records, get an answer for each."""

from __future__ import annotations

import asyncio
import pickle
from collections import deque
from typing import TYPE_CHECKING, Any, Self, TypeVar

import structlog

from tocsin.errors import JobUnprepared
from tocsin.metrics import CHILD_RESTARTS
from tocsin.workers.child import described, unpickled
from tocsin.workers.job import Done, Failed, FailureKind, Job
from tocsin.workers.order import Order, Piece
from tocsin.workers.process import CONTEXT, LARGE_BYTES, OURS, Child, ChildGone

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from tocsin.workers.child import Reply

A = TypeVar("A")
C = TypeVar("C")
T = TypeVar("T")
R = TypeVar("R")

PIECE_BYTES = 2**20
PREPARE_ATTEMPTS = 2
SECOND_LOOK = 5.0  # times its deadline for a record that was over it once, but no more than so many seconds longer
SECOND_LOOK_S = 8.0
RESPAWN_BASE_S = 0.1
RESPAWN_CAP_S = 5.0
RESPAWNS_AT_ONCE = 3  # deaths in a row, with nothing done between, before we slow down

log = structlog.get_logger()


class Pool:
    """Children that run pure functions, each record with a deadline, each child with a memory limit.

    A child that dies or overruns is replaced. The record it was at is tried once more, alone; when that ends the
    same way it is `Failed`. Its neighbours are done again elsewhere. Pieces of concurrent calls take turns.
    Use as `async with`; the end takes a bounded time whatever the children do.
    """

    def __init__(self, *, size: int, memory_limit_bytes: int, preload: Sequence[str] = ()) -> None:
        if size < 1:
            raise ValueError(f"a pool of {size} children cannot work")
        self._size = size
        self._memory_limit_bytes = memory_limit_bytes
        CONTEXT.set_forkserver_preload([*preload, OURS])  # of no effect where it runs already
        self._tasks = asyncio.TaskGroup()
        self._lanes: list[asyncio.Task[None]] = []
        self._idle: deque[asyncio.Future[Piece]] = deque()
        self._orders: deque[Order] = deque()
        self._open: set[Order] = set()
        self._pace_s: dict[str, float] = {}
        self._children: dict[int, Child] = {}
        self._closed = False

    @property
    def pids(self) -> tuple[int, ...]:
        """The children that are up now; fewer than `size` only while one is being replaced."""
        return tuple(child.pid for child in self._children.values())

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        for number in range(self._size):
            self._lanes.append(self._tasks.create_task(self._lane(number), name=f"worker-{number}"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        self._closed = True
        for order in self._open:
            order.fail(RuntimeError("the worker pool is closed"))
        for lane in self._lanes:
            lane.cancel()
        # Not told of the caller's error: it would come back wrapped into a group, and nobody would know it.
        await self._tasks.__aexit__(None, None, None)

    async def map(
        self, job: Job[A, C, T, R], items: Sequence[T], *, beat: Callable[[], None] | None = None
    ) -> list[Done[R] | Failed]:
        """Run *job* on each of *items* and return the answers in the same order; call *beat* at each answer.

        A record never raises here, whatever it does. There is no queue of our own: callers wait.

        Raises:
            JobUnprepared: `job.prepare` failed, so no record can be judged.
            RuntimeError: the pool is closed.
        """
        if self._closed:
            raise RuntimeError("the worker pool is closed")
        if not items:
            return []
        order = Order(job, items, asyncio.get_running_loop().create_future(), deque([(0, len(items))]), beat=beat)
        self._open.add(order)
        self._offer(order)
        try:
            await order.done
        finally:
            self._open.discard(order)
            order.done.cancel()  # a caller that went away: nothing more is handed out for it
        return [order.answers[index] for index in range(len(items))]

    def _offer(self, order: Order) -> None:
        if order.has_work and order not in self._orders:
            self._orders.append(order)
        self._dispatch()

    def _dispatch(self) -> None:
        while self._orders and self._idle:
            order = self._orders.popleft()
            if not order.has_work:
                continue
            piece = order.cut(idle=len(self._idle), pace_s=self._pace_s.get(order.job.name))
            if order.has_work:
                self._orders.append(order)
            self._idle.popleft().set_result(piece)

    async def _lane(self, number: int) -> None:
        """Keep one child at work, and another in its place when it is gone."""
        barren = 0
        while True:
            if barren > RESPAWNS_AT_ONCE:
                await asyncio.sleep(min(RESPAWN_CAP_S, RESPAWN_BASE_S * 2.0 ** (barren - RESPAWNS_AT_ONCE)))
            barren += 1
            try:
                child = await Child.start(f"tocsin-worker-{number}", memory_limit_bytes=self._memory_limit_bytes)
            except (ChildGone, OSError, EOFError) as error:
                log.warning("worker did not start", worker=number, reason=f"{type(error).__name__}: {error}")
                continue
            self._children[number] = child
            try:
                end = await self._keep_busy(child)
            finally:
                del self._children[number]
                await child.close()
            barren = 0 if child.has_worked else barren
            CHILD_RESTARTS.labels(reason=end.kind).inc()
            reason = end.reason.partition("\n")[0]
            log.warning("worker replaced", worker=number, pid=child.pid, kind=end.kind.value, reason=reason)

    async def _keep_busy(self, child: Child) -> Failed:
        """Serve until the child is gone or spent, and say why."""
        while True:
            turn: asyncio.Future[Piece] = asyncio.get_running_loop().create_future()
            self._idle.append(turn)
            self._dispatch()
            try:
                await asyncio.wait((turn, child.gone), return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not turn.done():
                    self._idle.remove(turn)
            if child.gone.done():
                if turn.done():
                    piece = turn.result()
                    piece.give_back()
                    self._offer(piece.order)
                return Failed("it ended while idle", FailureKind.DIED)
            piece = turn.result()
            if piece.suspected is FailureKind.MEMORY and child.has_worked:
                piece.give_back()  # what it lacks may have leaked away here, before it came
                self._offer(piece.order)
                return Failed("renewed for a record that ran out of memory", FailureKind.MEMORY)
            end = await self._serve(child, piece)
            if end is not None:
                return end

    async def _serve(self, child: Child, piece: Piece) -> Failed | None:
        """Have one piece done; return why the child can no longer be used, if so."""
        order = piece.order
        try:
            reason = await child.prepare(order.job)
        except ChildGone as error:
            order.preparations_failed += 1
            if order.preparations_failed < PREPARE_ATTEMPTS:
                piece.give_back()
                self._offer(piece.order)
            else:
                order.fail(JobUnprepared(f"job {order.job.name!r}: preparing: {error.reason}"))
            return Failed(f"preparing: {error.reason}", error.kind)
        if reason is not None:
            order.fail(JobUnprepared(f"job {order.job.name!r}: preparing: {reason}"))
            return None
        blobs = self._pickled(piece)
        if not blobs:
            return None
        indices = list(blobs)
        try:
            reply = await child.run(order.job, list(blobs.values()), deadline_s=_deadline_s(piece))
        except ChildGone as error:
            at = indices[error.index]
            piece.blame(at, Failed(error.reason, error.kind))
            order.give_back(at + 1, indices[-1] + 1)
            order.give_back(piece.start, at)
            self._offer(order)
            return Failed(f"{order.job.name}: {error.reason}", error.kind)
        if sum(len(answer) for answer in reply.answers) < LARGE_BYTES:
            answers = _loaded(reply)
        else:
            answers = await asyncio.to_thread(_loaded, reply)
        self._note_pace(order.job.name, reply)
        return self._settle(piece, indices, answers)

    def _pickled(self, piece: Piece) -> dict[int, bytes]:
        """Pickle the records of *piece*, up to `PIECE_BYTES`; the rest goes back."""
        order = piece.order
        blobs: dict[int, bytes] = {}
        size = 0
        for index in range(piece.start, piece.stop):
            if index in order.answers:
                continue
            try:
                blob = pickle.dumps(order.items[index], pickle.HIGHEST_PROTOCOL)
            except Exception as error:  # noqa: BLE001 - bulkhead: one record that cannot travel
                order.settle(index, Failed(f"cannot be sent to a worker: {described(error)}", FailureKind.RAISED))
                continue
            blobs[index] = blob
            size += len(blob)
            if size > PIECE_BYTES:
                order.give_back(index + 1, piece.stop)
                self._offer(order)
                break
        return blobs

    def _settle(self, piece: Piece, indices: list[int], answers: list[Done[Any] | Failed]) -> Failed | None:
        """Note the answers; what has none goes back. Return why the child is spent, if so."""
        order = piece.order
        end: Failed | None = None
        for index, answer in zip(indices, answers, strict=False):
            if isinstance(answer, Failed) and answer.kind is FailureKind.MEMORY:
                end = Failed(f"{order.job.name}: {answer.reason}", answer.kind)
                piece.blame(index, answer)
            else:
                order.settle(index, answer)
        if len(answers) < len(indices):
            order.give_back(indices[len(answers)], indices[-1] + 1)
        self._offer(order)
        return end

    def _note_pace(self, job: str, reply: Reply) -> None:
        if reply.answers:
            pace_s = reply.seconds / len(reply.answers)
            self._pace_s[job] = (self._pace_s.get(job, pace_s) + pace_s) / 2


def _deadline_s(piece: Piece) -> float:
    """Return how long a record may take: longer where it was too slow before, for the machine may have been busy."""
    deadline_s = piece.order.job.deadline_s
    if piece.suspected is FailureKind.DEADLINE:
        return min(deadline_s * SECOND_LOOK, deadline_s + SECOND_LOOK_S)
    return deadline_s


def _loaded(reply: Reply) -> list[Done[Any] | Failed]:
    answers: list[Done[Any] | Failed] = []
    for answer in reply.answers:
        if isinstance(answer, tuple):
            answers.append(Failed(*answer))
            continue
        try:
            answers.append(Done(unpickled(answer)))
        except Exception as error:  # noqa: BLE001 - bulkhead: one result that cannot travel
            answers.append(Failed(f"result cannot be read: {described(error)}", FailureKind.RAISED))
    return answers
