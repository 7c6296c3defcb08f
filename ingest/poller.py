"""The stage: asks every feed when it is due, and has what it says accepted in one unit of work.

All that matters is in the store, so that the stage can be killed anywhere: a feed stays due until its poll is
committed, and validators are committed with the articles that they stand for.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import structlog

from ingest import schedule, sources
from ingest.acceptance import Accepted, accept, keep_window, rate, validators_of
from ingest.fetch import Fetched, NotModified, Sessions, fetch, host_of, open_sessions
from ingest.hosts import HostHeld, Hosts
from ingest.intake import Intake, Request, Unreadable, take_in
from ingest.parse import Document
from ingest.schedule import Bounds, Rhythm
from tocsin import metrics
from tocsin.errors import FeedUnreachable, StoreFull, StoreUnavailable
from tocsin.records import DeadLetter, digest
from tocsin.workers import Done, Failed, Job, Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ingest.settings import Feed, PollingSettings
    from tocsin.clock import Clock
    from tocsin.store.ingest import FeedRow
    from tocsin.store.port import Store
    from tocsin.store.tx import Tx

log = structlog.get_logger()

WAITING_POLLS = 2_000  # for their host's turn; the requests under way are limited by `at_once`
IDLE_S = 30.0
REVIEW = timedelta(minutes=5)  # how often the budget is shared anew and the feeds are counted
STORE_PAUSE_S = 5.0
ENTRIES_A_UNIT = 250  # a document of thousands must not keep the store's writer from everybody else
OUTCOMES_WATCHED = 200
OUTCOMES_FOR = timedelta(minutes=2)
MOVED_AFTER = 3  # sightings of a permanent redirect whose target could be read
MOVED_GIVEN_UP_AFTER = 3  # failures at the new address before the written one is tried again
LAST_ERROR_CHARS = 500


class Poller:
    """Polls `feeds()`, the configured ones, and what people added. One instance belongs to one event loop.

    `feeds` is asked again whenever `sources.CHANGED` is woken, so a reload needs nothing else.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        pool: Pool,
        polling: PollingSettings,
        feeds: Callable[[], Sequence[Feed]],
        random: Random | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._pool = pool
        self._polling = polling
        self._configured = feeds
        self._chance = (random or Random()).random  # noqa: S311 — jitter
        self._feeds: dict[str, Feed] = {}
        self._bounds = Bounds(floor=polling.floor, ceiling=polling.ceiling)
        self._hosts = Hosts(at_once=polling.per_host.at_once, gap=polling.per_host.gap, clock=clock)
        self._slots = asyncio.Semaphore(polling.at_once)
        self._job = Job(function=take_in, argument=None, key="v1", deadline_s=polling.parse_deadline.total_seconds())
        self._polling_now: set[str] = set()
        self._outcomes: deque[tuple[datetime, str, bool]] = deque(maxlen=OUTCOMES_WATCHED)
        self._budget = float(polling.requests_per_minute)
        self._budget_at = clock.now()
        self._paused_until: datetime | None = None
        self._finished = asyncio.Event()

    async def run(self) -> None:
        """Poll until cancelled."""
        async with open_sessions(self._polling) as sessions, asyncio.TaskGroup() as polls:
            mark = self._store.mark(sources.CHANGED)
            await self._sync()
            reviewed = self._clock.now()
            while True:
                changed = self._store.mark(sources.CHANGED)
                if changed != mark or self._clock.now() - reviewed > REVIEW:
                    mark = changed
                    await self._sync()
                    reviewed = self._clock.now()
                self._finished.clear()
                for feed, row in await self._due():
                    self._polling_now.add(row.id)
                    polls.create_task(self._poll_alone(sessions, feed, row), name=f"poll-{row.id}")
                await self._sleep(changed)

    async def _sync(self) -> None:
        """Bring the store's list of feeds up to the configuration and the overlay, and share the budget anew."""
        configured = tuple(self._configured())

        def unit(tx: Tx) -> tuple[tuple[Feed, ...], list[FeedRow]]:
            feeds = sources.listed(configured, tx.overlay.all(sources.ADDED))
            paused = {change.id for change in tx.overlay.all(sources.PAUSED)}
            now = self._clock.now()
            due = {feed.id: schedule.first_poll(now, feeds=len(feeds), chance=self._chance()) for feed in feeds}
            tx.ingest.sync([sources.as_kept(feed, paused=feed.id in paused) for feed in feeds], due)
            return feeds, tx.ingest.list_feeds()

        feeds, rows = await self._persist(unit)
        self._feeds = {feed.id: feed for feed in feeds}
        active = [row for row in rows if not row.paused]
        shared = [(row.rate_per_h, row.weight) for row in active if self._feeds[row.id].every is None]
        self._bounds = replace(
            self._bounds, scale=schedule.scale(shared, requests_per_minute=self._polling.requests_per_minute)
        )
        counted = Counter(row.state for row in rows)
        for state in ("ok", "new", "failing", "gone", "paused"):
            metrics.FEEDS.labels(state=state).set(counted[state])

    async def _due(self) -> list[tuple[Feed, FeedRow]]:
        """Return what may be started now: due, not under way, within the budget and while the store takes articles."""
        now = self._clock.now()
        if self._paused_until is not None and now < self._paused_until:
            return []
        self._paused_until = None
        room = min(self._allowance(now), WAITING_POLLS - len(self._polling_now))
        if room < 1:
            return []
        most = room + len(self._polling_now)
        rows = await self._store.read(lambda tx: tx.ingest.due(now, limit=most))
        free = [row for row in rows if row.id not in self._polling_now]
        ready = [(feed, row) for row in free if (feed := self._feeds.get(row.id)) is not None][:room]
        self._budget -= len(ready)
        return ready

    def _allowance(self, now: datetime) -> int:
        """Refill the budget; at most a minute's worth is saved up."""
        per_minute = self._polling.requests_per_minute
        passed = (now - self._budget_at).total_seconds()
        self._budget = min(float(per_minute), self._budget + max(0.0, passed) * per_minute / 60)
        self._budget_at = now
        return int(self._budget)

    async def _sleep(self, changed: int) -> None:
        """Wait until something is due, may be started again, is finished or has changed."""
        under_way = set(self._polling_now)
        upcoming = await self._store.read(lambda tx: tx.ingest.upcoming(limit=len(under_way) + 1))
        now = self._clock.now()
        until = next((due for feed, due in upcoming if feed not in under_way), now + timedelta(seconds=IDLE_S))
        if self._paused_until is not None:
            until = max(until, self._paused_until)
        if self._budget < 1:
            until = max(until, now + timedelta(seconds=(1 - self._budget) * 60 / self._polling.requests_per_minute))
        if len(under_way) >= WAITING_POLLS:
            until = now + timedelta(seconds=IDLE_S)
        pause_s = min(IDLE_S, max(0.001, (until - now).total_seconds()))
        async with asyncio.TaskGroup() as waits:
            first = [
                waits.create_task(self._store.wait(sources.CHANGED, changed, timeout_s=pause_s), name="feeds-changed"),
                waits.create_task(self._finished.wait(), name="poll-finished"),
            ]
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            for wait in first:
                wait.cancel()

    async def _poll_alone(self, sessions: Sessions, feed: Feed, row: FeedRow) -> None:
        """Poll one feed; whatever goes wrong stays with that feed."""
        started = self._clock.now()
        metrics.POLL_LATENESS_SECONDS.observe(max(0.0, (started - row.next_due).total_seconds()))
        try:
            outcome = await self._poll(sessions, feed, row)
        except StoreFull as error:
            outcome = "store_full"
            self._pause(str(error))
        except StoreUnavailable as error:
            outcome = "store_unavailable"
            self._pause(str(error))
        except Exception as error:  # the record's bulkhead: a feed that we cannot handle must not stop the others
            outcome = "crashed"
            log.exception("feed could not be handled", feed=row.id)
            await self._failed(feed, row, f"internal error: {error!r}")
        finally:
            self._polling_now.discard(row.id)
            self._finished.set()
        metrics.POLLS.labels(outcome=outcome).inc()
        metrics.POLL_SECONDS.observe((self._clock.now() - started).total_seconds())

    def _pause(self, reason: str) -> None:
        """Start nothing for a while: what cannot be stored must not be fetched."""
        if self._paused_until is None:
            log.error("polling paused", reason=reason, retry_s=STORE_PAUSE_S)
        self._paused_until = self._clock.now() + timedelta(seconds=STORE_PAUSE_S)

    async def _poll(self, sessions: Sessions, feed: Feed, row: FeedRow) -> str:
        url = row.moved_to or row.url
        host = host_of(url)
        try:
            async with AsyncExitStack() as held:
                await held.enter_async_context(self._hosts.turn(host))
                await held.enter_async_context(self._slots)
                got = await fetch(
                    sessions,
                    feed,
                    url=url,
                    validators=validators_of(row),
                    hosts=self._hosts,
                    polling=self._polling,
                    clock=self._clock,
                )
        except HostHeld as error:
            return await self._held(row, error.until)
        except FeedUnreachable as error:
            self._outcomes.append((self._clock.now(), host, error.status is not None))
            return await self._unreachable(feed, row, host, error)
        self._outcomes.append((self._clock.now(), host, True))
        if isinstance(got, NotModified):
            return await self._unchanged(feed, row, got.max_age)
        return await self._changed(feed, row, got)

    async def _held(self, row: FeedRow, until: datetime) -> str:
        await self._save(row, {"next_due": until + self._bounds.floor * self._chance()})
        return "held"

    async def _unchanged(self, feed: Feed, row: FeedRow, max_age: timedelta | None) -> str:
        now = self._clock.now()
        values = self._success(feed, now, hint=_hint(max_age, row), learnt=_without_news(row, now))
        await self._save(row, values)
        return "not_modified"

    async def _changed(self, feed: Feed, row: FeedRow, got: Fetched) -> str:
        metrics.FETCHED_BYTES.inc(len(got.body))
        for warning in got.warnings:
            log.warning("feed answered oddly", feed=feed.id, warning=warning)
        body_hash = hashlib.blake2b(got.body, digest_size=16).hexdigest()
        if body_hash == row.body_hash:
            now = self._clock.now()
            hint = _hint(got.max_age, row)
            values = self._success(feed, now, hint=hint, learnt=_without_news(row, now))
            await self._save(row, values | _validators(got) | _moving(row, got))
            return "unchanged"
        request = Request(feed=feed.id, document=Document(body=got.body, url=got.url, content_type=got.content_type))
        (answer,) = await self._pool.map(self._job, [request])
        if isinstance(answer, Failed):
            await self._failed(feed, row, f"parser: {answer.reason}", letter=self._letter(feed, got, answer, body_hash))
            return "parser_failed"
        assert isinstance(answer, Done)
        if isinstance(answer.value, Unreadable):
            await self._failed(feed, row, f"no feed: {answer.value.reason}")
            return "unreadable"
        return await self._accept(feed, row, got, answer.value, body_hash)

    async def _accept(self, feed: Feed, row: FeedRow, got: Fetched, intake: Intake, body_hash: str) -> str:
        """Write what the document brought, in units of bounded size; the last one brings validators and health."""
        now = self._clock.now()
        backfill = row.first_ok_at is None or schedule.is_late(now, row.planned_at)
        hint = intake.feed.every or got.max_age
        items = intake.items
        parts = [items[start : start + ENTRIES_A_UNIT] for start in range(0, len(items), ENTRIES_A_UNIT)] or [()]
        total = Accepted()

        take = partial(accept, feed=feed, row=row, language=intake.feed.language, now=now, backfill=backfill)
        for some in parts[:-1]:
            total += await self._store.write(partial(take, items=some))
        earlier = total

        def last(tx: Tx) -> tuple[Accepted, bool]:
            whole = earlier + take(tx, items=parts[-1])
            is_gap = keep_window(tx, feed.id, whole)
            values = self._success(
                feed,
                now,
                hint=hint,
                learnt=rate(row, items, whole, now),
                mostly_new=row.first_ok_at is not None and schedule.is_mostly_new(new=whole.new, entries=len(items)),
            )
            values |= _validators(got) | _moving(row, got) | {"body_hash": body_hash, "last_entries": len(items)}
            values |= {"last_new": whole.new, "guids_churn": whole.guids_churn, "gaps": row.gaps + is_gap}
            if whole.new:
                values["last_new_at"] = now
            if row.first_ok_at is None:
                values["first_ok_at"] = now
            tx.ingest.save(row.id, values)
            return whole, is_gap

        whole, is_gap = await self._store.write(last)
        self._tell(feed, row, intake, whole, is_gap=is_gap)
        return "changed" if whole.new or whole.revised else "unchanged"

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

    def _success(
        self,
        feed: Feed,
        now: datetime,
        *,
        hint: timedelta | None,
        learnt: float | None,
        mostly_new: bool = False,
    ) -> dict[str, object]:
        rhythm = Rhythm(every=feed.every, rate_per_h=learnt, weight=feed.weight, hint=hint)
        due = schedule.next_due(now, rhythm, self._bounds, mostly_new=mostly_new, chance=self._chance())
        return {
            "next_due": due,
            "planned_at": due,
            "polled_at": now,
            "last_ok_at": now,
            "failures": 0,
            "gone": False,
            "last_error": None,
            "last_status": None,
            "rate_per_h": learnt,
            "hint_s": None if hint is None else hint.total_seconds(),
        }

    async def _unreachable(self, feed: Feed, row: FeedRow, host: str, error: FeedUnreachable) -> str:
        now = self._clock.now()
        wait = None if error.retry_after_s is None else timedelta(seconds=error.retry_after_s)
        if wait is not None and wait > timedelta(0):
            self._hosts.hold(host, now + wait)
            await self._failed(feed, row, error.reason, status=error.status, retry_after=wait, hold=host)
            return "held"
        recent = [(where, answered) for at, where, answered in self._outcomes if now - at < OUTCOMES_FOR]
        if error.status is None and schedule.is_our_outage(recent):
            await self._save(
                row,
                {
                    "next_due": now + schedule.OUTAGE_RETRY * (1 + self._chance()),
                    "polled_at": now,
                    "last_error": f"most hosts fail at once, so this may be our own line: {error.reason}"[
                        :LAST_ERROR_CHARS
                    ],
                },
            )
            return "our_outage"
        await self._failed(feed, row, error.reason, status=error.status)
        return "unreachable"

    async def _failed(
        self,
        feed: Feed,
        row: FeedRow,
        reason: str,
        *,
        status: int | None = None,
        retry_after: timedelta | None = None,
        hold: str | None = None,
        letter: DeadLetter | None = None,
    ) -> None:
        """Note the failure and when to try again; articles, validators and rhythm stay as they are."""
        now = self._clock.now()
        failures = row.failures + 1
        gone = status == 410  # noqa: PLR2004 — Gone
        rhythm = Rhythm(every=feed.every, rate_per_h=row.rate_per_h, weight=feed.weight)
        due = schedule.next_try(
            now, rhythm, self._bounds, failures=failures, chance=self._chance(), retry_after=retry_after, gone=gone
        )
        values: dict[str, object] = {
            "next_due": due,
            "polled_at": now,
            "failures": failures,
            "gone": gone,
            "last_error": reason[:LAST_ERROR_CHARS],
            "last_status": status,
        }
        if row.moved_to is not None and failures >= MOVED_GIVEN_UP_AFTER:
            values |= {"moved_to": None, "moving_to": None, "moving_seen": 0}
        log.warning("feed failed", feed=feed.id, reason=reason, failures=failures, next_due=due.isoformat())

        def unit(tx: Tx) -> None:
            tx.ingest.save(row.id, values)
            if hold is not None and retry_after is not None:
                tx.ingest.hold_host(hold, now + retry_after)
            if letter is not None and tx.dead_letters.add(letter):
                metrics.DEAD_LETTERS.labels(stage=letter.stage).inc()

        await self._store.write(unit)

    def _letter(self, feed: Feed, got: Fetched, answer: Failed, body_hash: str) -> DeadLetter | None:
        """Set aside a document that killed, hung or broke its parser."""
        return DeadLetter(
            id=digest("dead letter", "ingest", feed.id, body_hash),
            stage="ingest",
            topic="documents",
            record_id=feed.id,
            reason=f"{answer.kind}: {answer.reason} ({got.url})",
            value=got.body[:1_000_000],
            at=self._clock.now(),
        )

    async def _save(self, row: FeedRow, values: Mapping[str, object]) -> None:
        await self._store.write(lambda tx: tx.ingest.save(row.id, values))

    async def _persist(
        self, unit: Callable[[Tx], tuple[tuple[Feed, ...], list[FeedRow]]]
    ) -> tuple[tuple[Feed, ...], list[FeedRow]]:
        """Write *unit* however long the store takes to be there again."""
        while True:
            try:
                return await self._store.write(unit)
            except StoreUnavailable as error:
                log.warning("store unavailable", reason=str(error), retry_s=STORE_PAUSE_S)
                await self._clock.sleep(STORE_PAUSE_S)


