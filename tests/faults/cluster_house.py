"""A cluster that reads a newsroom: processes of its own for each part, which a test kills, pauses and starts again."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import psycopg
from aiohttp import web

from detectors.engine import prepare
from incidents.stage import work_with
from notifier.routing import Verdict
from tests.faults.harness import Service, write_config
from tests.faults.newsroom import Newsroom, newsroom
from tests.kafka.houses import a_stream, some_settings
from tocsin.app import READERS
from tocsin.demo.feeds import listening
from tocsin.settings import load_settings
from tocsin.stages.detecting import read_record
from tocsin.store.archive_postgresql import PostgresqlArchive
from tocsin.store.sqlite import SqliteStore
from tocsin.stream.port import ALERTS, ARTICLES, READINGS, TOPICS, StreamRecord
from tocsin.testing import a_cluster_store

FEEDS: Final = 24
WINDOW: Final = 150
PARTITIONS: Final = 4
SETTLE_S: Final = 120.0
READY_S: Final = 60.0
AT_ONCE: Final = 500
HERE: Final = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Cluster:
    """A newsroom, the processes that read it, and what they have told."""

    room: Newsroom
    workers: dict[str, Service]
    config: Path
    dsn: str
    kafka: str
    prefix: str
    alerts: Path
    heard: Counter[str]
    chance: Random

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database from outside."""
        with psycopg.connect(self.dsn, autocommit=True, connect_timeout=3) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def count(self, query: str, *values: object) -> int:
        return int(self.ask(query, *values)[0][0])

    async def start(self, limit_s: float = READY_S) -> None:
        """Start every process that does not run, and wait until all are ready."""
        for worker in self.workers.values():
            if worker.process is None or worker.process.returncode is not None:
                await worker.start()
        for worker in self.workers.values():
            await worker.ready(limit_s)

    async def until_first_polls(self) -> None:
        """Return when every feed was read empty: what comes after it is news."""
        async with asyncio.timeout(READY_S):
            while self.count("SELECT count(*) FROM feeds WHERE first_ok_at IS NOT NULL") < FEEDS:
                await asyncio.sleep(0.2)

    async def until_accepted(self) -> None:
        end = time.monotonic() + SETTLE_S
        while (accepted := self.count("SELECT count(*) FROM articles")) < self.room.published:
            assert time.monotonic() < end, f"{accepted} of {self.room.published} accepted after {SETTLE_S:g} s"
            await asyncio.sleep(0.2)

    async def until_done(self) -> None:
        """Leave the cluster alone until everything that was published has come through."""
        await self.until_accepted()
        async with self._looking() as (stream, _):
            last: object = None
            end = time.monotonic() + SETTLE_S
            while (waits := await self._waits(stream)) or last != (
                last := self.ask("SELECT sum(position) FROM stream_cursors")
            ):
                assert time.monotonic() < end, f"still waiting after {SETTLE_S:g} s: {waits}"
                await asyncio.sleep(1.0)

    async def check(self, scratch: Path, *, repeats: int) -> None:
        """Say what is lost or doubled; there must be nothing but *repeats* sends under the same key."""
        async with self._looking() as (stream, _):
            records = {topic: await _all(stream, topic) for topic in TOPICS}
        once = {topic: list({record.id: record for record in found}.values()) for topic, found in records.items()}
        assert self.ask("SELECT topic, reason FROM dead_letters") == []
        assert self.count("SELECT count(*) FROM articles") == self.room.published
        assert self.count("SELECT count(DISTINCT url) FROM articles") == self.room.published
        assert len(once[ARTICLES]) == self.room.published

        settings = load_settings(self.config, data_dir=scratch, environment={})
        engine = prepare(settings.detectors)
        read = [read_record(engine, record.body) for record in once[ARTICLES]]
        assert {record.id for record in once[READINGS]} == {one.id for one in read if one.value is not None}

        alerts, incidents = await _anew(once[READINGS], work_with(settings.incidents), scratch)
        assert [record.id for record in once[ALERTS]] == alerts
        assert sorted(self.ask("SELECT id FROM incidents")) == incidents

        lines = [json.loads(line) for line in self.alerts.read_text("utf-8").splitlines()]
        keys = {key for (key,) in self.ask("SELECT key FROM notifier_outbox WHERE receiver = 'log'")}
        assert {line["key"] for line in lines} == keys
        assert len(lines) - len(keys) <= repeats
        sent = self.count("SELECT count(*) FROM notifier_outbox WHERE receiver = 'hook'")
        assert sent <= self.heard.total() <= sent + repeats
        for receiver in ("log", "hook"):
            assert self.untold(receiver) == set()
        archive = PostgresqlArchive(self.dsn, size=10**10)
        try:
            kept = Counter(kind for (kind,) in self.ask("SELECT kind FROM archive.records"))
        finally:
            archive.close()
        assert kept == {topic: len(found) for topic, found in once.items()}

    def untold(self, receiver: str) -> set[str]:
        """Return the alerts that were to be told to *receiver* and of which no message was settled."""
        told = self.ask("SELECT alerts FROM notifier_outbox WHERE receiver = %s AND state = 'done'", receiver)
        yes = [str(verdict) for verdict in Verdict if verdict.is_yes]
        query = "SELECT DISTINCT alert FROM notifier_verdicts WHERE receiver = %s AND verdict = ANY(%s)"
        meant = {one for (one,) in self.ask(query, receiver, yes)}
        return meant - {one for (alerts,) in told for one in alerts.split()}

    @asynccontextmanager
    async def _looking(self) -> AsyncIterator[tuple[Any, Any]]:
        brokers = self.kafka.split(",")
        settings = some_settings(brokers[0], brokers=brokers, prefix=self.prefix, partitions=PARTITIONS)
        async with a_cluster_store(self.dsn) as store, a_stream(settings, store) as stream:
            await stream.prepare()
            yield stream, store

    async def _waits(self, stream: Any) -> dict[str, int]:
        """Return what is not through yet: records of each group, records of the relay, and messages by their state."""
        measured = dict(await stream.measured())
        for group, topic in {(group, topic) for topic, groups in READERS.items() for group in groups} - measured.keys():
            measured[group, topic] = sum(bound.end - bound.first for bound in (await stream.bounds(topic)).values())
        found = {f"{group} {topic}": int(waiting) for (group, topic), waiting in measured.items()}
        found["outbox"] = self.count("SELECT count(*) FROM stream_records")
        unsettled = "SELECT receiver, state, count(*) FROM notifier_outbox WHERE state NOT IN ('done', 'dead')"
        for receiver, state, waiting in self.ask(f"{unsettled} GROUP BY receiver, state"):
            found[f"{state} to {receiver}"] = waiting
        return {what: waiting for what, waiting in found.items() if waiting}


