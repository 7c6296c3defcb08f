"""An ingest worker of a cluster: it polls its share of the feeds, and parses in its own process.

    python -m tests.faults.poll_worker DSN HOLDER FEEDS

FEEDS is a JSON file: `{"urls": [...], "gap_s": …, "every_s": …, "at_once": …}`. Sites know it by its User-Agent.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import structlog

from ingest.intake import Request, take_in
from ingest.parse import Document
from ingest.poller import Poller
from ingest.settings import Feed, PerHostSettings, PollingSettings
from ingest.share import Share
from tocsin.clock import SystemClock
from tocsin.records import Source
from tocsin.store.postgresql import PostgresqlStore
from tocsin.workers import Done, Job, Pool

if TYPE_CHECKING:
    from collections.abc import Sequence


class InlinePool:
    """Runs the job here and now: what children add is tested with children."""

    async def map(self, job: Job[Any, Any, Any, Any], items: Sequence[Any]) -> list[Done[Any]]:
        return [Done(job.function(job.argument, item)) for item in items]


def warm_up() -> None:
    """Import now what the parser imports when it is first used: in here it would hold up the loop."""
    document = Document(body=b"<rss version='2.0'><channel><title>T</title></channel></rss>", url="", content_type="")
    take_in(None, Request(feed="warm-up", document=document))


async def run(dsn: str, holder: str, plan: dict[str, Any]) -> None:
    clock = SystemClock()
    store = PostgresqlStore(dsn, clock=clock)
    await store.open()
    every = timedelta(seconds=plan["every_s"])
    polling = PollingSettings(
        requests_per_minute=60_000,
        per_host=PerHostSettings(at_once=plan["at_once"], gap=timedelta(seconds=plan["gap_s"])),
        floor=timedelta(milliseconds=50),
        deadline=timedelta(seconds=3),
        contact=holder,
    )
    feeds = [
        Feed(id=f"f{number:03}", url=url, source=Source(owner="test"), every=every, allow_private=True)
        for number, url in enumerate(plan["urls"])
    ]
    poller = Poller(
        store=store,
        clock=clock,
        pool=cast("Pool", InlinePool()),
        polling=polling,
        feeds=lambda: feeds,
        share=Share(store=store, clock=clock, holder=holder),
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with asyncio.TaskGroup() as tasks:
        polls = tasks.create_task(poller.run(), name="poll")
        await stop.wait()
        polls.cancel()
    await store.close()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    warm_up()
    asyncio.run(run(sys.argv[1], sys.argv[2], json.loads(Path(sys.argv[3]).read_text(encoding="utf-8"))))
