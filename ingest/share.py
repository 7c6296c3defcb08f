"""Which hosts this worker polls, when several share them: those in the slots that it holds a lease of.

A slot goes from one worker to the next only when nothing is under way there and its hosts' gaps have passed, so that
manners towards a host hold as if there were but one worker. A dead worker's slots run out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, Never

import structlog

from ingest.slots import SLOTS, share, slot_of
from tocsin import metrics
from tocsin.errors import Fenced, StoreUnavailable
from tocsin.leases import LASTING, SPARE_SHARE, rest
from tocsin.store.leases import NOBODY, Taken, wake_of
from tocsin.store.port import Store
from tocsin.terms import FencedStore, Term

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Set as AbstractSet

    from tocsin.clock import Clock
    from tocsin.store.tx import Tx

log = structlog.get_logger()

KIND: Final = "ingest"
MEMBERS: Final = f"{KIND}/member/"
SLOT_NAMES: Final = tuple(f"{KIND}/slot/{slot}" for slot in range(SLOTS))
TURNS: Final = 3  # in the time that a lease lasts
LOOK_S: Final = 0.1  # how often we look whether a slot that is to be given up has come to rest
DRAIN_S: Final = 4.0  # for the hosts' gaps to pass at the end
FORGOTTEN_AFTER: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to visit one feed: the store to write to, and the scope in which a visit may still be called off."""

    store: Store
    waiting: Callable[[], AbstractAsyncContextManager[object]] = nullcontext


@dataclass(slots=True)
class _Slot:
    """A slot that we hold. `waiting` are visits that asked nobody yet; `quiet_until` is for a dead worker's gap."""

    term: Term
    quiet_until: datetime
    is_leaving: bool = False
    waiting: set[asyncio.Timeout] = field(default_factory=set)

    def leave(self) -> None:
        self.is_leaving = True
        for scope in self.waiting:
            if scope.when() is None:
                scope.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def may_leave(self) -> AsyncIterator[None]:
        """Wait in the body for a turn; raises `Fenced` when the slot is given up meanwhile."""
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self.waiting.add(scope)
                try:
                    yield
                finally:
                    self.waiting.discard(scope)
        except TimeoutError:
            if not scope.expired():
                raise
        if self.is_leaving or self.term.is_over:
            raise Fenced("another worker is to poll this host")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """What one look at the leases brought."""

    joined: int | None
    renewed: frozenset[str]
    members: frozenset[str]
    wanted: frozenset[int]
    taken: dict[int, Taken]


