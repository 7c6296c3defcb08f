"""The database does not answer while feeds are being asked: what is under way is kept, and polling goes on."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from ingest.poller import Poller
from ingest.settings import Feed, PerHostSettings, PollingSettings
from tests.faults.poll_worker import InlinePool
from tests.store.proxy import Proxy
from tocsin.clock import SystemClock
from tocsin.records import Source
from tocsin.store import postgresql_line
from tocsin.store.settings import Timeouts
from tocsin.testing import a_cluster_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tocsin.store.ingest_tables import FeedRow
    from tocsin.workers import Pool

pytestmark = [pytest.mark.faults, pytest.mark.timeout(90)]
QUICK = Timeouts(
    connect=timedelta(seconds=2),
    statement=timedelta(seconds=1),
    lock=timedelta(milliseconds=500),
    idle_in_transaction=timedelta(seconds=2),
)
POLLING = PollingSettings(
    per_host=PerHostSettings(at_once=4, gap=timedelta(0)),
    floor=timedelta(milliseconds=50),
    deadline=timedelta(seconds=60),
    requests_per_minute=60_000,
)
SOON_S = 30.0


@asynccontextmanager
async def a_site(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """Yield the address of a site on loopback."""
    app = web.Application()
    app.router.add_get("/{name}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON_S):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_document_under_way_while_the_database_is_away_is_kept(
    postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_line, "BACK_WITHIN_S", 1.0)
    asked: list[str] = []
    answers = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        if request.path == "/slow":
            await answers.wait()
        return web.Response(text="<rss><channel><title>T</title><item><title>Eins</title></item></channel></rss>")

    with capture_logs() as logs:
        async with (
            a_site(answer) as host,
            Proxy(postgresql) as proxy,
            a_cluster_store(proxy.dsn, timeouts=QUICK) as store,
        ):
            feeds = [
                Feed(id=name, url=f"{host}/{name}", source=Source(owner="x"), every=every, allow_private=True)
                for name, every in (("slow", timedelta(hours=1)), ("often", timedelta(milliseconds=200)))
            ]
            poller = Poller(
                store=store,
                clock=SystemClock(),
                pool=cast("Pool", InlinePool()),
                polling=POLLING,
                feeds=lambda: feeds,
            )
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(poller.run(), name="poller")
                await until(lambda: "/slow" in asked and asked.count("/often") > 1)
                proxy.fall_silent()
                proxy.cut()
                await until(lambda: any(line["event"] == "store unavailable" for line in logs))
                before = asked.count("/often")
                proxy.cut()
                proxy.speak_again()
                await until(lambda: asked.count("/often") > before + 1)
                answers.set()

                async def row() -> FeedRow | None:
                    return await store.read(lambda tx: tx.ingest.feed("slow"))

                async with asyncio.timeout(SOON_S):
                    while (found := await row()) is None or found.polled_at is None:
                        await asyncio.sleep(0.05)
                running.cancel()

    assert asked.count("/slow") == 1
    told = [line["event"] for line in logs if line["event"] in {"store unavailable", "store available again"}]
    assert told == ["store unavailable", "store available again"]
