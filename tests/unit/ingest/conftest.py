"""A news site on loopback that answers as a test tells it to."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from aiohttp import web

from ingest.settings import Feed, PerHostSettings, PollingSettings
from tocsin.records import Source

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    """What stands at each path, and who asked. `url` begins every address of it."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[web.Request] = []
        self._answers: dict[str, Answer] = {}

    def at(self, path: str, answer: Answer) -> str:
        self._answers[path] = answer
        return self.url + path

    def holds(
        self, path: str, body: bytes, *, status: int = 200, kind: str = "application/rss+xml", **headers: str
    ) -> str:
        async def answer(_: web.Request) -> web.Response:
            told = {name.replace("_", "-"): value for name, value in headers.items()}
            return web.Response(body=body, status=status, headers={"Content-Type": kind, **told})

        return self.at(path, answer)

    def asked_for(self, path: str) -> list[web.Request]:
        return [request for request in self.asked if request.path == path]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        answer = self._answers.get(request.path)
        return web.Response(status=404) if answer is None else await answer(request)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    await web.SockSite(runner, listening).start()
    made.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
def polling() -> PollingSettings:
    return PollingSettings(
        requests_per_minute=60_000,
        per_host=PerHostSettings(at_once=20, gap=timedelta(0)),
        floor=timedelta(milliseconds=50),
        deadline=timedelta(seconds=3),
        body_limit=2_000_000,
    )


@pytest.fixture
def a_feed() -> Callable[..., Feed]:
    def made(url: str, **parts: object) -> Feed:
        given: dict[str, object] = {"id": "wire", "source": Source(owner="Wire"), "allow_private": True, **parts}
        return Feed(url=url, **given)  # type: ignore[arg-type]  # a test names the parts that it is about

    return made
