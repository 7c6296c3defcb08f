"""The time from taking a lease to its end: what runs in it, and the store that refuses whoever has lost it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from tocsin.errors import Fenced

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from tocsin.store.port import Store
    from tocsin.store.tx import Tx

T = TypeVar("T")


class Term:
    """The time from taking a lease to its end. `until` is when it must end unless renewed, by our own clock.

    It is *over* when nothing may be begun in it any more; it is *lost* once the store has said so. In between, what
    ends may still write down what it has done.
    """

    def __init__(self, epoch: int, *, until: float, elapsed: Callable[[], float]) -> None:
        self.epoch = epoch
        self.until = until
        self.over = asyncio.Event()
        self.is_lost = False
        self._elapsed = elapsed
        self._runs: dict[asyncio.Timeout, asyncio.Task[Any]] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def is_over(self) -> bool:
        """Whether nothing may be begun in it any more."""
        return self.over.is_set() or self._elapsed() >= self.until

    @property
    def has_runs(self) -> bool:
        """Whether something that was begun in it has not ended."""
        return bool(self._runs)

    def end(self) -> None:
        """Cancel what runs in it, if it was not yet: a second cancellation would cut short how it ends."""
        self.over.set()
        for run, task in self._runs.items():
            if run.when() is None and not task.cancelling():
                run.reschedule(asyncio.get_running_loop().time())

    def lose(self) -> None:
        """Note that another may have it."""
        self.is_lost = True
        self.end()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the body in it: cancelled, and silently left, when it is over."""
        scope = asyncio.timeout(None)
        task = asyncio.current_task()
        assert task is not None
        try:
            async with scope:
                self._runs[scope] = task
                self._idle.clear()
                try:
                    yield
                finally:
                    del self._runs[scope]
                    if not self._runs:
                        self._idle.set()
        except TimeoutError:
            if not scope.expired():
                raise
        except Fenced:
            if not self.is_over:
                raise
        except BaseExceptionGroup as group:
            _, other = group.split(Fenced)
            if not self.is_over or other is not None:
                raise

    async def ended(self, *, within_s: float | None = None) -> bool:
        """Return True when nothing runs in it, False when that has taken too long."""
        if within_s is None:
            await self._idle.wait()
        else:
            await within(within_s, self._idle.wait())
        return not self.has_runs


class FencedStore:
    """A store whose every write first makes sure of a lease, in the same transaction; all else is the store's own."""

    def __init__(self, store: Store, name: str, term: Term, *, holder: str) -> None:
        self._store = store
        self._name = name
        self._holder = holder
        self._term = term

    async def write(self, unit: Callable[[Tx], T]) -> T:
        """Run *unit* in one transaction unless the lease is not ours any more (see `Store.write`).

        Raises:
            Fenced: the lease is lost, and all that runs under it is being cancelled.
        """
        if self._term.is_lost:
            raise Fenced(f"the lease {self._name!r} is lost")
        is_ours = True

        def checked(tx: Tx) -> T:
            nonlocal is_ours
            is_ours = False
            tx.leases.check(self._name, self._term.epoch, holder=self._holder)
            is_ours = True
            return unit(tx)

        try:
            return await self._store.write(checked)
        except Fenced:
            if not is_ours:
                self._term.lose()
            raise

    async def read(self, query: Callable[[Tx], T]) -> T:
        """Run *query* on a snapshot of what is committed; it cannot write."""
        return await self._store.read(query)

    def mark(self, name: str) -> int:
        """Return a mark to hand to `wait`."""
        return self._store.mark(name)

    async def wait(self, name: str, mark: int, *, timeout_s: float) -> None:
        """Return once *name* was woken after *mark*, or after *timeout_s*."""
        await self._store.wait(name, mark, timeout_s=timeout_s)

    def bytes_on_disk(self) -> int:
        """Return how much room the store takes; blocks for a moment."""
        return self._store.bytes_on_disk()


async def within(seconds: float, event: Coroutine[None, None, object]) -> None:
    """Wait for *event*, but no longer than *seconds*."""
    try:
        async with asyncio.timeout(seconds):
            await event
    except TimeoutError:
        return
