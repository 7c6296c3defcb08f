"""Another program reads alerts.v1 by `docs/topics.md` and `docs/schemas` alone; nothing of ours runs in it."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import Consumer, Producer
from jsonschema import Draft202012Validator

from tests.kafka.houses import KafkaHouse, a_kafka_house
from tocsin.records import Alert, Step
from tocsin.store.tx import Tx
from tocsin.stream.codec import encode
from tocsin.stream.port import ALERTS
from tocsin.testing import an_alert

Json = Any
DOCS: Final = Path(__file__).parents[2] / "docs"
CODE: Final = re.compile(r"```python\n(.*?)```", re.DOTALL)
PATIENCE_S: Final = 20.0

pytestmark = pytest.mark.timeout(90)


def emit(tx: Tx, *, alert: Alert) -> None:
    tx.emit(ALERTS, key=alert.incident, record_id=alert.id, value=encode(alert))


async def ring(house: KafkaHouse, *alerts: Alert) -> None:
    """Put alerts out as the incidents' stage does, and wait until the relay has taken them to the brokers."""
    for alert in alerts:
        await house.store.write(partial(emit, alert=alert))
    await house.relayed()


def story(incident: str) -> Sequence[Alert]:
    steps = (Step.NEW, Step.UPDATE, Step.ESCALATION, Step.CORRECTION)
    return [
        an_alert(incident=incident, revision=number, step=step, headline=f"{incident}: step {number} — “Äußerstes”")
        for number, step in enumerate(steps, start=1)
    ]


def printed(alert: Alert) -> str:
    return f"{alert.step} severe EE: {alert.headline}"


def look(bootstrap: str, topic: str, count: int) -> list[Any]:
    """What any client sees there from the beginning."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": f"look-{uuid.uuid4()}", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    found: list[Any] = []
    try:
        for _ in range(int(PATIENCE_S * 2)):
            found += consumer.consume(count - len(found), timeout=0.5)
            if len(found) >= count:
                break
    finally:
        consumer.close()
    assert [message.error() for message in found] == [None] * count
    return found


def send(bootstrap: str, topic: str, *messages: tuple[str, bytes, list[tuple[str, bytes]]]) -> None:
    """Write to the topic what our relay would not, or not twice."""
    producer = Producer({"bootstrap.servers": bootstrap})
    for key, value, headers in messages:
        producer.produce(topic, value=value, key=key, headers=headers)  # type: ignore[arg-type]  # its list may not vary
    assert producer.flush(PATIENCE_S) == 0


@dataclass
class Stranger:
    """The program of docs/topics.md, run as somebody else's process in a folder of its own."""

    process: asyncio.subprocess.Process

    async def lines(self, count: int) -> list[str]:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            return [(await self.process.stdout.readline()).decode().rstrip("\n") for _ in range(count)]


@asynccontextmanager
async def a_stranger(folder: Path, bootstrap: str, topic: str) -> AsyncIterator[Stranger]:
    (code,) = CODE.findall((DOCS / "topics.md").read_text("utf-8"))
    (folder / "alerts.py").write_text(code, "utf-8")
    # -I: neither the checkout nor the environment lends it anything of ours
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "alerts.py", bootstrap, topic, cwd=folder, stdout=subprocess.PIPE
    )
    try:
        yield Stranger(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_the_program_in_the_documents_prints_every_alert_once_in_order(
    tmp_path: Path, kafka: str, postgresql: str
) -> None:
    async with a_kafka_house(postgresql, kafka) as house:
        topic = f"{house.settings.prefix}{ALERTS}"
        first, second = story("first"), story("second")
        await ring(house, *first)

        async with a_stranger(tmp_path, kafka, topic) as stranger:
            shown = await stranger.lines(4)
            # A relay that died before it could say so sends again; somebody else writes by mistake; a newer
            # Tocsin says more than the program knows.
            again = [
                (message.key().decode(), message.value(), message.headers())
                for message in await asyncio.to_thread(look, kafka, topic, 4)
            ]
            newer = json.loads(encode(second[0]))
            newer["record"] |= {"urgency": "immediate", "area": {"polygon": [1, 2]}}
            headers = dict(again[0][2]) | {"ce_id": second[0].id.encode(), "ce_future": b"x"}
            foreign = [("", b"hello", [("ce_type", b"org.example.greeting")])]
            await asyncio.to_thread(
                send, kafka, topic, *again, *foreign, ("second", json.dumps(newer).encode(), list(headers.items()))
            )
            await ring(house, *second)  # the relay sends the first of them once more
            shown += await stranger.lines(4)

        assert shown == [printed(alert) for alert in (*first, *second)]


async def test_the_program_in_the_documents_is_killed_and_goes_on_where_it_was(
    tmp_path: Path, kafka: str, postgresql: str
) -> None:
    async with a_kafka_house(postgresql, kafka) as house:
        topic = f"{house.settings.prefix}{ALERTS}"
        first, second = story("first"), story("second")

        async with a_stranger(tmp_path, kafka, topic) as stranger:
            await ring(house, *first)
            shown = await stranger.lines(4)
        await ring(house, *second)
        async with a_stranger(tmp_path, kafka, topic) as stranger:  # kill -9 came between
            shown += await stranger.lines(4)

        assert shown == [printed(alert) for alert in (*first, *second)]


async def test_what_stands_on_the_topic_is_what_the_documents_say(kafka: str, postgresql: str) -> None:
    document = json.loads((DOCS / "schemas" / "asyncapi.json").read_text("utf-8"))
    schema = json.loads((DOCS / "schemas" / "alerts.v1.json").read_text("utf-8"))
    headers_schema = {**document["components"]["schemas"]["AlertHeaders"], "components": document["components"]}
    alerts = story("first")

    async with a_kafka_house(postgresql, kafka) as house:
        await ring(house, *alerts)
        messages = await asyncio.to_thread(look, kafka, f"{house.settings.prefix}{ALERTS}", 4)

    for message, alert in zip(messages, alerts, strict=True):
        value = json.loads(message.value())
        headers = {name: told.decode() for name, told in message.headers()}
        Draft202012Validator(schema).validate(value)
        Draft202012Validator(headers_schema).validate(headers)
        assert headers["ce_id"] == value["record"]["id"] == alert.id
        assert message.key().decode() == headers["ce_subject"] == value["record"]["incident"] == "first"
        assert message.partition() == 0
        assert value["record"]["headline"] == alert.headline
