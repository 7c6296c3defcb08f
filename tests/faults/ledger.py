"""What a stopped service has in its store, laid beside what it should have after all that was done to it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detectors.engine import prepare
from incidents.stage import work_with
from notifier.routing import Verdict
from tocsin.settings import load_settings
from tocsin.stages.detecting import read_record
from tocsin.store.schema import unseal
from tocsin.store.sqlite import SqliteStore
from tocsin.stream.codec import decode_article
from tocsin.stream.port import ALERTS, ARTICLES, READINGS, StreamRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STORE_FILE = "tocsin.db"
AT_ONCE = 500


class Ledger:
    """One store, read from outside."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the store's file, running or not."""
        path = self._data / STORE_FILE
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as conn:
            return conn.execute(query, values).fetchall()

    def count(self, query: str, *values: object) -> int:
        return int(self.rows(query, *values)[0][0])

    def position(self, group: str, topic: str) -> int:
        """Where the group's cursor stands; 0 while there is no store."""
        query = "SELECT position FROM stream_cursors WHERE consumer_group = ? AND topic = ?"
        try:
            found = self.rows(query, group, topic)
        except sqlite3.OperationalError:
            return 0
        return int(found[0][0]) if found else 0

    def records(self, topic: str) -> Iterator[tuple[str, str, bytes]]:
        """Give (key, id, value) of each record in order; one with a wrong checksum raises."""
        query = "SELECT key, record_id, value FROM stream_records WHERE topic = ? ORDER BY position"
        for key, record, value in self.rows(query, topic):
            yield key, record, unseal(value, what=record)

    def articles(self) -> Counter[str]:
        """How often each URL was accepted."""
        return Counter(decode_article(value).url for _, _, value in self.records(ARTICLES))

    def missing_readings(self, config: Path) -> tuple[set[str], set[str]]:
        """Read every article once more; return the readings that lack and those that are too many."""
        engine = prepare(load_settings(config, data_dir=self._data).detectors)
        there = [record for _, record, _ in self.records(READINGS)]
        wanted = set()
        for _, _, value in self.records(ARTICLES):
            reading = read_record(engine, value)
            if reading.value is not None:
                wanted.add(reading.id)
        assert len(there) == len(set(there))
        return wanted - set(there), set(there) - wanted

    async def incidents_anew(self, config: Path, scratch: Path) -> SqliteStore:
        """Give every reading, in order, to a store of its own that nothing ever happens to."""
        settings = load_settings(config, data_dir=self._data)
        work = work_with(settings.incidents)
        store = SqliteStore(scratch / "anew.db")
        await store.open()
        records = [
            StreamRecord(topic=READINGS, partition=0, offset=offset, key=key, id=record, value=value)
            for offset, (key, record, value) in enumerate(self.records(READINGS))
        ]
        for start in range(0, len(records), AT_ONCE):
            for unit in await work(records[start : start + AT_ONCE]):
                await store.write(unit)
        return store

    async def differing_alerts(self, config: Path, scratch: Path) -> Sequence[str]:
        """Return what of alerts and incidents is not as an undisturbed run makes it, each as a line."""
        anew = await self.incidents_anew(config, scratch)
        await anew.close()
        query = "SELECT record_id, value FROM stream_records WHERE topic = ? ORDER BY position"
        told, wanted = self.rows(query, ALERTS), _asked(scratch / "anew.db", query, ALERTS)
        lines = [f"alert {place}" for place, pair in enumerate(zip(told, wanted, strict=False)) if pair[0] != pair[1]]
        if len(told) != len(wanted):
            lines.append(f"{len(told)} alerts in place of {len(wanted)}")
        for table in ("incidents", "incident_articles", "incident_keys", "judged_articles"):
            query = f"SELECT * FROM {table} ORDER BY 1, 2"  # noqa: S608  names of our own
            if self.rows(query) != _asked(scratch / "anew.db", query):
                lines.append(f"table {table}")
        return lines

    def archived(self, topic: str) -> int:
        """How many records of *topic* the archive has, each counted once."""
        ids = set()
        for path in sorted((self._data / "archive").glob("archive-*.db")):
            ids |= {one for (one,) in _asked(path, "SELECT id FROM records WHERE kind = ?", topic)}
        return len(ids)

    def untold(self, receiver: str) -> list[str]:
        """Return the alerts that were to be told to *receiver* and of which no message was settled."""
        query = "SELECT alerts FROM notifier_outbox WHERE receiver = ? AND state = 'done'"
        told = {one for (alerts,) in self.rows(query, receiver) for one in alerts.split()}
        query = "SELECT DISTINCT alert FROM notifier_verdicts WHERE receiver = ? AND verdict IN (?, ?, ?, ?)"
        meant = {one for (one,) in self.rows(query, receiver, *(verdict for verdict in Verdict if verdict.is_yes))}
        every = {record for _, record, _ in self.records(ALERTS)}
        return sorted((meant & every) - told)


def _asked(path: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute(query, values).fetchall()
