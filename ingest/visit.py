"""One feed asked once, and what it says accepted: fetch, parse in a child, one unit of work."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from ingest import health, schedule
from ingest.acceptance import Accepted, accept, keep_window, rate, validators_of
from ingest.fetch import Fetched, NotModified, Sessions, fetch, host_of
from ingest.hosts import HostHeld, Hosts
from ingest.intake import Intake, Request, Unreadable, take_in
from ingest.parse import Document
from ingest.schedule import Bounds
from tocsin import metrics
from tocsin.errors import FeedUnreachable, Fenced, StoreUnavailable
from tocsin.records import DeadLetter, digest
from tocsin.store.dead_letters import KEPT_BYTES
from tocsin.stream.dead_letters import DIED, DOCUMENTS, put_aside
from tocsin.workers import Done, Failed, Job, Pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Container, Sequence

    from ingest.identity import Item
    from ingest.settings import Feed, PollingSettings
    from ingest.share import Permit
    from tocsin.clock import Clock
    from tocsin.store.ingest_tables import FeedRow
    from tocsin.store.port import Store
    from tocsin.store.tx import Tx

log = structlog.get_logger()

ENTRIES_A_UNIT = 250  # a document of thousands must not keep the store's writer from everybody else
ACCEPTED_AT_ONCE = 32  # documents: those that wait here would else wait before what others have to write
STARTS = 4  # a feed whose visit was under way at three deaths, the last two times singly, is left out for a while
SET_ASIDE = timedelta(minutes=5)
ALONE_S = 2.0
OUTCOMES_WATCHED = 200
OUTCOMES_FOR = timedelta(minutes=2)


class Outcome(StrEnum):
    """How a visit ended."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    NOT_MODIFIED = "not_modified"
    HELD = "held"
    UNREACHABLE = "unreachable"
    OUR_OUTAGE = "our_outage"
    UNREADABLE = "unreadable"
    PARSER_FAILED = "parser_failed"
    CRASHED = "crashed"
    DEADLY = "deadly"
    LEFT = "left"
    STORE_UNAVAILABLE = "store_unavailable"


