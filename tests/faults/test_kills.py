"""`kill -9`, again and again, at random moments and at every border of a commit: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import pytest
from aiohttp import web

from tests.faults.harness import Service, write_config
from tests.faults.launcher import POINTS
from tests.faults.ledger import Ledger
from tests.faults.newsroom import Newsroom, newsroom
from tocsin.demo.feeds import listening
from tocsin.stages.detecting import GROUP as DETECTORS
from tocsin.stream.port import ALERTS, ARTICLES, READINGS

HERE: Final = Path(__file__).resolve().parents[2]
EVERY: Final = "1s"
FEEDS: Final = 40
WINDOW: Final = 520  # all of it: a feed that is blamed rests for minutes, and loses what slides out meanwhile
SETTLE_S: Final = 120.0
CALM_S: Final = 1500.0  # until what was blamed for our kills, a feed even twice (10 min), has been taken up once more
LETTERS: Final = "SELECT topic, reason FROM dead_letters WHERE topic <> 'documents'"  # a feed is only read later
FIRST_BATCH_LIMIT_S: Final = 30.0
KILLS: Final = int(os.environ.get("CHAOS_KILLS", "200"))
ARTICLES_A_KILL: Final = 100
MINUTES: Final = float(os.environ.get("CHAOS_MINUTES", "50"))  # after which no more kills are begun
# How long a process may run before it is killed from outside should it not come to the point that was planned.
PATIENCE_S: Final = 3.0


def seeded() -> tuple[int, Random]:
    """Return a seed and its chance; `CHAOS_SEED` brings an earlier one back."""
    seed = int(os.environ.get("CHAOS_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
    print(f"CHAOS_SEED={seed}")
    return seed, Random(seed)


@dataclass(slots=True)
class Scene:
    """A newsroom, a service that reads it, a webhook that listens, and what came of it so far."""

    room: Newsroom
    service: Service
    chance: Random
    heard: Counter[str] = field(default_factory=Counter)
    refusals: list[str] = field(default_factory=list)  # while one is in it the webhook says 503 and takes it out
    first_batch_s: list[float] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.service.data)

    def accepted(self) -> int:
        try:
            return self.ledger.count("SELECT count(*) FROM articles")
        except Exception:  # noqa: BLE001  no store yet
            return 0


@asynccontextmanager
async def scene(folder: Path, chance: Random) -> AsyncIterator[Scene]:
    heard: Counter[str] = Counter()
    refusals: list[str] = []

    async def hear(request: web.Request) -> web.Response:
        if refusals:
            return web.Response(status=503, text=refusals.pop())
        heard[json.dumps(await request.json(), sort_keys=True)] += 1
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/hook", hear)
    async with newsroom(feeds=FEEDS, window=WINDOW, chance=chance) as room, listening(app) as hook:
        polling = "polling: {requests_per_minute: 60000, floor: 500ms, per_host: {at_once: 20, gap: 0s}}"
        files = {
            "tocsin.yaml": f'tocsin: {{workers: 1, web: {{listen: "127.0.0.1:0"}}, {polling}}}\n',
            "feeds.yaml": f"sources:\n  feeds:\n{room.feed_lines(every=EVERY)}",
            "receivers.yaml": "receivers:\n  log: {kind: file, path: alerts.jsonl}\n"
            f"  hook: {{kind: slack, webhook_url: {hook}/hook, allow_private: true}}\n",
            "subscriptions.yaml": "subscriptions:\n  - {id: all, to: [log, hook], group_wait: 0s, budget: 99999/day,"
            " steps: [new, escalation, update, correction]}\n",
        }
        config = write_config(folder / "config", files)
        environment = {"PYTHONPATH": str(HERE)}
        async with Service(config=config, data=folder / "data", environment=environment) as service:
            yield Scene(room=room, service=service, chance=chance, heard=heard, refusals=refusals)


def a_death(chance: Random) -> dict[str, object] | None:
    """Plan the next end: half of them at a border, the others whenever we say so."""
    if chance.random() < 0.5:
        return None
    point = chance.choice(POINTS)
    return {"die": point, "at": chance.randint(1, 6 if "send" in point or "archive" in point else 40)}


async def first_batch(scene: Scene, since: float, position: int) -> float:
    """Wait until the detectors have written another batch; 0 when the process has ended by its own plan before."""
    try:
        async with asyncio.timeout(FIRST_BATCH_LIMIT_S):
            while scene.ledger.position(DETECTORS, ARTICLES) <= position:
                if scene.service.process is not None and scene.service.process.returncode is not None:
                    return 0.0
                await asyncio.sleep(0.02)
    except TimeoutError:  # the machine is not ours alone: the figures say it, and the next kill comes
        return FIRST_BATCH_LIMIT_S
    return time.perf_counter() - since


async def killing(scene: Scene, *, kills: int, each: int) -> int:
    """Publish *each* articles and kill, *kills* times, or until `MINUTES` are over; return how often."""
    end = time.monotonic() + MINUTES * 60
    for done in range(kills):
        if time.monotonic() > end:
            return done
        plan = a_death(scene.chance)
        scene.service.launched_by = ("-m", "tests.faults.launcher", json.dumps(plan or {}))
        position = scene.ledger.position(DETECTORS, ARTICLES)
        scene.room.publish(each)
        since = time.perf_counter()
        await scene.service.start()
        took_s = await first_batch(scene, since, position)
        if took_s:
            scene.first_batch_s.append(took_s)
        if plan is None or not await scene.service.ended(PATIENCE_S):
            await asyncio.sleep(scene.chance.uniform(0.0, 0.8))
            await scene.service.kill()
    return kills


async def until_done(scene: Scene) -> None:
    """Leave the service alone until everything that was published has come through."""
    scene.service.launched_by = ("-m", "tocsin.cli")
    await scene.service.start_and_wait()
    end = time.monotonic() + CALM_S
    while missing := unaccepted(scene):
        assert time.monotonic() < end, f"still not accepted after {CALM_S:g} s, by feed: {missing}"
        await asyncio.sleep(0.2)
    while (letters := scene.ledger.rows(LETTERS)) or scene.ledger.count("SELECT count(*) FROM stream_replays"):
        assert time.monotonic() < end, f"still set aside after {CALM_S:g} s: {letters}"
        await asyncio.sleep(0.5)
    async with asyncio.timeout(SETTLE_S):
        last = -1
        while last != (last := progress(scene.ledger)) or waiting(scene.ledger):
            await asyncio.sleep(1.0)


def unaccepted(scene: Scene) -> dict[str, int]:
    """Return how many articles of each feed were published and are not accepted."""
    if scene.accepted() >= scene.room.published:
        return {}
    known = dict(scene.ledger.rows("SELECT feed, count(*) FROM articles GROUP BY feed"))
    wanted = Counter(f"f{number % FEEDS}" for number in range(scene.room.published))
    return {feed: count - known.get(feed, 0) for feed, count in wanted.items() if known.get(feed, 0) < count}


def progress(ledger: Ledger) -> int:
    return ledger.count("SELECT sum(position) FROM stream_cursors")


def waiting(ledger: Ledger) -> int:
    behind = (
        "SELECT count(*) FROM stream_cursors c WHERE EXISTS"
        " (SELECT 1 FROM stream_records r WHERE r.topic = c.topic AND r.position >= c.position)"
    )
    return ledger.count(behind) + ledger.count(
        "SELECT count(*) FROM notifier_outbox WHERE state NOT IN ('done', 'dead')"
    )


async def check(scene: Scene, *, kills: int, scratch: Path) -> None:
    """Say what is lost or doubled; there must be nothing."""
    ledger, config = scene.ledger, scene.service.config
    articles = ledger.articles()
    assert len(articles) == scene.room.published
    assert set(articles.values()) == {1}
    assert ledger.rows(LETTERS) == []
    assert ledger.missing_readings(config) == (set(), set())
    assert await ledger.differing_alerts(config, scratch) == []
    assert ledger.untold("log") == []
    assert ledger.untold("hook") == []
    assert ledger.count("SELECT count(*) FROM notifier_outbox WHERE state = 'dead'") == 0

    lines = Counter(line["key"] for line in scene.service.messages())
    keys = {key for (key,) in ledger.rows("SELECT key FROM notifier_outbox WHERE receiver = 'log'")}
    assert set(lines) == keys
    assert sum(lines.values()) - len(lines) <= kills
    sent = ledger.count("SELECT count(*) FROM notifier_outbox WHERE receiver = 'hook'")
    assert sent <= sum(scene.heard.values()) <= sent + kills
    for topic in (ARTICLES, READINGS, ALERTS):
        assert ledger.archived(topic) == ledger.count("SELECT count(*) FROM stream_records WHERE topic = ?", topic)


def figures(scene: Scene, seed: int, kills: int) -> str:
    took = sorted(scene.first_batch_s)
    repeats = sum(scene.heard.values()) - scene.ledger.count(
        "SELECT count(*) FROM notifier_outbox WHERE receiver = 'hook'"
    )
    alerts = scene.ledger.count("SELECT count(*) FROM stream_records WHERE topic = ?", ALERTS)
    return (
        f"seed {seed}: {kills} kills, {scene.room.published} articles, {alerts} alerts, {repeats} repeated sends; first"
        f" batch after the parent's start: median {statistics.median(took):.2f} s,"
        f" 95 % {took[int(len(took) * 0.95)]:.2f} s, worst {took[-1]:.2f} s"
    )


async def story(folder: Path, *, kills: int, articles: int) -> Sequence[float]:
    seed, chance = seeded()
    async with scene(folder / "house", chance) as acted:
        await acted.service.start_and_wait()
        async with asyncio.timeout(30):  # the first poll of an empty feed: what comes after it is news
            while acted.ledger.count("SELECT count(*) FROM feeds WHERE first_ok_at IS NOT NULL") < FEEDS:
                await asyncio.sleep(0.1)
        await acted.service.kill()

        kills = await killing(acted, kills=kills, each=articles // kills)
        print(f"first batches, seconds: {sorted(round(one, 2) for one in acted.first_batch_s)}")
        await until_done(acted)

        assert await acted.service.stop() == 0
        print(figures(acted, seed, kills))
        (folder / "anew").mkdir()
        await check(acted, kills=kills, scratch=folder / "anew")
        return acted.first_batch_s


@pytest.mark.faults
@pytest.mark.timeout(240)
async def test_a_few_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    await story(tmp_path, kills=3, articles=300)


@pytest.mark.chaos
@pytest.mark.timeout(5400)
async def test_two_hundred_kills_over_twenty_thousand_articles_lose_and_double_nothing(tmp_path: Path) -> None:
    took = await story(tmp_path, kills=KILLS, articles=KILLS * ARTICLES_A_KILL)

    assert statistics.median(took) <= 4.0
