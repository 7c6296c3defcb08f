"""Let the service read thousands of changing feeds for half an hour and watch its memory and descriptors.

    python -m bench.soak [--minutes 30] [--feeds 10000] [--polls 3000]

`--polls` a minute; each feed has a new item at every poll, and one in fifty states something. The feeds are served by
a process of their own. Ends with 1 when memory at the end is more than 1.05 times what it was at one third, or when
descriptors have grown. Memory is what the service's processes take together, shared pages counted once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import ClientSession, UnixConnector, web

if TYPE_CHECKING:
    from asyncio.subprocess import Process

MEMORY_GROWTH_ALLOWED = 1.05
DESCRIPTORS_ALLOWED = 8  # more than at one third: a few requests are always under way
EVERY_S = 10.0
WINDOW_S = 90.0  # of samples whose median counts
ITEMS = 8
STATING = 50
COUNTRIES = ("Peru", "Kenya", "Chile", "Ghana", "Nepal", "Malta", "Togo", "Cuba", "Oman", "Fiji", "Laos", "Iran")


@dataclass(frozen=True, slots=True)
class Sample:
    """What the service took at one moment."""

    at_s: float
    parent_bytes: int
    all_bytes: int
    descriptors: int
    articles: int


def item(feed: int, number: int) -> dict[str, str]:
    """Return the *number*-th item of a feed."""
    title = f"Council {feed} counts the visitors of its library, notice {number}"
    if (feed + number) % STATING == 0:
        country = COUNTRIES[(feed + number) // STATING % len(COUNTRIES)]
        title = f"{number % 80 + 3} killed in bus crash in {country}, police say"
    return {"id": f"{feed}-{number}", "url": f"https://f{feed}.example/{number}", "title": title}


async def serve() -> None:
    """Serve feeds that change at every poll; print the port."""
    polls: dict[int, int] = {}

    async def answer(request: web.Request) -> web.Response:
        feed = int(request.match_info["n"])
        newest = polls[feed] = polls.get(feed, ITEMS) + 1
        items = [item(feed, number) for number in range(newest, newest - ITEMS, -1)]
        told = {"version": "https://jsonfeed.org/version/1.1", "title": f"Feed {feed}", "items": items}
        return web.json_response(told, content_type="application/feed+json")

    app = web.Application()
    app.router.add_get("/{n}.json", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


def write_config(folder: Path, *, port: int, feeds: int, polls: int) -> None:
    """Write a configuration that reads all feeds evenly and tells one file."""
    folder.mkdir(parents=True)
    every_s = feeds * 60 // polls
    lines = "".join(
        f"    - {{id: f{n}, url: http://127.0.0.1:{port}/{n}.json, language: en, owner: O{n}, every: {every_s}s,"
        " allow_private: true}\n"
        for n in range(feeds)
    )
    polling = f"{{requests_per_minute: {polls * 2}, floor: 1s, per_host: {{at_once: 32, gap: 0s}}}}"
    files = {
        "tocsin.yaml": f'tocsin: {{web: {{listen: "127.0.0.1:0"}}, polling: {polling}}}\n',
        "feeds.yaml": f"sources:\n  feeds:\n{lines}",
        "receivers.yaml": "receivers:\n  log: {kind: file, path: alerts.jsonl}\n",
        "subscriptions.yaml": "subscriptions:\n  - {id: all, to: [log], group_wait: 0s, budget: 99999/day}\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")


def family(pid: int) -> list[int]:
    """Return *pid* and every process below it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                parents[int(entry.name)] = int((entry / "stat").read_text("utf-8").rpartition(")")[2].split()[1])
    found = {pid}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def taken(pid: int) -> int:
    """Return the bytes of memory of one process, its part of what it shares with others included."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


async def sample(process: Process, data: Path, since: float) -> Sample:
    """Measure once."""
    articles = 0
    with suppress(OSError, ValueError, StopIteration):
        connector = UnixConnector(str(data / "control.sock"))
        async with ClientSession(connector=connector) as session, session.get("http://localhost/metrics") as answer:
            lines = (await answer.text()).splitlines()
            articles = int(float(next(line.split()[1] for line in lines if line.startswith("tocsin_articles_total"))))
    return Sample(
        at_s=time.monotonic() - since,
        parent_bytes=taken(process.pid),
        all_bytes=sum(map(taken, family(process.pid))),
        descriptors=len(os.listdir(f"/proc/{process.pid}/fd")),  # noqa: PTH208  a count of names
        articles=articles,
    )


def around(samples: list[Sample], at_s: float) -> list[Sample]:
    """Return the samples of a window that ends at *at_s*."""
    return [one for one in samples if at_s - WINDOW_S <= one.at_s <= at_s] or samples[-1:]


def verdict(samples: list[Sample]) -> dict[str, object]:
    """Compare the end with one third."""
    third, end = around(samples, samples[-1].at_s / 3), around(samples, samples[-1].at_s)
    memory = [statistics.median(one.all_bytes for one in part) for part in (third, end)]
    parent = [statistics.median(one.parent_bytes for one in part) for part in (third, end)]
    descriptors = [max(one.descriptors for one in part) for part in (third, end)]
    return {
        "minutes": round(samples[-1].at_s / 60, 1),
        "articles": samples[-1].articles,
        "memory_mb": [round(value / 1e6, 1) for value in memory],
        "memory_growth": round(memory[1] / memory[0], 4),
        "parent_mb": [round(value / 1e6, 1) for value in parent],
        "parent_growth": round(parent[1] / parent[0], 4),
        "descriptors": descriptors,
        "ok": memory[1] <= memory[0] * MEMORY_GROWTH_ALLOWED and descriptors[1] <= descriptors[0] + DESCRIPTORS_ALLOWED,
    }


async def soak(*, minutes: float, feeds: int, polls: int, folder: Path) -> int:
    """Run it, print a line each minute, and return the exit code."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.soak", "--serve", stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    port = int(await server.stdout.readline())
    write_config(folder / "config", port=port, feeds=feeds, polls=polls)
    data = folder / "data"
    with (folder / "service.log").open("wb") as log:
        service = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tocsin.cli", "run", "--log-level", "warning"),
            *("--config", str(folder / "config"), "--data", str(data)),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    samples: list[Sample] = []
    try:
        since, told = time.monotonic(), 0.0
        while time.monotonic() - since < minutes * 60:
            await asyncio.sleep(EVERY_S)
            if service.returncode is not None:
                print(f"the service ended with {service.returncode}; see {folder / 'service.log'}")
                return 2
            samples.append(await sample(service, data, since))
            if samples[-1].at_s - told >= 60:
                told = samples[-1].at_s
                one = samples[-1]
                memory = f"{one.all_bytes / 1e6:7.1f} MB in all {one.parent_bytes / 1e6:7.1f} MB parent"
                print(f"{one.at_s / 60:5.1f} min {memory} {one.descriptors:4} descriptors {one.articles:8} articles")
                sys.stdout.flush()
    finally:
        for process in (service, server):
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                with suppress(TimeoutError):
                    async with asyncio.timeout(15):
                        await process.wait()
                if process.returncode is None:
                    process.kill()
                    await process.wait()
    found = verdict(samples)
    print(json.dumps(found))
    return 0 if found["ok"] else 1


def main() -> None:
    """Take the command line."""
    words = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    words.add_argument("--minutes", type=float, default=30.0)
    words.add_argument("--feeds", type=int, default=10_000)
    words.add_argument("--polls", type=int, default=3_000)
    words.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.serve:
        asyncio.run(serve())
        return
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        sys.exit(asyncio.run(soak(minutes=asked.minutes, feeds=asked.feeds, polls=asked.polls, folder=where)))


if __name__ == "__main__":
    main()
