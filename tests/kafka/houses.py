"""Houses on real servers: a store on PostgreSQL, the stream on Kafka, and a relay between them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tocsin.clock import SystemClock
from tocsin.store.port import Store
from tocsin.stream.kafka import KafkaStream
from tocsin.stream.relay import Relay
from tocsin.stream.settings import KafkaSettings
from tocsin.testing import a_cluster_store


@dataclass
class KafkaHouse:
    """What a process of a cluster has, relay included."""

    store: Store
    stream: KafkaStream
    settings: KafkaSettings

    async def relayed(self) -> None:
        """Return once nothing waits for the relay."""
        async with asyncio.timeout(10):
            while await self.store.read(lambda tx: tx.topics.lag()):
                await asyncio.sleep(0.01)


def some_settings(bootstrap: str, **changes: Any) -> KafkaSettings:
    """Settings whose topics and groups no other test has."""
    given = {
        "brokers": [bootstrap],
        "prefix": f"t{secrets.token_hex(4)}-",
        "partitions": 1,
        "replication": 1,
        "session": "2s",
        "heartbeat": "300ms",
    }
    return KafkaSettings.model_validate(given | changes)


@asynccontextmanager
async def a_kafka_house(dsn: str, bootstrap: str, *, relay: bool = True, **changes: Any) -> AsyncIterator[KafkaHouse]:
    """Open a house with fresh topics; with *relay*, what is emitted goes to Kafka."""
    clock = SystemClock()
    settings = some_settings(bootstrap, **changes)
    async with a_cluster_store(dsn) as store, a_stream(settings, store) as stream:
        await stream.prepare()
        if not relay:
            yield KafkaHouse(store, stream, settings)
            return
        async with relaying(Relay(stream, clock=clock), store):
            yield KafkaHouse(store, stream, settings)


@asynccontextmanager
async def a_stream(settings: KafkaSettings, store: Store) -> AsyncIterator[KafkaStream]:
    """Open a stream, as one process of several has it."""
    stream = KafkaStream(settings, store=store, clock=SystemClock())
    try:
        yield stream
    finally:
        await stream.close()


@asynccontextmanager
async def relaying(relay: Relay, store: Store) -> AsyncIterator[asyncio.Task[None]]:
    """Have *relay* run meanwhile."""
    task = asyncio.ensure_future(relay.run(store))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
