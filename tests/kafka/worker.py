"""A process that shares `articles.v1` with others and says what it has worked on: `python -m tests.kafka.worker`.

With a third word, `relay`, it is the relay as well.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial

from tests.kafka.houses import a_stream
from tocsin import logs
from tocsin.clock import SystemClock
from tocsin.consumer import Unit, consume
from tocsin.store.tx import Tx
from tocsin.stream.port import ARTICLES, StreamRecord
from tocsin.stream.relay import Relay
from tocsin.stream.settings import KafkaSettings
from tocsin.testing import a_cluster_store


async def work(records: Sequence[StreamRecord]) -> Sequence[Unit]:
    """Say where each record was, at the moment when it is written."""
    return [partial(say, partition=record.partition, name=record.id) for record in records]


def say(_tx: Tx, *, partition: int, name: str) -> None:
    sys.stdout.write(f"{time.monotonic():.3f} {partition} {name}\n")
    sys.stdout.flush()


async def main(dsn: str, settings: KafkaSettings, *, relays: bool) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)  # type: ignore[union-attr]  # we are in one
    async with a_cluster_store(dsn) as store, a_stream(settings, store) as stream:
        clock = SystemClock()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stream.keep())
            if relays:
                tasks.create_task(Relay(stream, clock=clock).run(store))
            await consume(stream=stream, store=store, clock=clock, group="g", topic=ARTICLES, work=work, shared=True)


if __name__ == "__main__":
    logs.configure(json=True)
    try:
        asyncio.run(main(sys.argv[1], KafkaSettings.model_validate_json(sys.argv[2]), relays="relay" in sys.argv[3:]))
    except asyncio.CancelledError:
        sys.exit(0)
