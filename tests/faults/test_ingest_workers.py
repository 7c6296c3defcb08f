"""Several ingest workers as processes: each feed is polled by one of them, whoever comes, leaves, dies or sleeps."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from tocsin.testing import a_cluster_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

HOSTS = 24
FEEDS_A_HOST = 2
GAP_S = 1.0
EVERY_S = 1.0
ANSWER_S = 0.05
MOVED_S = 15.0
START_S = 30.0
SETTLED_S = 40.0
# What the machine may add to the time between a request's being sent and its being noted.
NOISE_S = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request that came in."""

    host: str
    path: str
    by: str
    at: float


class Sites:
    """Many hosts on loopback that note who asked them when, and how many asked at once."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self.silent: set[str] = set()
        self.refused: list[str] = []
        self.urls: list[str] = []
        self._under_way: defaultdict[str, int] = defaultdict(int)

    async def answer(self, request: web.Request) -> web.Response:
        host = request.host
        agent = request.headers["User-Agent"].partition("+")[2].rstrip(")")
        self.asked.append(Asked(host=host, path=request.path, by=agent, at=asyncio.get_running_loop().time()))
        self._under_way[host] += 1
        self.most_at_once = max(self.most_at_once, self._under_way[host])
        try:
            await asyncio.sleep(ANSWER_S)
        finally:
            self._under_way[host] -= 1
        if host in self.silent:
            self.refused.append(host)
            return web.Response(status=429, headers={"Retry-After": "3600"})
        item = f"<item><title>n</title><guid isPermaLink='false'>{len(self.asked)}</guid></item>"
        return web.Response(text=f"<rss version='2.0'><channel><title>T</title>{item}</channel></rss>")

    def by(self, worker: str, *, since: float = 0.0) -> set[tuple[str, str]]:
        return {(asked.host, asked.path) for asked in self.asked if asked.by == worker and asked.at >= since}

    def too_near(self) -> list[tuple[float, Asked, Asked]]:
        """Return requests of two workers to one host with less than the gap between them, and how much it was."""
        by_host: defaultdict[str, list[Asked]] = defaultdict(list)
        for asked in self.asked:
            by_host[asked.host].append(asked)
        pairs = [pair for each in by_host.values() for pair in pairwise(each)]
        return [
            (two.at - one.at, one, two) for one, two in pairs if one.by != two.by and two.at - one.at < GAP_S - NOISE_S
        ]


@asynccontextmanager
async def sites() -> AsyncIterator[Sites]:
    made = Sites()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    for _ in range(HOSTS):
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        await web.SockSite(runner, listening).start()
        port = listening.getsockname()[1]
        made.urls += [f"http://127.0.0.1:{port}/{path}" for path in range(FEEDS_A_HOST)]
    try:
        yield made
    finally:
        await runner.cleanup()


class Cluster:
    """The workers' processes by name."""

    def __init__(self, dsn: str, plan: Path) -> None:
        self.workers: dict[str, asyncio.subprocess.Process] = {}
        self._dsn = dsn
        self._plan = plan

    async def start(self, name: str) -> None:
        with (self._plan.parent / f"{name}.log").open("wb") as log:
            self.workers[name] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.faults.poll_worker", self._dsn, name, str(self._plan)),
                stdout=log,
                stderr=log,
            )

    async def kill(self, name: str) -> None:
        self.workers[name].kill()
        await self.workers[name].wait()

    def signal(self, name: str, number: int) -> None:
        self.workers[name].send_signal(number)


@asynccontextmanager
async def a_cluster(dsn: str, folder: Path, at: Sites) -> AsyncIterator[Cluster]:
    plan = folder / "feeds.json"
    plan.write_text(json.dumps({"urls": at.urls, "gap_s": GAP_S, "every_s": EVERY_S, "at_once": 1}), encoding="utf-8")
    cluster = Cluster(dsn, plan)
    try:
        yield cluster
    finally:
        for worker in cluster.workers.values():
            if worker.returncode is None:
                worker.kill()
                await worker.wait()


