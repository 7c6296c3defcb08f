"""What only one worker of all may do at a time: it is done under a lease, and its writes are refused without.

A holder renews each third of a lease's time. One that cannot, because it was paused or the store was away, ends
its work by its own clock before anybody else may begin; should it wake later all the same, its writes are `Fenced`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Never, TypeVar

import structlog

from tocsin import metrics
from tocsin.errors import StoreUnavailable
from tocsin.store.leases import NOBODY, wake_of
from tocsin.store.port import Store
from tocsin.terms import FencedStore, Term, within

if TYPE_CHECKING:
    from tocsin.clock import Clock
    from tocsin.store.leases import LeaseRow, Taken
    from tocsin.store.tx import Tx

log = structlog.get_logger()

T = TypeVar("T")

Run = Callable[[Store], Awaitable[None]]

LASTING: Final = timedelta(seconds=6)
RENEWALS: Final = 3  # in the time that a lease lasts
SPARE_SHARE: Final = 1 / 6  # of a lease's time, kept for ending what runs under it
DRAIN_S: Final = 6.0  # within the time that a stage has to end
LOOK_S: Final = 0.1
GRACE_S: Final = 0.5
RETRY_S: Final = 0.5  # for a lease that ran out while its holder is in the middle of a transaction


def new_holder() -> str:
    """Return a name for this process that no other ever has, and that tells an operator where to look."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def _nobody_listens() -> None:
    """Stand in for the health board where nobody watches."""