def _hint(max_age: timedelta | None, row: FeedRow) -> timedelta | None:
    """Return the publisher's wish when no document tells one: the header's, else the last one told."""
    return max_age if max_age is not None or row.hint_s is None else timedelta(seconds=row.hint_s)


def _without_news(row: FeedRow, now: datetime) -> float | None:
    if row.last_ok_at is None or row.rate_per_h is None:
        return row.rate_per_h
    return schedule.learnt(row.rate_per_h, new=0, since=now - row.last_ok_at)


def _validators(got: Fetched) -> dict[str, object]:
    return {"etag": got.validators.etag, "last_modified": got.validators.last_modified}


def _moving(row: FeedRow, got: Fetched) -> dict[str, object]:
    """Count the sightings of a permanent redirect; after `MOVED_AFTER` that could be read, go there directly."""
    if got.moved_to is None:
        return {"moving_to": None, "moving_seen": 0}
    if got.moved_to != row.moving_to:
        return {"moving_to": got.moved_to, "moving_seen": 1}
    seen = row.moving_seen + 1
    if seen < MOVED_AFTER:
        return {"moving_seen": seen}
    log.info("feed moved", feed=row.id, to=got.moved_to)
    return {"moving_to": None, "moving_seen": 0, "moved_to": got.moved_to}
