"""The outlets' feeds on loopback: conditional requests, compression, each in its own format."""

from __future__ import annotations

import gzip
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING

from aiohttp import web

from tocsin.demo.documents import CONTENT_TYPES, written
from tocsin.records import digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tocsin.demo.playback import Playback
    from tocsin.demo.story import Outlet


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedServer:
    """A running server. `answers` counts (outlet, status)."""

    base_url: str
    answers: Counter[tuple[str, int]]

    def url(self, outlet: Outlet) -> str:
        """Where *outlet*'s feed is."""
        return f"{self.base_url}{outlet.path}"


@asynccontextmanager
async def feed_server(playback: Playback) -> AsyncIterator[FeedServer]:
    """Serve what *playback* shows, on a free port of loopback, until the block is left."""
    answers: Counter[tuple[str, int]] = Counter()
    app = web.Application()
    for outlet in playback.story.outlets:
        app.router.add_get(outlet.path, _handler(outlet, playback, answers))
    async with listening(app) as base_url:
        yield FeedServer(base_url=base_url, answers=answers)


@asynccontextmanager
async def listening(app: web.Application) -> AsyncIterator[str]:
    """Serve *app* on a free port of loopback and give its address without the last slash."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def _handler(
    outlet: Outlet, playback: Playback, answers: Counter[tuple[str, int]]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        window = playback.window(outlet)
        body = written(outlet, window)
        changed = max((shown.updated for shown in window), default=datetime.fromtimestamp(0, UTC))
        # Weak, because the compressed and the plain body carry the same one (RFC 9110, 8.8.1).
        etag = f'W/"{digest(body.decode())}"'
        headers = {"ETag": etag, "Last-Modified": format_datetime(changed, usegmt=True), "Vary": "Accept-Encoding"}
        if _unchanged(request, etag, changed):
            playback.note_kept(window)
            answers[outlet.id, 304] += 1
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = CONTENT_TYPES[outlet.format]
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body)
        playback.note_served(window)
        answers[outlet.id, 200] += 1
        return web.Response(body=body, headers=headers)

    return answer


def _unchanged(request: web.Request, etag: str, changed: datetime) -> bool:
    """Whether the reader's validator still holds (RFC 9110, 13.2.2: with an ETag the date does not count)."""
    asked = request.headers.get("If-None-Match")
    if asked is not None:
        return asked.strip() == "*" or any(_bare(one) == _bare(etag) for one in asked.split(","))
    since = request.headers.get("If-Modified-Since")
    if since is None:
        return False
    try:
        return changed.replace(microsecond=0) <= parsedate_to_datetime(since).astimezone(UTC)
    except ValueError:
        return False


def _bare(etag: str) -> str:
    return etag.strip().removeprefix("W/")