class Lease:
    """One name that at most one process holds: `keep` is a stage of its own, `while_held` wraps each stage under it.

    Leases are taken and renewed by *turns*, a store with a connection of its own, lest a renewal wait behind what
    somebody else has locked; the work is given *store*. *elapsed* tells seconds that no setting of a clock can change.
    """

    def __init__(
        self,
        name: str,
        *,
        store: Store,
        clock: Clock,
        holder: str,
        turns: Store | None = None,
        lasting: timedelta = LASTING,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.holder = holder
        self._store = store
        self._turns = turns or store
        self._clock = clock
        self._lasting = lasting
        self._usable_s = lasting.total_seconds() * (1 - SPARE_SHARE)
        self._renew_s = lasting.total_seconds() / RENEWALS
        self._elapsed = elapsed
        self._term: Term | None = None
        self._changed = asyncio.Event()
        self._holder_seen = NOBODY
        self._in_trouble = False

    @property
    def epoch(self) -> int | None:
        """The number of the term that runs; None when the lease is not ours."""
        return None if self._term is None or self._term.is_over else self._term.epoch

    async def keep(self) -> Never:
        """Take the lease whenever it is free and renew it, until cancelled; then end what runs and give it back."""
        while True:
            if self._term is not None:
                await self._term.ended()  # what an earlier keeper could not end
            term = await self._taken()
            self._begin(term)
            try:
                await self._renew_until_over(term)
            except BaseException:
                await self._give_back(term)
                raise
            await self._end(term)

    async def while_held(self, run: Run, *, beat: Callable[[], None] = _nobody_listens) -> Never:
        """Run *run* whenever the lease is held, with a store that is fenced by it; for ever.

        When the lease is lost *run* is cancelled and, once it has ended, waited for anew. What it raises while the
        lease is held is raised here. *beat* is called while waiting.
        """
        while True:
            beat()
            term = self._term
            if term is not None and not term.is_over:
                await self._run_in(term, run)
            if self._term is term:
                await self._wait_for_change(self._renew_s)

    async def _run_in(self, term: Term, run: Run) -> None:
        async with term.running():
            await run(FencedStore(self._store, self.name, term, holder=self.holder))
            if not term.is_over:
                raise RuntimeError(f"what runs under the lease {self.name!r} came to an end by itself")

    # ------------------------------------------------------------------------------------------- taking and keeping

    async def _taken(self) -> Term:
        """Return a new term as soon as the lease can be had."""
        while True:
            mark = self._turns.mark(wake_of(self.name))
            pause_s = self._renew_s
            try:
                row = await self._turns.read(self._row)
                if row is None or row.holder == self.holder or row.is_free(lasting=self._lasting):
                    asked = self._elapsed()
                    taken = await self._turns.write(self._acquired)
                    if taken is not None:
                        self._tell_taken(taken)
                        return Term(taken.epoch, until=asked + self._usable_s, elapsed=self._elapsed)
                    pause_s = RETRY_S
                else:
                    self._tell_held(row)
                    pause_s = min(pause_s, row.left.total_seconds())
                self._in_trouble = False
            except StoreUnavailable as error:
                self._tell_trouble("lease cannot be taken", error)
            await rest(self._turns, self._clock, wake_of(self.name), mark, max(0.01, pause_s))

    def _row(self, tx: Tx) -> LeaseRow | None:
        return next(iter(tx.leases.find(self.name)), None)

    def _acquired(self, tx: Tx) -> Taken | None:
        return tx.leases.acquire([self.name], holder=self.holder, lasting=self._lasting).get(self.name)

    async def _renew_until_over(self, term: Term) -> None:
        """Renew each third of the time until the lease is lost, or our own clock says that it may be."""
        async with asyncio.TaskGroup() as tasks:
            both = [
                tasks.create_task(self._renew(term), name=f"renewal of {self.name}"),
                tasks.create_task(self._watch(term), name=f"watch over {self.name}"),
            ]
            await term.over.wait()
            for task in both:
                task.cancel()

    async def _renew(self, term: Term) -> None:
        while not term.is_over:
            await self._clock.sleep(self._renew_s)
            asked = self._elapsed()
            try:
                renewed = await self._turns.write(self._renewed(term))
            except StoreUnavailable as error:
                self._tell_trouble("lease not renewed", error)
                continue
            if not renewed:
                term.lose()
            elif not term.is_over:  # an answer that comes too late renews nothing: what ran is being ended already
                term.until = asked + self._usable_s
                self._in_trouble = False

    def _renewed(self, term: Term) -> Callable[[Tx], bool]:
        held = {self.name: term.epoch}
        return lambda tx: bool(tx.leases.renew(held, holder=self.holder, lasting=self._lasting))

    async def _watch(self, term: Term) -> None:
        """End the term when it was not renewed in time."""
        while not term.is_over:
            await self._clock.sleep(term.until - self._elapsed())
        term.end()

    # ---------------------------------------------------------------------------------------------- coming and going

    def _begin(self, term: Term) -> None:
        self._term = term
        metrics.LEASES_HELD.labels(kind=kind(self.name)).inc()
        self._change()

    async def _end(self, term: Term) -> None:
        """Have everything end that runs in *term*, and complain when it does not."""
        metrics.LEASES_HELD.labels(kind=kind(self.name)).dec()
        log.warning("lease lost", lease=self.name, epoch=term.epoch)
        self._change()
        for _ in range(round(DRAIN_S / LOOK_S)):
            term.end()
            if await term.ended(within_s=LOOK_S):
                return
        log.error("work did not end with its lease", lease=self.name, after_s=DRAIN_S)
        await term.ended()  # until then we hold nothing, and take nothing

    async def _give_back(self, term: Term) -> None:
        """End what runs and release the lease, or let it run out when that takes too long."""
        metrics.LEASES_HELD.labels(kind=kind(self.name)).dec()
        term.over.set()
        self._change()
        try:
            async with asyncio.timeout(DRAIN_S):
                # Who ends us ends what runs under us, too; only what is left then is ours to end.
                while not await term.ended(within_s=min(GRACE_S, self._renew_s)):
                    term.end()
                    await self._turns.write(self._renewed(term))
                await self._turns.write(lambda tx: tx.leases.release({self.name: term.epoch}, holder=self.holder))
        except (TimeoutError, StoreUnavailable) as error:
            reason = str(error) or f"not over within {DRAIN_S:g} s"
            log.warning("lease left to run out", lease=self.name, epoch=term.epoch, reason=reason)
        else:
            log.info("lease given back", lease=self.name, epoch=term.epoch)

    def _change(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _wait_for_change(self, at_most_s: float) -> None:
        await within(at_most_s, self._changed.wait())

    # ------------------------------------------------------------------------------------------------------- telling

    def _tell_taken(self, taken: Taken) -> None:
        self._holder_seen = NOBODY
        self._in_trouble = False
        if taken.after == NOBODY:
            log.info("lease taken", lease=self.name, epoch=taken.epoch)
        else:
            metrics.LEASE_TAKEOVERS.labels(kind=kind(self.name)).inc()
            log.warning("lease taken over", lease=self.name, epoch=taken.epoch, after=taken.after)

    def _tell_held(self, row: LeaseRow) -> None:
        if row.holder != self._holder_seen:
            log.info("standing by", lease=self.name, holder=row.holder)
            self._holder_seen = row.holder

    def _tell_trouble(self, what: str, error: StoreUnavailable) -> None:
        if not self._in_trouble:
            log.warning(what, lease=self.name, reason=str(error))
        self._in_trouble = True


async def rest(store: Store, clock: Clock, name: str, mark: int, seconds: float) -> None:
    """Return once *name* was woken after *mark*, or after *seconds* by *clock*."""
    async with asyncio.TaskGroup() as waits:
        first = [
            waits.create_task(store.wait(name, mark, timeout_s=3600.0), name=f"wake by {name}"),
            waits.create_task(clock.sleep(seconds), name=f"rest of {name}"),
        ]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        for wait in first:
            wait.cancel()


def kind(name: str) -> str:
    """Return what a lease is counted under: its name without the last part, if it has several."""
    return name.rpartition("/")[0] or name
