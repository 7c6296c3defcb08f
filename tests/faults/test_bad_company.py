"""Bad feeds and a bad receiver beside a story: the story rings on time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from tests.faults.stage_door import has_opened, theatre, until_calm
from tocsin.demo.feeds import listening
from tocsin.demo.judgement import delays
from tocsin.demo.playback import Patience
from tocsin.demo.rings import percentile

if TYPE_CHECKING:
    from pathlib import Path

LARGE_BYTES = 50_000_000


@asynccontextmanager
async def bad_hosts() -> AsyncIterator[str]:
    async def hang(_request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        raise AssertionError("unreachable")

    async def broken(_request: web.Request) -> web.Response:
        return web.Response(status=500)

    async def no_feed(_request: web.Request) -> web.Response:
        return web.Response(text="<html><body>Welcome!", content_type="text/html")

    async def large(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/rss+xml"})
        await response.prepare(request)
        await response.write(b"<rss version='2.0'><channel><title>x</title>")
        for _ in range(LARGE_BYTES // 65_536):
            await response.write(b"<item><title>" + b"x" * 65_510 + b"</title></item>")
        return response

    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=404, text="no_service")

    app = web.Application()
    for path, handler in {"/hang": hang, "/500": broken, "/html": no_feed, "/large": large}.items():
        app.router.add_get(path, handler)
    app.router.add_post("/refuse", refuse)
    app.router.add_post("/hang", hang)
    async with listening(app) as base:
        yield base


@pytest.mark.faults
@pytest.mark.timeout(240)
async def test_a_story_rings_on_time_beside_bad_feeds_and_bad_receivers(tmp_path: Path) -> None:
    async with bad_hosts() as base:
        bad = "".join(
            f'    - {{id: bad-{name}, url: "{base}/{name}", language: en, owner: B, every: 1s, allow_private: true}}\n'
            for name in ("hang", "500", "html", "large")
        )
        receivers = (
            f"  refusing: {{kind: slack, webhook_url: {base}/refuse, allow_private: true}}\n"
            f"  hanging: {{kind: slack, webhook_url: {base}/hang, allow_private: true}}\n"
        )
        async with theatre(
            tmp_path / "demo", speed=40, patience=Patience.SERVED, more_feeds=bad, receivers=receivers
        ) as scene:
            await scene.service.start_and_wait()
            async with asyncio.timeout(60):
                while not await has_opened(scene):
                    await asyncio.sleep(0.1)

            async with asyncio.timeout(150):
                await scene.playback.run()
            await until_calm(scene)

            took = delays(scene.judgement(), scene.playback.served, sink="slack")
            assert scene.wrong() == []
            assert percentile(took, 0.5) < 1.0, took
            assert max(took) < 5.0, (
                took
            )  # a machine that tests share is no place for a tighter bound: the demo prints it
