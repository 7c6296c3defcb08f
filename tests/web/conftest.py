from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tocsin.clock import SystemClock
from tocsin.dead_letters import Desk
from tocsin.errors import Problem
from tocsin.store.archive import FileArchive
from tocsin.store.sqlite import SqliteStore
from tocsin.stream.embedded import EmbeddedStream
from tocsin.testing import a_store
from web.app import create_app
from web.ports import Measured, StageStatus
from web.server import run
from web.settings import TokenSettings, WebSettings
from web.tokens import Scope, hash_of

Serve = Callable[..., Any]
Json = Any
Option = Any  # of aiohttp's request, or of WebSettings

READER, OPERATOR, SCRAPER = ("tocsin_" + letter * 40 for letter in "rom")


def tokens() -> tuple[TokenSettings, ...]:
    return (
        TokenSettings(id="reader", scopes=(Scope.READ,), hash=hash_of(READER)),
        TokenSettings(id="operator", scopes=(Scope.OPERATE,), hash=hash_of(OPERATOR)),
        TokenSettings(id="scraper", scopes=(Scope.METRICS,), hash=hash_of(SCRAPER)),
    )


@dataclass
class Service:
    """The rest of the house, played: it says what a test wants it to say."""

    reasons: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    reloads: int = 0
    store: SqliteStore | None = None

    @property
    def stream(self) -> EmbeddedStream:
        assert self.store is not None
        return EmbeddedStream(self.store)

    @property
    def letters(self) -> Desk:
        assert self.store is not None
        return Desk(store=self.store, clock=SystemClock(), receivers=lambda: {"desk"})

    def stages(self) -> Sequence[StageStatus]:
        return (StageStatus(name="poller", running=True, restarts=1, trouble="<b>boom</b>"),)

    def unready(self) -> Sequence[str]:
        return self.reasons

    def feed_problems(self, feed: Mapping[str, object]) -> Sequence[str]:
        return ["no private addresses"] if "internal" in str(feed["url"]) else []

    async def reload(self) -> Sequence[Problem]:
        self.reloads += 1
        return self.problems

    async def why(self, query: str) -> Mapping[str, object]:
        return {"query": query, "first_no": "no feed has it"}

    async def measure(self) -> Measured:
        assert self.store is not None
        heaps = await self.store.read(lambda tx: tx.dead_letters.heaps())
        return Measured(
            version="0",
            lag={"detectors articles.v1": 7},
            store_bytes={"stream": 4096},
            dead_letters={heap.stage: heap.count for heap in heaps},
        )


@dataclass
class Running:
    """A served application on loopback, and a browser without any script to ask it."""

    url: str
    data_dir: Path
    store: SqliteStore
    archive: FileArchive
    service: Service
    client: aiohttp.ClientSession

    async def ask(
        self, method: str, path: str, *, token: str | None = None, **options: Option
    ) -> tuple[int, Mapping[str, str], bytes]:
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        options.setdefault("allow_redirects", False)
        async with self.client.request(method, self.url + path, headers=headers, **options) as response:
            return response.status, response.headers, await response.read()

    async def told(self, path: str, *, token: str | None = None) -> Json:
        status, _, body = await self.ask("GET", path, token=token)
        assert status == 200, body
        return json.loads(body)


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    @asynccontextmanager
    async def serving(**settings: Option) -> AsyncIterator[Running]:
        web = WebSettings(**{"listen": "127.0.0.1:0", "tokens": tokens(), **settings})
        service = Service()
        archive = FileArchive(tmp_path / "archive", size=10**9)
        async with (
            a_store(tmp_path) as store,
            aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client,
        ):
            service.store = store
            app = create_app(
                store=store, archive=archive, health=service, settings=lambda: web, actions=service, clock=SystemClock()
            )
            stage = asyncio.create_task(run(app, settings=web, data_dir=tmp_path))
            told = tmp_path / "web.json"
            async with asyncio.timeout(10):
                while not told.exists() and not stage.done():
                    await asyncio.sleep(0.01)
            if stage.done():
                stage.result()
            url = json.loads(told.read_text())["url"]
            try:
                yield Running(url, tmp_path, store, archive, service, client)
            finally:
                stage.cancel()
                async with asyncio.timeout(10):
                    await asyncio.gather(stage, return_exceptions=True)

    return serving
