"""One run of the whole path in this process: articles accepted in the store until they are archived and rung.

    python -m bench.whole --articles 6000 --share 0.02 [--rate 200] [--workers 1]

prints one JSON object. Without a rate, articles come as fast as they are accepted, at most `AHEAD` of them before the
stages. The service is the one that `tocsin run` starts, with a webhook in another process and a file as receivers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
import uvloop
from sqlalchemy import func, select

from bench.news import articles, seen
from tocsin import logs
from tocsin.app import CHILD_MEMORY_BYTES, Service
from tocsin.cli.run import SWITCH_S
from tocsin.clock import SystemClock
from tocsin.foundation import laid
from tocsin.health import Health
from tocsin.records import digest
from tocsin.settings import load_settings
from tocsin.stages import PRELOAD
from tocsin.store.topics import cursors, records
from tocsin.stream.codec import encode
from tocsin.stream.port import ARTICLES
from tocsin.workers import Pool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tocsin.foundation import Foundation
    from tocsin.records import Article
    from tocsin.settings import Settings
    from tocsin.store.tx import Tx

UNIT: Final = 50  # articles accepted together, as of one feed's document
AHEAD: Final = 2_000
WARM_UP: Final = 300
TURN_S: Final = 0.05
PROBE_S: Final = 0.002
STALL_S: Final = 0.005  # what nothing on the loop may take
GIVE_UP_S: Final = 300.0
TICKS: Final = 100  # of a second, in which /proc counts a process's time

CONFIG: Final = {
    "feeds.yaml": "sources:\n  feeds: []\n",
    "subscriptions.yaml": (
        "subscriptions:\n  - {id: all, to: [hook, log], steps: [new, escalation, update, correction],"
        " group_wait: 0s, budget: 1000000/day}\n"
    ),
}


@dataclass(slots=True)
class Probe:
    """Asks the event loop for its turn again and again, and notes how late it comes."""

    late_s: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Run until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            wanted = loop.time() + PROBE_S
            await asyncio.sleep(PROBE_S)
            self.late_s.append(loop.time() - wanted)


@contextlib.contextmanager
def a_receiver() -> Iterator[int]:
    """Run the receiver, and give its port."""
    command = (sys.executable, "-m", "bench.receiver")
    with subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(timeout=5)


def settings_for(folder: Path, *, port: int, workers: int, more: str = "") -> Settings:
    """Write a configuration with this receiver, *more* lines in `tocsin`, and read it."""
    config = folder / "config"
    config.mkdir()
    files = CONFIG | {
        "tocsin.yaml": f'tocsin:\n  workers: {workers}\n  web: {{listen: "127.0.0.1:0"}}\n{more}',
        "receivers.yaml": (
            "receivers:\n  log: {kind: file, path: alerts.jsonl}\n"
            f'  hook: {{kind: slack_webhook, webhook_url: "http://127.0.0.1:{port}/hook", allow_private: true}}\n'
        ),
    }
    for name, text in files.items():
        (config / name).write_text(text, "utf-8")
    data = folder / "data"
    data.mkdir()
    return load_settings(config, data_dir=data)


class Run:
    """One run over one foundation."""

    def __init__(self, foundation: Foundation, found: Sequence[Article]) -> None:
        self.store = foundation.store
        self.stream = foundation.stream
        self.found = found
        self.clock = SystemClock()
        self.accepted: dict[int, float] = {}
        self.accept_s = 0.0

    async def accept(self, first: int, last: int) -> None:
        """Accept articles, in one unit, and note when that stands."""
        started = time.process_time()
        now = self.clock.now()
        rows = [(one.id, digest(one.id, one.revision), encode(seen(one, at=now))) for one in self.found[first:last]]
        self.accept_s += time.process_time() - started

        def unit(tx: Tx) -> None:
            tx.emit_all(ARTICLES, rows)

        await self.store.write(unit)
        instant = time.monotonic()
        self.accepted.update((number, instant) for number in range(first, last))

    async def feed(self, first: int, last: int, *, rate: float | None) -> None:
        """Accept all of them, at *rate* a second or as the stages can take them."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        if rate is None:
            for at in range(first, last, UNIT):
                if at % AHEAD == 0:
                    await self.passed(behind=AHEAD // 2)
                await self.accept(at, min(at + UNIT, last))
            return
        async with asyncio.TaskGroup() as tasks:  # one feed does not wait for another's commit
            for at in range(first, last):
                await asyncio.sleep(max(0.0, started + (at - first) / rate - loop.time()))
                tasks.create_task(self.accept(at, at + 1), name=f"accept {at}")

    async def passed(self, *, behind: int = 0) -> None:
        """Wait until no group has more than *behind* records before it, and nothing is left to send."""
        async with asyncio.timeout(GIVE_UP_S):
            while await self.waiting() > behind:  # noqa: ASYNC110 - only the store knows, and wakes nobody
                await asyncio.sleep(TURN_S)

    async def waiting(self) -> int:
        """Return how many records the slowest group has before it, or how many messages wait to be sent."""
        return await self.store.read(_waiting)


def processor_s(pids: Iterable[int]) -> float:
    """Return what time these processes have had on the processors."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def _waiting(tx: Tx) -> int:
    ends = {row.topic: row.end for row in tx.conn.execute(
        select(records.c.topic, func.max(records.c.position).label("end")).group_by(records.c.topic))}  # fmt: skip
    stands = tx.conn.execute(select(cursors.c.topic, cursors.c.position)).all()
    left = max((ends.get(row.topic, 0) + 1 - row.position for row in stands if row.topic in ends), default=0)
    unsent = sum(before.count for name in ("hook", "log") if (before := tx.notifier.waiting_for(name)))
    return max(left if len(stands) > 1 or not ends else AHEAD, unsent)


async def measure(arguments: argparse.Namespace, folder: Path, port: int) -> dict[str, object]:
    """Run it once and return the figures."""
    settings = settings_for(folder, port=port, workers=arguments.workers)
    found = list(islice(articles(share=arguments.share, seed=arguments.seed), WARM_UP + arguments.articles))
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        foundation = await stack.enter_async_context(laid(settings, clock=clock))
        pool = Pool(size=arguments.workers, memory_limit_bytes=CHILD_MEMORY_BYTES, preload=PRELOAD)
        await stack.enter_async_context(pool)
        service = Service(
            settings, load=lambda: settings, foundation=foundation, pool=pool, health=Health(clock), clock=clock,
            stage_drain_s=2.0,
        )  # fmt: skip
        running = asyncio.ensure_future(service.run(asyncio.Event()))
        run = Run(foundation, found)
        try:
            await run.feed(0, WARM_UP, rate=arguments.rate)
            await run.passed()
            return await _timed(run, pool, arguments, port)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def _timed(run: Run, pool: Pool, arguments: argparse.Namespace, port: int) -> dict[str, object]:
    probe = Probe()
    probing = asyncio.ensure_future(probe.run())
    usage, children = resource.getrusage(resource.RUSAGE_SELF), processor_s(pool.pids)
    run.accept_s = 0.0
    started = time.monotonic()
    await run.feed(WARM_UP, len(run.found), rate=arguments.rate)
    await run.passed()
    taken = time.monotonic() - started
    spent = resource.getrusage(resource.RUSAGE_SELF)
    probing.cancel()
    count = arguments.articles
    parent = spent.ru_utime + spent.ru_stime - usage.ru_utime - usage.ru_stime
    delays = await rung_after(run, port)
    late = sorted(probe.late_s)
    return {
        "articles_per_s": round(count / taken, 1),
        "parent_ms": round(parent / count * 1e3, 4),
        "accepting_ms": round(run.accept_s / count * 1e3, 4),
        "children_ms": round((processor_s(pool.pids) - children) / count * 1e3, 4),
        "rung": len(delays),
        "delay_ms": {name: round(value * 1e3, 1) for name, value in quantiles(delays).items()},
        "loop_late_ms": {name: round(value * 1e3, 2) for name, value in quantiles(late).items()},
        "stalls": sum(1 for value in late if value > STALL_S),
        "seconds": round(taken, 2),
    }


async def rung_after(run: Run, port: int) -> list[float]:
    """Return how many seconds after its article was accepted each message came, the shortest first."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/log") as response:
        rung = [(at, number) for at, number in await response.json() if number >= WARM_UP]
    return sorted(at - run.accepted[number] for at, number in rung)


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Return cuts of *values*, which are in order."""
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=1000, method="inclusive")
    return {"p50": cuts[499], "p90": cuts[899], "p99": cuts[989], "max": values[-1]}


def asked(description: str | None, *, scaled: str) -> argparse.Namespace:
    """Read the command line of a run; *scaled* names what there may be more than one of."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=int, default=6_000)
    parser.add_argument("--share", type=float, default=0.02)
    parser.add_argument("--rate", type=float)
    parser.add_argument(f"--{scaled}", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Run it once."""
    arguments = asked(__doc__, scaled="workers")
    logs.configure(level="warning")
    sys.setswitchinterval(SWITCH_S)  # as the service does
    with tempfile.TemporaryDirectory() as folder, a_receiver() as port:
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        with runner:
            figures = runner.run(measure(arguments, Path(folder), port))
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