class Share:
    """This worker's slots. `keep` runs beside the poller that visits what is in them; belongs to one event loop.

    Whoever polls sets `gap`, `resting` (the hosts that have not had their gap, with when they will) and `changed`,
    which is called when slots have come or gone.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        holder: str,
        turns: Store | None = None,
        lasting: timedelta = LASTING,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self.holder = holder
        self.gap = timedelta(0)
        self.resting: Callable[[], Mapping[str, datetime]] = dict
        self.changed: Callable[[], None] = lambda: None
        self.taken = 0  # how often slots were taken: whoever remembers hosts looks up what was asked of others
        self._store = store
        self._turns = turns or store  # see `Lease`
        self._clock = clock
        self._lasting = lasting
        self._elapsed = elapsed
        self._usable_s = lasting.total_seconds() * (1 - SPARE_SHARE)
        self._turn_s = lasting.total_seconds() / TURNS
        self._member: int | None = None
        self._until = elapsed()
        self._held: dict[int, _Slot] = {}
        self._members: frozenset[str] = frozenset()
        self._in_trouble = False

    @property
    def slots(self) -> frozenset[int]:
        """What may be visited now."""
        return frozenset(slot for slot, held in self._held.items() if not held.is_leaving and not held.term.is_over)

    def not_before(self, host: str) -> datetime | None:
        """Return until when the last request of a dead worker to *host* may be too near."""
        held = self._held.get(slot_of(host))
        return None if held is None else held.quiet_until

    @asynccontextmanager
    async def visiting(self, slot: int) -> AsyncIterator[Permit]:
        """Visit a feed in the body, cancelled and silently left when the slot is lost.

        Raises:
            Fenced: the slot is not ours now.
        """
        held = self._held.get(slot)
        if held is None or held.is_leaving or held.term.is_over:
            raise Fenced(f"slot {slot} is another worker's")
        async with held.term.running():
            store = FencedStore(self._store, SLOT_NAMES[slot], held.term, holder=self.holder)
            yield Permit(store, held.may_leave)

    async def keep(self) -> Never:
        """Hold our share of the slots until cancelled; then give them back."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch(), name="watch over slots")
                while True:
                    mark = self._turns.mark(wake_of(KIND))
                    try:
                        await self._look()
                        self._in_trouble = False
                    except StoreUnavailable as error:
                        if not self._in_trouble:
                            log.warning("slots not renewed", slots=len(self._held), reason=str(error))
                        self._in_trouble = True
                    await self._pause(mark)
        finally:
            await self._give_back()
        raise AssertionError("unreachable: only a cancellation or an error ends the group")

    # -------------------------------------------------------------------------------------------------------- a turn

    async def _look(self) -> None:
        """Renew what we hold, give up what another should have, and take what we should have and nobody holds."""
        self._bury()
        free = self._at_rest()
        asked = self._elapsed()
        held = {slot: entry.term.epoch for slot, entry in self._held.items() if not entry.term.is_over}
        taboo = frozenset(self._held)
        turn = await self._turns.write(partial(self._turn, held=held, free=free, taboo=taboo, member=self._member))
        until = asked + self._usable_s
        if self._elapsed() >= until:
            return  # the answer came so late that it says nothing about now
        before = self.slots
        self._until = until
        self._member = turn.joined
        for slot in free:
            self._drop(slot)
        for slot in held.keys() - free:
            if SLOT_NAMES[slot] in turn.renewed:
                self._held[slot].term.until = until
            else:
                self._held[slot].term.lose()
        for slot, taken in turn.taken.items():
            self._hold(slot, taken, until)
        for slot, entry in self._held.items():
            if slot not in turn.wanted:
                entry.leave()
            elif entry.is_leaving and not entry.term.is_over:
                entry.is_leaving = False
        self._tell(turn, before)

    def _turn(
        self, tx: Tx, *, held: Mapping[int, int], free: frozenset[int], taboo: frozenset[int], member: int | None
    ) -> _Turn:
        """Do all that a look does to the leases, in one transaction; *taboo* are the slots not to be taken."""
        tx.leases.release({SLOT_NAMES[slot]: held[slot] for slot in free}, holder=self.holder)
        kept = {SLOT_NAMES[slot]: epoch for slot, epoch in held.items() if slot not in free}
        me = f"{MEMBERS}{self.holder}"
        if member is not None:
            kept[me] = member
        renewed = tx.leases.renew(kept, holder=self.holder, lasting=self._lasting)
        joined = member if me in renewed else None
        if joined is None:
            mine = tx.leases.acquire([me], holder=self.holder, lasting=self._lasting).get(me)
            joined = None if mine is None else mine.epoch
            tx.wake(wake_of(KIND))  # whoever has slots that are now ours looks at once
        rows = tx.leases.under(f"{KIND}/")
        members = frozenset(
            row.name.removeprefix(MEMBERS)
            for row in rows
            if row.name.startswith(MEMBERS) and not row.is_free(lasting=self._lasting)
        )
        tx.leases.forget([row.name for row in rows if row.name.startswith(MEMBERS) and row.left < -FORGOTTEN_AFTER])
        wanted = share(self.holder, members)
        others = {row.name for row in rows if not row.is_free(lasting=self._lasting) and row.holder != self.holder}
        open_slots = {SLOT_NAMES[slot]: slot for slot in wanted - taboo if SLOT_NAMES[slot] not in others}
        taken = tx.leases.acquire(open_slots, holder=self.holder, lasting=self._lasting)
        return _Turn(
            joined=joined,
            renewed=renewed,
            members=members,
            wanted=wanted,
            taken={open_slots[name]: each for name, each in taken.items()},
        )

    def _hold(self, slot: int, taken: Taken, until: float) -> None:
        now = self._clock.now()
        quiet_until = now if taken.after == NOBODY else now + self.gap
        self._held[slot] = _Slot(Term(taken.epoch, until=until, elapsed=self._elapsed), quiet_until)

    def _drop(self, slot: int) -> None:
        self._held.pop(slot).term.lose()

    def _bury(self) -> None:
        """Forget slots that are lost, once nothing runs there any more: until then they cannot be taken again."""
        for slot in [slot for slot, entry in self._held.items() if entry.term.is_over]:
            self._held[slot].term.end()
            if not self._held[slot].term.has_runs:
                del self._held[slot]

    def _at_rest(self) -> frozenset[int]:
        """Return the slots to give up where nothing is under way and every host has had its gap."""
        idle = {
            slot
            for slot, entry in self._held.items()
            if entry.is_leaving and not entry.term.is_over and not entry.term.has_runs
        }
        return frozenset(idle - self._restless() if idle else ())

    def _restless(self) -> set[int]:
        """Return the slots in which a host has not had its gap."""
        now = self._clock.now()
        quiet = {slot for slot, entry in self._held.items() if entry.quiet_until > now}
        return quiet | {slot_of(host) for host in self.resting()}

    # ------------------------------------------------------------------------------------------------ waiting, ending

    async def _pause(self, mark: int) -> None:
        """Wait for a wake, for the next turn, or for a slot that is to be given up to come to rest."""
        end = self._elapsed() + self._turn_s
        while (left := end - self._elapsed()) > 0 and self._turns.mark(wake_of(KIND)) == mark and not self._at_rest():
            is_leaving = any(entry.is_leaving for entry in self._held.values())
            await rest(self._turns, self._clock, wake_of(KIND), mark, min(left, LOOK_S) if is_leaving else left)

    async def _watch(self) -> None:
        """End all visits when the leases could not be renewed in time: another worker may begin soon."""
        while True:
            await self._clock.sleep(max(self._until - self._elapsed(), LOOK_S / 2))
            ending = [
                entry.term for entry in self._held.values() if entry.term.is_over and not entry.term.over.is_set()
            ]
            if ending:
                log.warning("slots lost", slots=len(ending), reason="not renewed in time")
                for term in ending:
                    term.end()
                self._member = None
                self._count()

    async def _give_back(self) -> None:
        """Give back the slots that are at rest; the others run out, and whoever takes them waits for the gap."""
        for entry in self._held.values():
            entry.leave()
        try:
            async with asyncio.timeout(DRAIN_S):
                while any(entry.term.has_runs for entry in self._held.values()):
                    await self._clock.sleep(LOOK_S / 2)  # they are being cancelled together with us
                end = self._elapsed() + DRAIN_S / 2
                while self._elapsed() < end and self._restless() & self._held.keys():
                    await self._clock.sleep(LOOK_S / 2)
                kept = {SLOT_NAMES[slot] for slot in self._held.keys() - self._at_rest()}
                given = await self._turns.write(partial(self._given_back, kept=kept))
            log.info("slots given back", slots=given, left_to_run_out=len(kept))
        except (TimeoutError, StoreUnavailable) as error:
            reason = str(error) or f"not over within {DRAIN_S:g} s"
            log.warning("slots left to run out", slots=len(self._held), reason=reason)
        finally:
            self._held.clear()
            self._count()

    def _given_back(self, tx: Tx, *, kept: AbstractSet[str]) -> int:
        """Give back all that is ours but *kept*, even what was taken in a turn whose end we did not see."""
        ours = {row.name: row.epoch for row in tx.leases.under(f"{KIND}/") if row.holder == self.holder}
        given = {name: epoch for name, epoch in ours.items() if name not in kept}
        tx.leases.release(given, holder=self.holder)
        return len(given)

    # --------------------------------------------------------------------------------------------------------- telling

    def _tell(self, turn: _Turn, before: frozenset[int]) -> None:
        over = sum(taken.after != NOBODY for taken in turn.taken.values())
        if over:
            metrics.LEASE_TAKEOVERS.labels(kind=f"{KIND}/slot").inc(over)
        if turn.taken:
            self.taken += 1
        after = self.slots
        self._count()
        if turn.members != self._members:
            log.info("workers share the feeds", workers=sorted(turn.members), ours=len(turn.wanted))
            self._members = turn.members
        if after != before:
            log.info("slots changed", slots=len(after), came=len(after - before), went=len(before - after), dead=over)
            self.changed()

    def _count(self) -> None:
        held = sum(not entry.term.is_over for entry in self._held.values())
        metrics.LEASES_HELD.labels(kind=f"{KIND}/slot").set(held)
        metrics.LEASES_HELD.labels(kind=f"{KIND}/member").set(self._member is not None)
