"""The peer of the whole path: faststream handing records on and doing nothing else, no store, no detector, no receiver.

    uv run --no-project --isolated --with "faststream[kafka]" python -m bench.pass_through --articles 5000

prints records a second. Its own in-memory broker stands where Kafka would, so no network and no disk take part.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict
from itertools import islice

from faststream.kafka import KafkaBroker, TestKafkaBroker

from bench.news import articles

broker = KafkaBroker(logger=None)
arrived: list[int] = []


@broker.subscriber("articles")
@broker.publisher("alerts")
async def hand_on(body: dict[str, object]) -> dict[str, object]:
    """Read nothing, change nothing."""
    return body


@broker.subscriber("alerts")
async def take(body: dict[str, object]) -> None:
    """Count what has come through."""
    arrived.append(len(body))


async def run(count: int) -> float:
    """Return records a second."""
    bodies = [json.dumps(asdict(one), default=str).encode() for one in islice(articles(share=0.02), count)]
    async with TestKafkaBroker(broker):
        started = time.perf_counter()
        for body in bodies:
            await broker.publish(body, "articles")
        taken = time.perf_counter() - started
    assert len(arrived) == count
    return count / taken


def main() -> None:
    """Run it once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--articles", type=int, default=2_000)
    sys.stdout.write(f"{asyncio.run(run(parser.parse_args().articles)):.1f}\n")


if __name__ == "__main__":
    main()
