"""The peer of the whole path: faststream handing records on and doing nothing else, no store, no detector, no receiver.

    uv run --no-project --with "faststream[kafka]" python -m bench.pass_through [--articles 5000] [--broker H:P]

prints records a second. Without a broker its own in-memory one stands where Kafka would: no network and no disk take
part. With one, its topics `articles` and `alerts` must be there, records are handed on one at a time, as it does unless
told otherwise, and the time in which the articles got there does not count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict
from itertools import islice

from aiokafka import AIOKafkaProducer
from faststream.kafka import (  # type: ignore[import-not-found]  # it is installed for a run alone
    KafkaBroker,
    TestKafkaBroker,
)

from bench.news import articles


class PassThrough:
    """Two subscribers: one hands on, one counts."""

    def __init__(self, address: str) -> None:
        self.broker = KafkaBroker(address, logger=None)
        self.arrived = 0
        self.began = 0.0
        hand_on = self.broker.publisher("alerts")(self.hand_on)
        self.broker.subscriber("articles", group_id="hand-on", auto_offset_reset="earliest")(hand_on)
        self.broker.subscriber("alerts", group_id="take", auto_offset_reset="earliest")(self.take)

    async def hand_on(self, body: dict[str, object]) -> dict[str, object]:
        """Read nothing, change nothing."""
        self.began = self.began or time.perf_counter()
        return body

    async def take(self, body: dict[str, object]) -> None:
        """Count what has come through."""
        self.arrived += bool(body)


async def in_memory(bodies: list[bytes]) -> float:
    """Return records a second."""
    service = PassThrough("localhost:9092")
    async with TestKafkaBroker(service.broker):
        for body in bodies:
            await service.broker.publish(body, "articles")
        taken = time.perf_counter() - service.began
    assert service.arrived == len(bodies)
    return len(bodies) / taken


async def through(address: str, bodies: list[bytes]) -> float:
    """Return records a second."""
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        for body in bodies:
            await producer.send("articles", body, headers=[("content-type", b"application/json")])
    service = PassThrough(address)
    async with service.broker:
        await service.broker.start()
        while service.arrived < len(bodies):  # noqa: ASYNC110 - it counts, and wakes nobody
            await asyncio.sleep(0.01)
        taken = time.perf_counter() - service.began
    return len(bodies) / taken


def main() -> None:
    """Run it once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=int, default=2_000)
    parser.add_argument("--broker")
    arguments = parser.parse_args()
    bodies = [json.dumps(asdict(one), default=str).encode() for one in islice(articles(share=0.02), arguments.articles)]
    run = in_memory(bodies) if arguments.broker is None else through(arguments.broker, bodies)
    sys.stdout.write(f"{asyncio.run(run):.1f}\n")


if __name__ == "__main__":
    main()
