"""The whole path, each run in a process of its own, beside faststream that only hands records on.

Embedded: `bench.whole`, beside faststream in memory. Cluster: `bench.cluster`, beside faststream on a broker.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.claim import Claim
from tests.servers.kafka import kafka_broker

ARTICLES: Final = 6_000
DELAYED: Final = 4_000
RATE: Final = 200.0
SHARES: Final = (0.02, 0.08)
WHERE: Final = {"embedded": "bench.whole", "cluster": "bench.cluster"}
UV: Final = Path(sys.executable).with_name("uv")


def whole(where: str, *, articles: int, share: float, **more: float) -> dict[str, Any]:
    """Run the whole path once and return its figures."""
    options = {"articles": articles, "share": share, **more}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = (sys.executable, "-m", WHERE[where], *words)
    found = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own module
    figures: dict[str, Any] = json.loads(found.stdout)
    return figures


def throughput(where: str, share: float, **more: float) -> float:
    """Return articles a second, *share* of them with something to tell."""
    return float(whole(where, articles=ARTICLES, share=share, **more)["articles_per_s"])


def faststream(*more: str) -> float:
    """Return records a second; it is fetched for this run alone, into an environment of its own."""
    command = [str(UV), "run", "-q", "--no-project", "--isolated", "--python", sys.executable]
    command += ["--with", "faststream[kafka]", "python", "-m", "bench.pass_through", "--articles", str(ARTICLES), *more]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603 - as above


def faststream_on_kafka() -> float:
    """Return records a second that come through a broker."""
    with kafka_broker() as broker:
        asyncio.run(_make_topics(broker.bootstrap))
        return faststream("--broker", broker.bootstrap)


async def _make_topics(address: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1) for name in ("articles", "alerts")])
    finally:
        await admin.close()


def claims() -> list[Claim]:
    """Return what is claimed, with the peer."""
    embedded = [
        Claim(f"embedded, {share:.0%} matching", "articles/s", partial(throughput, "embedded", share),
              "faststream in memory, handing on only", faststream)
        for share in SHARES
    ]  # fmt: skip
    cluster = [
        Claim(f"Kafka + PostgreSQL, {detectors:.0f} detector worker(s), {share:.0%} matching", "articles/s",
              partial(throughput, "cluster", share, detectors=detectors),
              "faststream on Kafka, handing on only", faststream_on_kafka)
        for detectors in (1, 3)
        for share in SHARES
    ]  # fmt: skip
    return embedded + cluster