async def _all(stream: Any, topic: str) -> list[StreamRecord]:
    """Return every record of *topic*, repeated ones included."""
    found: list[StreamRecord] = []
    for partition, bounds in (await stream.bounds(topic)).items():
        start = bounds.first
        while start < bounds.end:
            some = await stream.fetch(topic, start=start, most=AT_ONCE, timeout_s=5.0, partition=partition)
            assert some, f"{topic}[{partition}] from {start} to {bounds.end}"
            found += some
            start = some[-1].offset + 1
    return found


async def _anew(readings: Sequence[StreamRecord], work: Any, scratch: Path) -> tuple[list[str], list[tuple[str]]]:
    """Give every reading, in order and once, to a store that nothing ever happens to; return alerts and incidents."""
    store = SqliteStore(scratch / "anew.db")
    await store.open()
    try:
        for start in range(0, len(readings), AT_ONCE):
            for unit in await work(readings[start : start + AT_ONCE]):
                await store.write(unit)
        alerts = await store.read(lambda tx: [row.id for row in tx.topics.fetch(ALERTS, start=0, most=100_000)])
        rows = await store.read(lambda tx: tx.conn.exec_driver_sql("SELECT id FROM incidents ORDER BY id").all())
        return alerts, sorted((row[0],) for row in rows)
    finally:
        await store.close()


@asynccontextmanager
async def cluster(
    folder: Path,
    parts: Sequence[tuple[str, ...]],
    *,
    dsn: str,
    kafka: str,
    chance: Random,
    session: str = "6s",
    replication: int = 1,
) -> AsyncIterator[Cluster]:
    """Yield a cluster of one process for each of *parts*, none of which runs yet."""
    heard: Counter[str] = Counter()
    prefix = f"f{secrets.token_hex(4)}-"
    alerts = folder / "alerts.jsonl"

    async def hear(request: web.Request) -> web.Response:
        heard[json.dumps(await request.json(), sort_keys=True)] += 1
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/hook", hear)
    async with newsroom(feeds=FEEDS, window=WINDOW, chance=chance) as room, listening(app) as hook:
        main = (
            "tocsin:\n  mode: cluster\n  workers: 1\n  web: {listen: '127.0.0.1:0'}\n"
            "  polling: {requests_per_minute: 60000, floor: 500ms, per_host: {at_once: 20, gap: 0s}}\n"
            f"  kafka: {{brokers: {kafka.split(',')}, prefix: {prefix}, replication: {replication},"
            f" partitions: {PARTITIONS},"
            f" session: {session}, heartbeat: 500ms}}\n"
            f"  postgresql: {{dsn: '{dsn}'}}\n"
        )
        files = {
            "tocsin.yaml": main,
            "feeds.yaml": f"sources:\n  feeds:\n{room.feed_lines(every='1s')}",
            "receivers.yaml": f"receivers:\n  log: {{kind: file, path: '{alerts}'}}\n"
            f"  hook: {{kind: slack, webhook_url: {hook}/hook, allow_private: true}}\n",
            "subscriptions.yaml": "subscriptions:\n  - {id: all, to: [log, hook], group_wait: 0s, budget: 99999/day,"
            " steps: [new, escalation, update, correction]}\n",
        }
        config = write_config(folder / "config", files)
        workers = {
            name: Service(
                config=config, data=folder / name, environment={"PYTHONPATH": str(HERE)}, stages=tuple(stages)
            )
            for name, stages in ((f"{number}-{stages[0]}", stages) for number, stages in enumerate(parts))
        }
        try:
            yield Cluster(room, workers, config, dsn, kafka, prefix, alerts, heard, chance)
        finally:
            for worker in workers.values():
                if worker.process is not None and worker.process.returncode is None:
                    await worker.kill()
