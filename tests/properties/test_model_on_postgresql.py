"""The model of the pipeline on PostgreSQL: a relay brings what is emitted to a broker, and may bring it twice."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Final

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from typing_extensions import override

from tests.properties.test_model_of_the_pipeline import GROUP, IN, KEPT, OUT, Pipeline, steps
from tests.servers.postgresql import PostgresqlServer
from tocsin.store.postgresql import PostgresqlStore
from tocsin.store.topics import StoredRecord
from tocsin.store.tx import Tx
from tocsin.testing import a_cluster_transaction

EXAMPLES: Final = int(os.environ.get("CHAOS_EXAMPLES", "15")) // 3


class Cluster(Pipeline):
    """The broker is a list for each topic, where a record may come twice; a group asks whether it has passed an id."""

    server: PostgresqlServer
    with_tables: str

    @override
    def prepare(self) -> None:
        self.dsn = self.server.create_database(template=self.with_tables)
        self.broker: dict[str, list[StoredRecord]] = {}
        self.passed_at: dict[str, datetime] = {}

    @override
    def opened(self) -> PostgresqlStore:
        store = PostgresqlStore(self.dsn, clock=self.clock)
        self.run(store.open())
        return store

    @override
    def clear_away(self) -> None:
        self.server.drop_database(self.dsn)

    @rule(most=st.integers(1, 9), dies=st.booleans())
    def relay(self, most: int, dies: bool) -> None:
        """Bring what waits to the broker; a relay that dies before it says so brings it again."""
        rows = self.run(self.store.read(lambda tx: tx.outbox.lowest(most=most, most_bytes=1_000_000)))
        for row in rows:
            topic = self.broker.setdefault(row.topic, [])
            topic.append(StoredRecord(position=len(topic), key=row.key, id=row.id, value=row.value))
        if rows and not dies:
            self.run(self.store.write(lambda tx: tx.outbox.remove({row.position: row.id for row in rows})))

    @override
    def fetched(self, start: int, most: int) -> list[StoredRecord]:
        return self.broker.get(IN, [])[start : start + most]

    @override
    def work(self, tx: Tx, record: StoredRecord) -> None:
        if tx.topics.first_time(GROUP, IN, record.id, at=self.clock.now()):
            steps(tx, record)

    @override
    def pass_one(self, record: StoredRecord) -> None:
        if record.id not in self.passed_at:
            self.count(record.key, record.id)
            if not record.id.endswith("7"):  # what is set aside is undone, this note as well
                self.passed_at[record.id] = self.clock.now()

    @override
    def forget(self, gone: int) -> None:
        before = self.clock.now() - KEPT
        waiting = set(self.run(self.store.read(lambda tx: [row.id for row in tx.topics.fetch(IN, start=0, most=999)])))
        old = [name for name in self.model.known if self.model.since[name] < before and name not in waiting]
        passed = [name for name, at in self.passed_at.items() if at < before]
        for name in old:
            del self.model.known[name]
        for name in passed:
            del self.passed_at[name]
        assert gone == max(len(old), len(passed))

    @override
    def told(self, tx: Tx) -> list[str]:
        waiting = [(row.id, row.value) for row in tx.topics.fetch(OUT, start=0, most=999)]
        there = [(row.id, row.value) for row in self.broker.get(OUT, [])]
        return [(value or b"").decode() for value in dict([*there, *waiting]).values()]


@pytest.mark.timeout(30 + 10 * EXAMPLES)
def test_on_postgresql_store_and_model_say_the_same(postgresql_shared: PostgresqlServer) -> None:
    empty = postgresql_shared.create_database()
    with a_cluster_transaction(empty):
        pass

    class OnThisServer(Cluster):
        server = postgresql_shared
        with_tables = empty.rpartition("/")[2]

    run_state_machine_as_test(
        OnThisServer,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    postgresql_shared.drop_database(empty)
