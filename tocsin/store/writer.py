"""The one writer of a store: units wait in order, a thread puts many of them into one commit."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from tocsin.errors import StoreUnavailable
from tocsin.store.tx import Tx

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from tocsin.store.wakes import Wakes

log = structlog.get_logger()

T = TypeVar("T")

UNITS_PER_COMMIT = 512  # bounds how long the first of them waits for its answer
WAITING_UNITS = 4096


@dataclass(slots=True)
class Order:
    """A unit that waits for the writer, and where its answer goes."""

    unit: Callable[[Tx], Any]
    answer: asyncio.Future[Any]
    outcome: Any = None
    error: BaseException | None = None
    afterwards: list[Callable[[], None]] = field(default_factory=list)

    def run(self, tx: Tx) -> None:
        """Run the unit and keep what it returns, or what it raises, for its caller. It may be run again."""
        self.outcome = self.error = None
        self.afterwards = tx.afterwards = []
        try:
            self.outcome = self.unit(tx)
        except StopIteration as error:  # a future cannot carry it
            self.error = RuntimeError("the unit raised StopIteration")
            self.error.__cause__ = error
        except BaseException as error:  # noqa: BLE001 — carried over to the caller's task, whatever it is
            self.error = error

    def follow_up(self) -> None:
        """Count and log what the unit left for after its commit, if it stands."""
        if self.error is not None:
            return
        for tell in self.afterwards:
            try:
                tell()
            except Exception:  # the unit stands, and its neighbours wait for their answer
                log.exception("commit not followed up")


class Writer:
    """Hands orders to *work* in a thread of its own, several at once; *work* answers every one of them."""

    def __init__(self, work: Callable[[Sequence[Order]], None], *, wakes: Wakes) -> None:
        self._work = work
        self._wakes = wakes
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(WAITING_UNITS)  # the bound of the queue; who waits for it holds no thread
        self._thread = threading.Thread(target=self._write_all, name="store-writer", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def start(self) -> None:
        """Begin to work off orders; what is answered wakes the loop that runs now."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Run *unit* in one transaction and answer after its commit (see `Store.write`)."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._room.acquire()
        if self._closed:
            self._room.release()
            raise StoreUnavailable("the store is closed")
        self._orders.put(Order(unit, answer))
        # A caller that is cancelled gives up the answer, not the unit: it may be in the commit already.
        return await asyncio.shield(answer)

    async def close(self, *, within_s: float) -> bool:
        """Finish what is under way; False when that took too long and still goes on."""
        self._closed = True
        if self._thread.ident is None:
            return True
        self._orders.put(None)
        await asyncio.to_thread(self._thread.join, within_s)
        return not self._thread.is_alive()

    def answer(self, orders: Sequence[Order], woken: Collection[str] = ()) -> None:
        """Tell the callers of *orders* what became of them, and wake who waits for any of *woken*."""
        assert self._loop is not None
        for order in orders:
            order.follow_up()
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits for an answer
            self._loop.call_soon_threadsafe(self._tell, orders, woken)

    def _write_all(self) -> None:
        """Take orders until told to stop."""
        while (first := self._orders.get()) is not None:
            batch = [first]
            stop = False
            while len(batch) < UNITS_PER_COMMIT and not stop:
                try:
                    order = self._orders.get_nowait()
                except queue.Empty:
                    break
                stop = order is None
                if order is not None:
                    batch.append(order)
            self._work(batch)
            if stop:
                return

    def _tell(self, orders: Sequence[Order], woken: Collection[str]) -> None:
        for order in orders:
            self._room.release()
            if order.answer.done():
                continue
            if order.error is None:
                order.answer.set_result(order.outcome)
            else:
                order.answer.set_exception(order.error)
                order.answer.exception()  # asyncio would complain that nobody fetched it, when its caller has given up
        self._wakes.wake(woken)
