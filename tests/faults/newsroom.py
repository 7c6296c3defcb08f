"""Feeds on loopback that a test fills: many articles, some of which state something, each served until it is old."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Final

from aiohttp import web

from tocsin.demo.feeds import listening

COUNTRIES: Final = (
    "Peru", "Kenya", "Chile", "Ghana", "Nepal", "Malta", "Togo", "Cuba", "Oman", "Fiji", "Laos", "Iran", "Mali",
    "Niger", "Benin", "Gabon", "Egypt", "Libya", "Sudan", "Qatar", "Yemen", "India", "Japan", "Spain", "Italy",
    "France", "Norway", "Sweden", "Poland", "Serbia", "Brazil", "Mexico", "Panama", "Belize", "Angola", "Zambia",
)  # fmt: skip
HAPPENINGS: Final = ("bus crash", "factory fire", "flood", "mine collapse", "explosion", "landslide", "ferry accident")
PLACES: Final = ("harbour", "library", "market", "museum", "railway", "theatre", "stadium", "airport")


@dataclass(slots=True)
class Newsroom:
    """Feeds with a window each. What was published is what a service must have, all of it, once."""

    feeds: int
    window: int
    chance: Random
    share: float = 0.08  # of the articles state deaths
    published: int = 0
    stating: int = 0
    base: str = ""
    _windows: list[deque[dict[str, str]]] = field(default_factory=list)
    _bodies: dict[int, tuple[str, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._windows = [deque(maxlen=self.window) for _ in range(self.feeds)]

    def publish(self, count: int) -> None:
        """Put *count* new articles into the feeds, in turn."""
        for _ in range(count):
            number = self.published
            feed = number % self.feeds
            self.published += 1
            item = {"id": f"n{number}", "url": f"https://f{feed}.example/{number}", "title": self._title(number)}
            self._windows[feed].append(item | {"date_published": datetime.now(UTC).isoformat()})
            self._bodies.pop(feed, None)

    def add(self, feed: int, item: dict[str, str]) -> None:
        """Put one item of the test's own into a feed; it is not counted."""
        self._windows[feed].append({"date_published": datetime.now(UTC).isoformat()} | item)
        self._bodies.pop(feed, None)

    def feed_lines(self, *, every: str) -> str:
        """Return what stands under `sources: feeds:`."""
        return "".join(
            f"    - {{id: f{n}, url: {self.base}/{n}.json, language: en, owner: O{n}, every: {every},"
            " allow_private: true}\n"
            for n in range(self.feeds)
        )

    def _title(self, number: int) -> str:
        if self.chance.random() < self.share:
            self.stating += 1
            country, happening = self.chance.choice(COUNTRIES), self.chance.choice(HAPPENINGS)
            return f"{self.chance.randint(2, 90)} killed in {happening} in {country}, police say"
        place, week = self.chance.choice(PLACES), self.chance.randint(1, 52)
        return f"The {place} counts its visitors of week {week}, notice {number}"

    def _answer(self, feed: int) -> tuple[str, bytes]:
        known = self._bodies.get(feed)
        if known is None:
            items = list(reversed(self._windows[feed]))
            told = {"version": "https://jsonfeed.org/version/1.1", "title": f"Feed {feed}", "items": items}
            known = self._bodies[feed] = (f'"{self.published}-{len(items)}"', json.dumps(told).encode())
        return known

    async def answer(self, request: web.Request) -> web.Response:
        """Serve one feed, conditionally."""
        etag, body = self._answer(int(request.match_info["n"]))
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.Response(body=body, content_type="application/feed+json", headers={"ETag": etag})


@asynccontextmanager
async def newsroom(*, feeds: int, window: int, chance: Random, share: float = 0.08) -> AsyncIterator[Newsroom]:
    """Serve a newsroom's feeds until the block is left."""
    room = Newsroom(feeds=feeds, window=window, chance=chance, share=share)
    app = web.Application()
    app.router.add_get("/{n}.json", room.answer)
    async with listening(app) as base:
        room.base = base
        yield room