class Visitor:
    """Visits feeds, any number at once; `bounds` may be replaced while it works. Belongs to one event loop."""

    def __init__(
        self,
        *,
        clock: Clock,
        pool: Pool,
        polling: PollingSettings,
        chance: Callable[[], float],
        not_before: Callable[[str], datetime | None] | None = None,
        called_off: Container[str] = (),
    ) -> None:
        """*called_off* are the feeds that are not to be asked any more as they were when their visits began."""
        self.bounds = Bounds(floor=polling.floor, ceiling=polling.ceiling)
        self._clock = clock
        self._pool = pool
        self._polling = polling
        self._chance = chance
        self.hosts = Hosts(
            at_once=polling.per_host.at_once, gap=polling.per_host.gap, clock=clock, not_before=not_before
        )
        self._called_off = called_off
        self._places = asyncio.Semaphore(polling.at_once)
        self._job = Job(function=take_in, argument=None, key="v1", deadline_s=polling.parse_deadline.total_seconds())
        self._answers: deque[tuple[datetime, str, bool]] = deque(maxlen=OUTCOMES_WATCHED)
        self._begun: set[str] = set()
        self._noted: set[str] = set()
        self._singly = asyncio.Lock()
        self._hands = asyncio.Semaphore(ACCEPTED_AT_ONCE)

    async def visit(self, sessions: Sessions, feed: Feed, row: FeedRow, *, permit: Permit) -> Outcome:
        """Ask *feed* once, whose row is *row*, and commit what comes of it, both as *permit* allows.

        Raises:
            Fenced: another worker is to ask it, or has done so, or it is to be asked elsewhere or not at all by now;
                what we had in hand is undone.
            StoreUnavailable: nothing of it is committed, or only whole articles; the feed stays due.
        """
        try:
            async with AsyncExitStack() as alone:
                outcome = await self._visited(sessions, feed, row, permit, alone=alone)
        except (asyncio.CancelledError, Fenced):  # nobody died of it
            await self._withdraw(permit.store, row)
            raise
        self._noted.discard(row.id)
        return outcome

    async def _visited(
        self, sessions: Sessions, feed: Feed, row: FeedRow, permit: Permit, *, alone: AsyncExitStack
    ) -> Outcome:
        store = permit.store
        url = row.moved_to or row.url
        host = host_of(url)
        try:
            async with AsyncExitStack() as held:
                async with permit.waiting():
                    await held.enter_async_context(self.hosts.turn(host))
                    if row.attempts and row.id not in self._begun:
                        await alone.enter_async_context(self._one_by_one())
                    await held.enter_async_context(self._places)
                if row.id in self._called_off:
                    raise Fenced(f"feed {row.id!r} was changed, paused or taken out before {url} was asked")
                if await self._is_deadly(store, feed, row):
                    return Outcome.DEADLY
                got = await fetch(
                    sessions,
                    feed,
                    url=url,
                    validators=validators_of(row),
                    hosts=self.hosts,
                    polling=self._polling,
                    clock=self._clock,
                )
        except HostHeld as error:
            await _save(store, row, {"next_due": error.until + self.bounds.floor * self._chance()})
            return Outcome.HELD
        except FeedUnreachable as error:
            self._answers.append((self._clock.now(), host, error.status is not None))
            return await self._unreachable(store, feed, row, host, error)
        self._answers.append((self._clock.now(), host, True))
        if isinstance(got, NotModified):
            await _save(store, row, self._without_news(feed, row, got.max_age))
            return Outcome.NOT_MODIFIED
        return await self._read(store, feed, row, got)

    @asynccontextmanager
    async def _one_by_one(self) -> AsyncIterator[None]:
        """Let the others that were under way when a process died wait; a slow host keeps them for `ALONE_S` at most."""
        await self._singly.acquire()
        go_on = asyncio.get_running_loop().call_later(ALONE_S, self._singly.release)
        try:
            yield
        finally:
            if asyncio.get_running_loop().time() < go_on.when():
                go_on.cancel()
                self._singly.release()

    async def _is_deadly(self, store: Store, feed: Feed, row: FeedRow) -> bool:
        """Note the first visit since our start; say whether earlier processes died of just that, and set it aside.

        Whoever was visited when a process died is visited singly by the next, so that only one can be blamed for the
        second death. Set aside, a feed is left alone for a while, and one death more is enough to do so again.
        """
        if row.id in self._begun:
            return False
        self._begun.add(row.id)
        self._noted.add(row.id)
        starts = await store.write(lambda tx: tx.ingest.begin_visit(row.id))
        if starts < STARTS:
            return False
        reason = f"{DIED} {STARTS - 1} times while this feed was visited"
        letter = DeadLetter(
            id=digest("dead letter", "ingest", feed.id, "deadly"),
            stage="ingest",
            topic=DOCUMENTS,
            record_id=feed.id,
            key=feed.id,
            reason=f"{reason} ({row.moved_to or row.url})",
            value=b"",
            at=self._clock.now(),
        )
        self._begun.discard(row.id)
        await self._fail(store, feed, row, _set_aside, reason=reason, letter=letter)
        return True

    async def _withdraw(self, store: Store, row: FeedRow) -> None:
        """Take back the note of a first visit that was called off."""
        if row.id in self._noted:
            self._noted.discard(row.id)
            self._begun.discard(row.id)
            with suppress(Fenced, StoreUnavailable):
                await store.write(lambda tx: tx.ingest.withdraw_visit(row.id))

    async def give_up(
        self, store: Store, feed: Feed, row: FeedRow, reason: str, *, letter: DeadLetter | None = None
    ) -> None:
        """Note that *feed* was asked in vain."""
        await self._fail(store, feed, row, health.failed, reason=reason, letter=letter)

    async def _read(self, store: Store, feed: Feed, row: FeedRow, got: Fetched) -> Outcome:
        metrics.FETCHED_BYTES.inc(len(got.body))
        for warning in got.warnings:
            log.warning("feed answered oddly", feed=feed.id, warning=warning)
        body_hash = hashlib.blake2b(got.body, digest_size=16).hexdigest()
        if body_hash == row.body_hash:
            values = self._without_news(feed, row, got.max_age)
            await _save(store, row, values | health.validators(got) | health.moving(row, got))
            return Outcome.UNCHANGED
        request = Request(feed=feed.id, document=Document(body=got.body, url=got.url, content_type=got.content_type))
        (answer,) = await self._pool.map(self._job, [request])
        if isinstance(answer, Failed):
            letter = self._letter(feed, got, answer, body_hash)
            await self.give_up(store, feed, row, f"parser: {answer.reason}", letter=letter)
            return Outcome.PARSER_FAILED
        assert isinstance(answer, Done)
        if isinstance(answer.value, Unreadable):
            await self.give_up(store, feed, row, f"no feed: {answer.value.reason}")
            return Outcome.UNREADABLE
        async with self._hands:
            return await self._accept(store, feed, row, got, answer.value, body_hash=body_hash)

    async def _accept(
        self, store: Store, feed: Feed, row: FeedRow, got: Fetched, intake: Intake, *, body_hash: str
    ) -> Outcome:
        """Write what the document brought, in units of bounded size; the last one brings validators and health."""
        now = self._clock.now()
        is_first = row.first_ok_at is None
        backfill = is_first or schedule.is_late(now, row.planned_at)
        items = intake.items
        told = partial(accept, feed=feed, row=row, language=intake.feed.language, now=now, backfill=backfill)
        starts = range(0, max(1, len(items)), ENTRIES_A_UNIT)
        earlier = Accepted()

        def take(tx: Tx, items: Sequence[Item]) -> Accepted:
            tx.ingest.check_address(row)
            return told(tx, items=items)

        for start in starts[:-1]:
            earlier += await store.write(partial(take, items=items[start : start + ENTRIES_A_UNIT]))

        def last(tx: Tx) -> tuple[Accepted, bool]:
            whole = earlier + take(tx, items[starts[-1] :])
            is_gap = keep_window(tx, feed.id, whole)
            values = health.succeeded(
                feed,
                self.bounds,
                now=now,
                chance=self._chance(),
                hint=intake.feed.every or got.max_age,
                rate_per_h=rate(row, items, whole, now),
                mostly_new=not is_first and schedule.is_mostly_new(new=whole.new, entries=len(items)),
            )
            values |= health.validators(got) | health.moving(row, got)
            values |= {"body_hash": body_hash, "last_entries": len(items), "last_new": whole.new}
            values |= {"guids_churn": whole.guids_churn, "gaps": row.gaps + is_gap}
            if whole.new:
                values["last_new_at"] = now
            if is_first:
                values["first_ok_at"] = now
            tx.ingest.end_visit(row, values)
            return whole, is_gap

        whole, is_gap = await store.write(last)
        self._tell(feed, row, intake, whole, is_gap=is_gap)
        return Outcome.CHANGED if whole.new or whole.revised else Outcome.UNCHANGED

    def _tell(self, feed: Feed, row: FeedRow, intake: Intake, whole: Accepted, *, is_gap: bool) -> None:
        metrics.ARTICLES.inc(whole.new + whole.revised)
        if row.failures:
            log.info("feed recovered", feed=feed.id, failures=row.failures)
        if is_gap:
            metrics.FEED_GAPS.inc()
            log.warning("possible gap found", feed=feed.id, new=whole.new)
        if whole.guids_churn and not row.guids_churn:
            log.warning("feed's ids found unstable", feed=feed.id)
        if intake.feed.warnings:
            log.debug("feed read with warnings", feed=feed.id, warnings=intake.feed.warnings[:5])

    def _without_news(self, feed: Feed, row: FeedRow, max_age: timedelta | None) -> health.Values:
        now = self._clock.now()
        return health.succeeded(
            feed,
            self.bounds,
            now=now,
            chance=self._chance(),
            hint=health.hint(max_age, row),
            rate_per_h=health.rate_without_news(row, now),
        )

    async def _unreachable(self, store: Store, feed: Feed, row: FeedRow, host: str, error: FeedUnreachable) -> Outcome:
        now = self._clock.now()
        if error.retry_after_s:
            wait = timedelta(seconds=error.retry_after_s)
            self.hosts.hold(host, now + wait)
            note = partial(health.failed, status=error.status, retry_after=wait)
            await self._fail(store, feed, row, note, reason=error.reason, hold=(host, now + wait))
            return Outcome.HELD
        recent = [(where, answered) for at, where, answered in self._answers if now - at < OUTCOMES_FOR]
        if error.status is None and schedule.is_our_outage(recent):
            await _save(store, row, health.cut_off(now=now, chance=self._chance(), reason=error.reason))
            return Outcome.OUR_OUTAGE
        await self._fail(store, feed, row, partial(health.failed, status=error.status), reason=error.reason)
        return Outcome.UNREACHABLE

    async def _fail(
        self,
        store: Store,
        feed: Feed,
        row: FeedRow,
        note: Callable[..., health.Values],
        *,
        reason: str,
        hold: tuple[str, datetime] | None = None,
        letter: DeadLetter | None = None,
    ) -> None:
        values = note(feed, row, self.bounds, now=self._clock.now(), chance=self._chance(), reason=reason)

        def unit(tx: Tx) -> None:
            tx.ingest.end_visit(row, values)
            if hold is not None:
                tx.ingest.hold_host(*hold)
            if letter is not None:
                put_aside(tx, letter)

        await store.write(unit)
        log.warning("feed failed", feed=feed.id, reason=reason, failures=values["failures"], due=values["next_due"])

    def _letter(self, feed: Feed, got: Fetched, answer: Failed, body_hash: str) -> DeadLetter:
        """Set aside a document that killed, hung or broke its parser."""
        return DeadLetter(
            id=digest("dead letter", "ingest", feed.id, body_hash),
            stage="ingest",
            topic=DOCUMENTS,
            record_id=feed.id,
            key=feed.id,
            reason=f"{answer.kind}: {answer.reason} ({got.url})",
            value=got.body[:KEPT_BYTES],
            size=len(got.body),
            at=self._clock.now(),
        )


def _set_aside(feed: Feed, row: FeedRow, bounds: Bounds, **told: Any) -> health.Values:  # noqa: ANN401  handed on
    """Return what is kept of a feed whose visit was deadly: it is left alone for ever longer."""
    pause = min(schedule.BACKOFF_CAP, SET_ASIDE * 2.0 ** min(row.failures, 10))
    return {**health.failed(feed, row, bounds, **told, retry_after=pause), "attempts": STARTS - 2}


async def _save(store: Store, row: FeedRow, values: health.Values) -> None:
    await store.write(lambda tx: tx.ingest.end_visit(row, values))
