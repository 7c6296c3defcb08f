"""A poller that polls its share only, and what of it must survive when feeds move to another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiohttp import web
from sqlalchemy import update

from ingest import sources
from ingest.fetch import host_of
from ingest.poller import Poller
from ingest.settings import Feed, PollingSettings
from ingest.share import SLOT_NAMES, Share
from ingest.slots import slot_of
from tocsin import metrics
from tocsin.clock import SystemClock
from tocsin.store.leases import leases
from tocsin.store.overlay import FEEDS_CHANGED
from tocsin.testing import HOUR, a_store
from tocsin.workers import Done, Job, Pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Sequence

    from tocsin.store.ingest_tables import FeedRow
    from tocsin.store.port import Store
    from tocsin.store.sqlite import SqliteStore
    from tocsin.store.tx import Tx

SOON_S = 10.0
OFTEN = timedelta(milliseconds=50)
RSS = b"<rss version='2.0'><channel><title>T</title><item><title>Eins</title><guid>g1</guid></item></channel></rss>"

MakeFeed = Callable[..., Feed]


class InlinePool:
    """Runs the job here and now."""

    async def map(self, job: Job[Any, Any, Any, Any], items: Sequence[Any]) -> list[Done[Any]]:
        return [Done(job.function(job.argument, item)) for item in items]


class Counted:
    """A store that counts how often it is read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, query: Callable[[Tx], Any]) -> Any:
        self.reads += 1
        return await self._store.read(query)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with a_store(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def a_worker(store: Store, polling: PollingSettings, *feeds: Feed, name: str = "a") -> AsyncIterator[Share]:
    share = Share(store=store, clock=SystemClock(), holder=name)
    poller = Poller(
        store=store,
        clock=SystemClock(),
        pool=cast("Pool", InlinePool()),
        polling=polling,
        feeds=lambda: feeds,
        share=share,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(poller.run(), name="poller")
        yield share
        running.cancel()


async def until(true: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(SOON_S):
        while not await true():
            await asyncio.sleep(0.01)


async def row_of(store: Store, feed: str = "wire") -> FeedRow:
    row = await store.read(lambda tx: tx.ingest.feed(feed))
    assert row is not None
    return row


async def test_what_a_visit_brings_after_its_slot_was_taken_is_not_accepted(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    asked, answers = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        asked.set()
        await answers.wait()
        return web.Response(body=RSS)

    feed = a_feed(site.at("/f", slow))
    slot = SLOT_NAMES[slot_of(host_of(feed.url))]
    left = metrics.POLLS.labels(outcome="left")
    before = left._value.get()

    async with a_worker(store, polling, feed):
        await asked.wait()
        stolen = update(leases).where(leases.c.name == slot)
        later = SystemClock().now() + timedelta(seconds=5)
        await store.write(lambda tx: tx.conn.execute(stolen.values(holder="b", epoch=99, expires=later)))
        answers.set()

        async def is_left() -> bool:
            return bool(left._value.get() == before + 1)

        await until(is_left)
        assert await store.read(lambda tx: tx.ingest.count_articles()) == 0
        assert (await row_of(store)).polled_at is None


async def test_a_visit_that_is_called_off_is_held_against_nobody(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    feed = a_feed(site.at("/f", never), timeout=timedelta(minutes=1))

    for _ in range(4):
        asked = len(site.asked)
        async with a_worker(store, polling, feed):

            async def is_asked(asked: int = asked) -> bool:
                return len(site.asked) > asked

            await until(is_asked)

    assert await store.write(lambda tx: tx.ingest.begin_visit("wire")) == 1
    assert await store.read(lambda tx: tx.dead_letters.count()) == 0


async def test_two_workers_poll_what_one_would(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    port = site.url.rpartition(":")[2]
    hosts = [f"127.0.0.1:{port}", f"localhost:{port}"]
    feeds = [a_feed(f"http://{host}/{n}", id=f"f{n}", every=OFTEN) for n, host in enumerate(hosts)]
    for n in range(len(hosts)):
        site.holds(f"/{n}", RSS)

    async with a_worker(store, polling, *feeds) as one, a_worker(store, polling, *feeds, name="b") as other:

        async def is_shared_out() -> bool:
            return len(one.slots | other.slots) == 128 and bool(one.slots) and bool(other.slots)

        await until(is_shared_out)
        asked = len(site.asked)

        async def all_asked() -> bool:
            return {request.path for request in site.asked[asked:]} == {"/0", "/1"}

        await until(all_asked)
        assert not one.slots & other.slots


async def test_a_host_s_silence_is_known_to_whoever_has_it_next(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    busy = a_feed(site.holds("/busy", b"", status=429, Retry_After="3600"), id="busy")
    async with a_worker(store, polling, busy):

        async def is_held() -> bool:
            return bool(await store.read(lambda tx: tx.ingest.holds(SystemClock().now())))

        await until(is_held)
    asked = len(site.asked)
    added = a_feed(site.holds("/new", RSS), id="new")  # due at once, but for the silence of its host

    async with a_worker(store, polling, busy, added, name="b"):

        async def is_put_off() -> bool:
            row = await store.read(lambda tx: tx.ingest.feed("new"))
            return row is not None and row.next_due > SystemClock().now() + timedelta(minutes=50)

        await until(is_put_off)

    assert len(site.asked) == asked


async def test_a_feed_lies_where_it_is_really_asked(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    port = site.url.rpartition(":")[2]
    there = f"localhost:{port}"
    site.holds("/new", RSS)
    feed = a_feed(site.holds("/old", b"", status=301, Location=f"http://{there}/new"), every=OFTEN)

    async with a_worker(store, polling, feed):

        async def has_moved() -> bool:
            row = await store.read(lambda tx: tx.ingest.feed("wire"))
            return row is not None and row.moved_to is not None

        await until(has_moved)
        row = await row_of(store)
        assert (row.host, row.slot) == (there, slot_of(there))

        await store.write(lambda tx: tx.wake(FEEDS_CHANGED))
        asked = len(site.asked_for("/new"))

        async def is_asked_on() -> bool:
            return len(site.asked_for("/new")) > asked + 2

        await until(is_asked_on)
    row = await row_of(store)
    assert (row.host, row.slot) == (there, slot_of(there))


async def test_feeds_of_another_configuration_are_left_alone_and_cost_nothing(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    known = a_feed(site.holds("/known", RSS), id="known", every=timedelta(milliseconds=200))
    counted = Counted(store)
    async with a_worker(cast("Store", counted), polling, known):

        async def is_polled() -> bool:
            return len(site.asked_for("/known")) > 1

        await until(is_polled)
        strange = [replace(known, id=f"strange{n}", url=known.url + f"?{n}") for n in range(20)]
        overdue = SystemClock().now() - HOUR
        await store.write(
            lambda tx: tx.ingest.sync(
                [sources.as_kept(feed, paused=False) for feed in (known, *strange)],
                {feed.id: overdue for feed in (known, *strange)},
            )
        )
        await asyncio.sleep(0.3)
        before, asked = counted.reads, len(site.asked_for("/known"))
        await asyncio.sleep(1.0)

        assert counted.reads - before < 60
        assert len(site.asked_for("/known")) > asked
    assert len(site.asked) == len(site.asked_for("/known"))


async def test_a_worker_without_a_share_polls_nothing(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    feed = a_feed(site.holds("/f", RSS), every=OFTEN)
    await store.write(lambda tx: tx.leases.acquire(SLOT_NAMES, holder="b", lasting=timedelta(seconds=6)))
    later = SystemClock().now() + timedelta(seconds=5)
    await store.write(lambda tx: tx.conn.execute(update(leases).values(expires=later)))

    async with a_worker(store, polling, feed) as share:
        await asyncio.sleep(1.0)

        assert not share.slots
        assert not site.asked
