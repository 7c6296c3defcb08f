"""The stage: has every feed visited when it is due.

All that matters is in the store, so that the stage can be killed anywhere: a feed stays due until its visit is
committed, and validators are committed with the articles that they stand for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import structlog

from ingest import health, schedule, sources
from ingest.fetch import Sessions, open_sessions
from ingest.share import Permit
from ingest.slots import SLOTS
from ingest.visit import Outcome, Visitor
from tocsin import metrics
from tocsin.errors import Fenced, StoreFull, StoreUnavailable
from tocsin.store.overlay import FEED, FEEDS_CHANGED, PAUSE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingest.settings import Feed, PollingSettings
    from ingest.share import Share
    from tocsin.clock import Clock
    from tocsin.store.ingest_tables import FeedRow
    from tocsin.store.port import Store
    from tocsin.store.tx import Tx
    from tocsin.workers import Pool

log = structlog.get_logger()

WAITING_VISITS = 2_000  # for their host's turn; the requests under way are limited by `at_once`
IDLE_S = 30.0
REVIEW = timedelta(minutes=1)  # how often the budget is shared anew and the feeds are counted
STORE_PAUSE_S = 5.0  # for what is fetched and cannot be kept
RETRY_S = 0.5  # to ask a store that was away for some work costs it little
LONGER_AT_MOST = 8  # doublings of a pause, beyond any that is made
CHANGES_A_UNIT = 2_000  # feeds: more would keep the store's writer from everybody else, and meet the visits of others
TOLD = 10  # feeds named in one line of the log


class Poller:
    """Polls `feeds()`, the configured ones, and what people added. One instance belongs to one event loop.

    `feeds` is asked again whenever `FEEDS_CHANGED` is woken, so a reload needs nothing else. With a `share` it polls
    the feeds in that only: several workers do, from one configuration.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        pool: Pool,
        polling: PollingSettings,
        feeds: Callable[[], Sequence[Feed]],
        share: Share | None = None,
        random: Random | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._polling = polling
        self._configured = feeds
        self._chance = (random or Random()).random  # noqa: S311 — jitter
        self._share = share
        self._called_off: set[str] = set()
        self._visitor = Visitor(
            clock=clock,
            pool=pool,
            polling=polling,
            chance=self._chance,
            not_before=None if share is None else share.not_before,
            called_off=self._called_off,
        )
        self._feeds: dict[str, Feed] = {}
        self._strange: set[str] = set()
        self._told: set[str] = set()
        self._learnt: int | None = None
        self._heard: int | None = None
        self._reviewed = clock.now()
        self._in_trouble = False
        self._under_way: dict[str, FeedRow] = {}
        self._finished = asyncio.Event()
        # Saved up by nobody yet where others may have used up theirs.
        self._budget = float(polling.requests_per_minute) if share is None else 0.0
        self._budget_at = clock.now()
        self._paused_until: datetime | None = None
        self._refused = 0  # pauses since the store last took what a visit brought

    async def run(self) -> None:
        """Poll until cancelled."""
        async with open_sessions(self._polling) as sessions, asyncio.TaskGroup() as visits:
            if self._share is not None:
                self._share.gap = self._polling.per_host.gap
                self._share.resting = self._visitor.hosts.resting
                self._share.changed = self._finished.set
                visits.create_task(self._share.keep(), name="share of the feeds")
            while True:
                try:
                    await self._turn(sessions, visits)
                except StoreUnavailable as error:
                    await self._sit_out(str(error))

    async def _turn(self, sessions: Sessions, visits: asyncio.TaskGroup) -> None:
        """Start what is due, and wait for what is next.

        Raises:
            StoreUnavailable: the next turn makes up for what this one left undone.
        """
        if (latest := self._store.mark(FEEDS_CHANGED)) != self._heard:
            await self._sync()
            self._heard = latest
            self._reviewed = self._clock.now()
        elif self._clock.now() - self._reviewed > REVIEW:
            self._review(await self._store.read(lambda tx: tx.ingest.list_feeds()))
            self._reviewed = self._clock.now()
        self._finished.clear()
        await self._learn_holds()
        for feed, row in await self._due():
            self._under_way[row.id] = row
            visits.create_task(self._visit(sessions, feed, row), name=f"poll-{row.id}")
        until = await self._next()
        if self._in_trouble:
            log.info("store available again", under_way=len(self._under_way))
            self._in_trouble = False
        await self._sleep(until, latest)

    async def _sit_out(self, reason: str) -> None:
        """Start nothing while the store cannot be read; what is under way goes on."""
        if not self._in_trouble:
            log.warning("store unavailable", reason=reason, retry_s=RETRY_S, under_way=len(self._under_way))
        self._in_trouble = True
        self._paused_until = None  # it is over as soon as the store answers
        await self._clock.sleep(RETRY_S)

    async def _sync(self) -> None:
        """Bring the store's list of feeds up to the configuration and the overlay."""
        configured = tuple(self._configured())

        def unit(tx: Tx) -> tuple[tuple[Feed, ...], list[FeedRow] | None]:
            feeds = sources.listed(configured, tx.overlay.all(FEED))
            paused = {change.id for change in tx.overlay.all(PAUSE)}
            now = self._clock.now()
            due = {feed.id: schedule.first_poll(now, feeds=len(feeds), chance=self._chance()) for feed in feeds}
            wanted = [sources.as_kept(feed, paused=feed.id in paused) for feed in feeds]
            if not tx.ingest.sync(wanted, due, most=CHANGES_A_UNIT):
                return feeds, None
            tx.ingest.forget_holds(now)
            rows = tx.ingest.list_feeds()
            for row in rows:  # of the files' addresses `sync` knows where they lie
                if row.moved_to is not None and (place := health.place(row.moved_to))["slot"] != row.slot:
                    tx.ingest.save(row.id, place)
            return feeds, rows

        while True:
            feeds, rows = await self._store.write(unit)
            if rows is not None:
                break
        self._feeds = {feed.id: feed for feed in feeds}
        self._review(rows)

    def _review(self, rows: Sequence[FeedRow]) -> None:
        """Share the request budget among the feeds as they now are, and count them."""
        shared = [
            (row.rate_per_h, row.weight)
            for row in rows
            if not row.paused and (feed := self._feeds.get(row.id)) is not None and feed.every is None
        ]
        scale = schedule.scale(shared, requests_per_minute=self._polling.requests_per_minute)
        self._visitor.bounds = replace(self._visitor.bounds, scale=scale)
        self._compare(rows)
        self._call_off(rows)
        counted = Counter(row.state for row in rows)
        for state in ("ok", "new", "failing", "gone", "paused"):
            metrics.FEEDS.labels(state=state).set(counted[state])

    def _compare(self, rows: Sequence[FeedRow]) -> None:
        """Say so when another worker's configuration has other feeds than ours: the last one read is in force."""
        listed = {row.id for row in rows}
        strange, missing = listed - self._feeds.keys(), self._feeds.keys() - listed
        if strange - self._told:
            log.warning("feeds left alone", reason="not in this worker's configuration", feeds=sorted(strange)[:TOLD])
        if missing - self._told:
            log.warning("feeds taken out", reason="by another worker's configuration", feeds=sorted(missing)[:TOLD])
        self._strange, self._told = strange, strange | missing

    def _call_off(self, rows: Sequence[FeedRow]) -> None:
        """Let no visit ask what is, after it began, to be asked elsewhere or not at all."""
        wanted = {row.id: row.url for row in rows if not row.paused}
        self._called_off |= {name for name, row in self._under_way.items() if wanted.get(name) != row.url}

    async def _learn_holds(self) -> None:
        """Learn which hosts have asked for silence, when we have just begun to ask them."""
        while self._learnt != (taken := 0 if self._share is None else self._share.taken):
            now = self._clock.now()
            holds = await self._store.read(lambda tx, now=now: tx.ingest.holds(now))  # type: ignore[misc]  # mypy infers no lambda with defaults
            for host, until in holds:
                self._visitor.hosts.hold(host, until)
            self._learnt = taken

    def _slots(self) -> frozenset[int] | None:
        """Return the slots whose feeds we poll; None when that is all of them."""
        if self._share is None or len(self._share.slots) == SLOTS:
            return None
        return self._share.slots

    def _per_minute(self) -> float:
        """Return our part of the request budget."""
        slots = self._slots()
        return self._polling.requests_per_minute * (1.0 if slots is None else len(slots) / SLOTS)

    async def _due(self) -> list[tuple[Feed, FeedRow]]:
        """Return what may be started now: due, not under way, within the budget and while the store takes articles."""
        now = self._clock.now()
        if self._paused_until is not None and now < self._paused_until:
            return []
        self._paused_until = None
        room = min(self._allowance(now), WAITING_VISITS - len(self._under_way))
        if room < 1:
            return []
        # Those that finish while we read are still due in what we read.
        busy = self._under_way.keys() | self._strange
        slots = self._slots()
        rows = await self._store.read(lambda tx: tx.ingest.due(now, limit=room + len(busy), slots=slots))
        self._strange |= {row.id for row in rows} - self._feeds.keys()  # until we compare the lists anew
        free = [row for row in rows if row.id not in busy]
        ready = [(feed, row) for row in free if (feed := self._feeds.get(row.id)) is not None][:room]
        self._budget -= len(ready)
        return ready

    def _allowance(self, now: datetime) -> int:
        """Refill the budget; at most a minute's worth is saved up."""
        per_minute = self._per_minute()
        passed = (now - self._budget_at).total_seconds()
        self._budget = min(per_minute, self._budget + max(0.0, passed) * per_minute / 60)
        self._budget_at = now
        return int(self._budget)

    async def _next(self) -> datetime:
        """Return when something is due or may be started again."""
        busy = self._under_way.keys() | self._strange
        slots = self._slots()
        upcoming = await self._store.read(lambda tx: tx.ingest.upcoming(limit=len(busy) + 1, slots=slots))
        now = self._clock.now()
        until = next((due for feed, due in upcoming if feed not in busy), now + timedelta(seconds=IDLE_S))
        if self._paused_until is not None:
            until = max(until, self._paused_until)
        if self._budget < 1 and (per_minute := self._per_minute()):
            until = max(until, now + timedelta(seconds=(1 - self._budget) * 60 / per_minute))
        if len(self._under_way) >= WAITING_VISITS:
            until = now + timedelta(seconds=IDLE_S)
        return until

    async def _sleep(self, until: datetime, heard: int) -> None:
        """Wait until then, or until something is finished or has changed since *heard*."""
        pause_s = min(IDLE_S, max(0.001, (until - self._clock.now()).total_seconds()))
        async with asyncio.TaskGroup() as waits:
            first = [
                waits.create_task(self._store.wait(FEEDS_CHANGED, heard, timeout_s=pause_s), name="feeds-changed"),
                waits.create_task(self._finished.wait(), name="visit-finished"),
            ]
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            for wait in first:
                wait.cancel()

    async def _visit(self, sessions: Sessions, feed: Feed, row: FeedRow) -> None:
        """Visit one feed; whatever goes wrong stays with that feed."""
        started = self._clock.now()
        metrics.POLL_LATENESS_SECONDS.observe(max(0.0, (started - row.next_due).total_seconds()))
        outcome = Outcome.LEFT
        try:
            async with self._permit(row) as permit:
                outcome = await self._visited(sessions, feed, row, permit)
        except Fenced as error:
            log.debug("visit called off", feed=row.id, reason=str(error))
        finally:
            self._under_way.pop(row.id, None)
            self._called_off.discard(row.id)
            self._finished.set()
        metrics.POLLS.labels(outcome=outcome).inc()
        metrics.POLL_SECONDS.observe((self._clock.now() - started).total_seconds())

    async def _visited(self, sessions: Sessions, feed: Feed, row: FeedRow, permit: Permit) -> Outcome:
        try:
            outcome = await self._visitor.visit(sessions, feed, row, permit=permit)
        except Fenced:
            raise
        except StoreUnavailable as error:
            self._pause(error)
            return Outcome.STORE_UNAVAILABLE
        except Exception as error:  # the record's bulkhead: a feed that we cannot handle must not stop the others
            log.exception("feed could not be handled", feed=row.id)
            with suppress(StoreUnavailable):  # then it stays due, which is as well
                await self._visitor.give_up(permit.store, feed, row, f"internal error: {error!r}")
            return Outcome.CRASHED
        self._refused = 0
        return outcome

    def _permit(self, row: FeedRow) -> AbstractAsyncContextManager[Permit]:
        if self._share is None:
            return nullcontext(Permit(self._store))
        return self._share.visiting(row.slot)

    def _pause(self, error: StoreUnavailable) -> None:
        """Start nothing for a while, each time longer: what cannot be stored must not be fetched."""
        if self._paused_until is not None:
            return
        longer_s = RETRY_S * 2 ** min(self._refused, LONGER_AT_MOST)
        pause_s = STORE_PAUSE_S if isinstance(error, StoreFull) else min(STORE_PAUSE_S, longer_s)
        if not self._refused:
            log.error("polling paused", reason=str(error), retry_s=pause_s)
        self._refused += 1
        self._paused_until = self._clock.now() + timedelta(seconds=pause_s)
