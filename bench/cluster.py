"""One run of the whole path through a cluster: articles accepted in PostgreSQL until they are archived and rung.

    python -m bench.cluster [--articles 6000] [--share 0.02] [--rate 200] [--detectors 1]

prints one JSON object. It brings a broker and a database, as the tests do, both writing to disk in earnest, and starts
a process for each part: what `docker compose up` starts, but for the poller, in whose place this process accepts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop
from sqlalchemy import func, select
from typing_extensions import override

from bench.news import articles
from bench.whole import WARM_UP, Run, a_receiver, asked, processor_s, quantiles, rung_after, settings_for
from tests.faults.harness import Service
from tests.servers.kafka import KafkaBroker, kafka_broker
from tests.servers.postgresql import PostgresqlServer, postgresql_server
from tocsin import logs
from tocsin.clock import SystemClock
from tocsin.foundation import laid
from tocsin.records import DeliveryState
from tocsin.store.notifier_tables import outbox
from tocsin.stream.kafka import KafkaStream

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence

    from tocsin.store.tx import Tx

PARTITIONS: Final = 12
READY_S: Final = 60.0
UNSETTLED: Final = (DeliveryState.PENDING, DeliveryState.SENDING)


class ClusterRun(Run):
    """One run through other processes."""

    @override
    async def waiting(self) -> int:
        """Return how many records wait before the slowest group or the relay, or how many messages to be sent."""
        assert isinstance(self.stream, KafkaStream)
        left = await self.stream.measured()
        groups = {group for group, _ in left}
        if not {"detectors", "incidents", "notifier", "archive"} <= groups and self.accepted:
            return len(self.accepted)  # some have not begun
        return max(*left.values(), await self.store.read(_unsent), 0)


def _unsent(tx: Tx) -> int:
    return int(tx.conn.execute(select(func.count()).where(outbox.c.state.in_(UNSETTLED))).scalar_one())


def config_lines(kafka: KafkaBroker, dsn: str) -> str:
    """Return what makes a service one of a cluster."""
    return (
        "  mode: cluster\n"
        f"  kafka: {{brokers: ['{kafka.bootstrap}'], prefix: 'b{secrets.token_hex(4)}-', replication: 1,"
        f" partitions: {PARTITIONS}}}\n"
        f"  postgresql: {{dsn: '{dsn}'}}\n"
    )


@dataclass(frozen=True, slots=True)
class Place:
    """What a run is between: servers before it, and a receiver behind it."""

    kafka: KafkaBroker
    database: PostgresqlServer
    port: int


async def measure(arguments: argparse.Namespace, folder: Path, place: Place) -> dict[str, object]:
    """Run it once and return the figures."""
    lines = config_lines(place.kafka, place.database.create_database())
    settings = settings_for(folder, port=place.port, workers=1, more=lines)
    found = list(islice(articles(share=arguments.share, seed=arguments.seed), WARM_UP + arguments.articles))
    parts = [("detectors",)] * arguments.detectors + [("incidents",), ("notifier",), ("archive", "web")]
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        foundation = await stack.enter_async_context(laid(settings, clock=clock, work=()))
        keeping = asyncio.ensure_future(foundation.background["brokers"]())
        stack.callback(keeping.cancel)
        services = [
            await stack.enter_async_context(
                Service(config=folder / "config", data=folder / f"{number}-{stages[0]}", stages=stages)
            )
            for number, stages in enumerate(parts)
        ]
        for service in services:
            await service.start()
        for service in services:
            await service.ready(READY_S)
        run = ClusterRun(foundation, found)
        await run.feed(0, WARM_UP, rate=arguments.rate)
        await run.passed()
        return await _timed(run, services, arguments, place)


async def _timed(
    run: ClusterRun, services: Sequence[Service], arguments: argparse.Namespace, place: Place
) -> dict[str, object]:
    before = _spent(services, place)
    run.accept_s = 0.0
    started = time.monotonic()
    await run.feed(WARM_UP, len(run.found), rate=arguments.rate)
    await run.passed()
    taken = time.monotonic() - started
    count = arguments.articles
    after = _spent(services, place)
    delays = await rung_after(run, place.port)
    return {
        "articles_per_s": round(count / taken, 1),
        "processor_ms": {name: round((after[name] - before[name]) / count * 1e3, 4) for name in after},
        "accepting_ms": round(run.accept_s / count * 1e3, 4),
        "rung": len(delays),
        "delay_ms": {name: round(value * 1e3, 1) for name, value in quantiles(delays).items()},
        "seconds": round(taken, 2),
    }


def _spent(services: Sequence[Service], place: Place) -> Mapping[str, float]:
    """Return what time each part has had on the processors."""
    found = {"accepting": time.process_time()}
    for service in services:
        found[service.data.name] = processor_s((service.pid,))
        found[f"{service.data.name} children"] = processor_s(service.descendants())
    found["kafka"] = processor_s((place.kafka.pid,))
    found["postgresql"] = processor_s(_tree(place.database.pid))
    return found


def _tree(pid: int) -> Iterable[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split():
        yield from _tree(int(child))


def main() -> None:
    """Run it once."""
    arguments = asked(__doc__, scaled="detectors")
    logs.configure(level="warning")
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        database, kafka = stack.enter_context(postgresql_server()), stack.enter_context(kafka_broker())
        place = Place(kafka, database, stack.enter_context(a_receiver()))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            figures = runner.run(measure(arguments, Path(folder), place))
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