async def until(true: Callable[[], object], *, within_s: float) -> float:
    loop = asyncio.get_running_loop()
    start = loop.time()
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.02)
    return loop.time() - start


async def shared_out(at: Sites, one: str, other: str) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Wait until every feed is polled, each by one of the two; return who polls which."""
    loop = asyncio.get_running_loop()
    everything = {(url.split("/")[2], "/" + url.rpartition("/")[2]) for url in at.urls}
    async with asyncio.timeout(SETTLED_S):
        while True:
            start = loop.time()
            await asyncio.sleep(4 * EVERY_S)
            ones, others = at.by(one, since=start), at.by(other, since=start)
            if ones | others == everything and not ones & others:
                return ones, others


@pytest.mark.faults
@pytest.mark.timeout(240)
async def test_each_feed_is_polled_by_one_worker_and_no_host_more_often_than_by_one(
    postgresql: str, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    async with sites() as at, a_cluster(postgresql, tmp_path, at) as cluster:
        everything = {(url.split("/")[2], "/" + url.rpartition("/")[2]) for url in at.urls}
        await cluster.start("a")
        await until(lambda: at.by("a") == everything, within_s=START_S)

        # Another comes: some feeds move to it, and their hosts do not notice.
        await cluster.start("b")
        await until(lambda: at.by("b"), within_s=START_S)
        _, others = await shared_out(at, "a", "b")

        # A host that asks for silence keeps it, whoever has it next.
        held = next(host for host, _ in others)
        at.silent.add(held)
        await until(lambda: at.refused, within_s=10)
        await asyncio.sleep(1.0)
        silence = loop.time()

        # One is killed, the other has its feeds soon.
        await cluster.kill("b")
        killed = loop.time()
        wanted = {feed for feed in others if feed[0] != held}
        moved_s = await until(lambda: at.by("a", since=killed) >= wanted, within_s=2 * MOVED_S)

        # One comes back and leaves in good order.
        await cluster.start("c")
        await until(lambda: at.by("c"), within_s=START_S)
        await asyncio.sleep(5.0)
        last = at.by("c", since=loop.time() - 3.0)
        cluster.signal("c", signal.SIGTERM)
        asked_to_leave = loop.time()
        left_s = await until(
            lambda: at.by("a", since=asked_to_leave) >= last - {(held, "/0"), (held, "/1")}, within_s=20
        )
        assert await cluster.workers["c"].wait() == 0

        assert not [asked for asked in at.asked if asked.host == held and asked.at > silence]

    assert moved_s < MOVED_S
    assert left_s < MOVED_S
    assert at.most_at_once == 1
    assert not at.too_near()


@pytest.mark.chaos
@pytest.mark.timeout(240)
async def test_a_paused_worker_s_feeds_move_and_what_it_had_in_hand_is_not_accepted(
    postgresql: str, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    async with sites() as at, a_cluster(postgresql, tmp_path, at) as cluster:
        everything = {(url.split("/")[2], "/" + url.rpartition("/")[2]) for url in at.urls}
        await cluster.start("zombie")
        await until(lambda: at.by("zombie") == everything, within_s=START_S)
        await cluster.start("heir")
        await until(lambda: at.by("heir"), within_s=START_S)
        await shared_out(at, "zombie", "heir")

        cluster.signal("zombie", signal.SIGSTOP)
        paused = loop.time()
        moved_s = await until(lambda: at.by("heir", since=paused) == everything, within_s=2 * MOVED_S)
        await asyncio.sleep(1.0)
        rows = await feeds_of(postgresql)
        cluster.signal("zombie", signal.SIGCONT)
        woken = loop.time()
        await until(lambda: at.by("zombie", since=woken), within_s=START_S)
        await shared_out(at, "zombie", "heir")

    assert moved_s < MOVED_S
    assert not at.too_near()
    assert all(state == "ok" for state in rows.values())


async def feeds_of(dsn: str) -> dict[str, str]:
    async with a_cluster_store(dsn) as store:
        return {row.id: row.state for row in await store.read(lambda tx: tx.ingest.list_feeds())}
