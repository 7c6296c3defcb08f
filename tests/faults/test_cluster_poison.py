"""Poison at every stage of a cluster: what strangers put on its topics, and what is damaged in its database."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final

import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from tests.faults.cluster_house import Cluster, cluster
from tests.faults.test_cluster_kills import ONE_OF_EACH
from tocsin.stream import wire
from tocsin.stream.port import ALERTS, ARTICLES, READINGS, RECORD_LIMIT_BYTES

POISON: Final = {
    "no json": b"\xff\xfe poison",
    "later version": b'{"v": 99, "record": {"id": "x"}}',
    "2 MB": b'{"v": 1, "record": "' + b"x" * (2 * RECORD_LIMIT_BYTES) + b'"}',
}
STAGES: Final = {ARTICLES: "detectors", READINGS: "incidents", ALERTS: "notifier"}
LARGEST: Final = 3 * RECORD_LIMIT_BYTES
SOON_S: Final = 60.0


def poison(house: Cluster) -> None:
    """Produce each kind on each topic with our headers, after whoever runs the broker let larger records in."""
    admin = AdminClient({"bootstrap.servers": house.kafka})
    larger = [
        ConfigResource(
            ResourceType.TOPIC,
            f"{house.prefix}{topic}",
            incremental_configs=[
                ConfigEntry("max.message.bytes", str(LARGEST), incremental_operation=AlterConfigOpType.SET)
            ],
        )
        for topic in STAGES
    ]
    for done in admin.incremental_alter_configs(larger).values():
        done.result(10)
    errors: list[object] = []
    producer = Producer({"bootstrap.servers": house.kafka, "message.max.bytes": LARGEST})
    for topic in STAGES:
        for kind, value in POISON.items():
            producer.produce(
                f"{house.prefix}{topic}",
                value,
                key=kind,
                headers=dict(wire.headers(topic, kind, datetime.now(UTC), kind)),
                on_delivery=lambda error, _: errors.append(error),
            )
    assert producer.flush(10) == 0
    assert errors == [None] * len(STAGES) * len(POISON)


def spoil(house: Cluster) -> tuple[str, str]:
    """Damage what a due timer and a waiting message need; return the timer's key and the message's."""
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    with psycopg.connect(house.dsn) as connection:
        row = connection.execute("SELECT key FROM timers WHERE room = 'incidents' LIMIT 1").fetchone()
        assert row is not None
        (timer,) = row
        connection.execute("UPDATE incidents SET body = 'bad!'::bytea || body WHERE id = %s", (timer,))
        connection.execute("UPDATE timers SET due = %s WHERE room = 'incidents' AND key = %s", (now - 1, timer))
        row = connection.execute("SELECT key, alerts FROM notifier_outbox WHERE receiver = 'log' LIMIT 1").fetchone()
        assert row is not None
        key, alert = row
        connection.execute("UPDATE notifier_alerts SET value = 'bad!'::bytea || value WHERE id = %s", (alert,))
        connection.execute("UPDATE notifier_outbox SET state = 'pending', next_try = %s WHERE key = %s", (now - 1, key))
    return timer, key


def letters(house: Cluster) -> Mapping[tuple[str, str], int]:
    """Return them by stage and record; without news of the spoiled incident, which has nowhere to go either."""
    query = "SELECT stage, record_id FROM dead_letters WHERE NOT (stage = 'incidents' AND reason LIKE 'stored state:%')"
    with psycopg.connect(house.dsn) as connection:
        return Counter((stage, name) for stage, name in connection.execute(query).fetchall())


@pytest.mark.faults
@pytest.mark.timeout(240)
async def test_every_poison_has_one_dead_letter_a_stage_of_a_cluster_and_the_flow_goes_on(
    tmp_path: Path, postgresql: str, kafka: str
) -> None:
    async with cluster(tmp_path, ONE_OF_EACH, dsn=postgresql, kafka=kafka, chance=Random(21)) as house:
        await house.start()
        await house.until_first_polls()
        house.room.publish(120)
        await house.until_done()
        assert await house.workers["2-incidents"].stop() == 0
        timer, message = spoil(house)
        await asyncio.to_thread(poison, house)
        wanted = Counter({(stage, kind): 1 for stage in STAGES.values() for kind in POISON})
        wanted += Counter({("archive", kind): len(STAGES) for kind in POISON})
        wanted += Counter({("bursts", kind): 1 for kind in POISON})  # they read what the incidents read
        wanted += Counter({("incidents timers", f"life:{timer}"): 1, ("receiver log", message): 1})

        await house.start()
        house.room.publish(120)
        async with asyncio.timeout(SOON_S):
            while sum(letters(house).values()) < wanted.total():
                await asyncio.sleep(0.2)
        await house.until_done()

        assert letters(house) == wanted
        (spoiled,) = house.ask("SELECT alerts FROM notifier_outbox WHERE key = %s", message)
        assert house.untold("log") == {spoiled[0]}
        assert house.untold("hook") == set()
        assert [await worker.stop() for worker in house.workers.values()] == [0, 0, 0]
