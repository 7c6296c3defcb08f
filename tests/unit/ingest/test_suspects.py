"""Feeds that were being visited when a process died."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from ingest import sources
from ingest.poller import Poller
from tests.unit.ingest.test_several_workers import RSS, InlinePool, MakeFeed, until
from tocsin.clock import SystemClock
from tocsin.testing import a_store

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.settings import PollingSettings
    from tocsin.workers import Pool


async def test_those_under_way_at_a_death_are_visited_one_by_one(
    site: Any, tmp_path: Path, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    feeds = [a_feed(site.holds(f"/{n}", RSS), id=f"f{n}", every=timedelta(seconds=1)) for n in range(30)]
    now = SystemClock().now()
    async with a_store(tmp_path) as store:
        kept = [sources.as_kept(feed, paused=False) for feed in feeds]
        await store.write(lambda tx: tx.ingest.sync(kept, {feed.id: now for feed in feeds}))
        for feed in feeds[:20]:
            await store.write(lambda tx, feed=feed: tx.ingest.begin_visit(feed.id))  # type: ignore[misc]  # mypy infers no lambda with defaults
        poller = Poller(
            store=store, clock=SystemClock(), pool=cast("Pool", InlinePool()), polling=polling, feeds=lambda: feeds
        )
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(poller.run(), name="poller")

            async def all_polled() -> bool:
                rows = await store.read(lambda tx: tx.ingest.list_feeds())
                return all(row.polled_at is not None and not row.attempts for row in rows)

            await until(all_polled)
            running.cancel()
