"""The servers that other tests rely on: they start, come back with their data, and let in whom they should."""

from __future__ import annotations

import psycopg
from confluent_kafka.admin import AdminClient


def test_a_database_is_fresh(postgresql: str) -> None:
    with psycopg.connect(postgresql) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()

    assert tables == (0,)


def test_the_broker_answers(kafka: str) -> None:
    metadata = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=5)

    assert [broker.port for broker in metadata.brokers.values()] == [int(kafka.rpartition(":")[2])]
