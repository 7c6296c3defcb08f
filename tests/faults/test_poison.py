"""Poison at every stage of a real service: each gets its dead letter, and everything else comes through."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final

import pytest

from tests.faults.ledger import STORE_FILE
from tests.faults.test_disk import all_through, begun
from tests.faults.test_kills import Scene, scene
from tocsin.store.sqlite import SqliteStore
from tocsin.store.tx import Tx
from tocsin.stream.port import ALERTS, ARTICLES, READINGS, RECORD_LIMIT_BYTES

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

POISON: Final = {
    "no json": b"\xff\xfe poison",
    "later version": b'{"v": 99, "record": {"id": "x"}}',
    "2 MB": b'{"v": 1, "record": "' + b"x" * (2 * RECORD_LIMIT_BYTES) + b'"}',
}
READERS: Final = {
    ARTICLES: ("detectors", "archive"),
    READINGS: ("incidents", "bursts", "archive"),
    ALERTS: ("notifier", "archive"),
}
SOON_S: Final = 40
DEATHS_S: Final = 120


async def poison(data: Path) -> None:
    """Put each kind of poison on each topic, before what is to come."""

    def unit(tx: Tx) -> None:
        for topic in READERS:
            for kind, value in POISON.items():
                tx.emit(topic, key=kind, record_id=kind, value=value)

    store = SqliteStore(data / STORE_FILE)
    await store.open()
    await store.write(unit)
    await store.close()


def spoil(data: Path) -> tuple[str, str]:
    """Damage what a due timer and a waiting message need; return the timer's key and the message's."""
    with closing(sqlite3.connect(data / STORE_FILE)) as conn, conn:
        now = int(datetime.now(UTC).timestamp() * 1_000_000)
        (timer,) = conn.execute("SELECT key FROM timers WHERE room = 'incidents' LIMIT 1").fetchone()
        conn.execute("UPDATE timers SET due = ? WHERE key = ?", (now - 1, timer))
        conn.execute("UPDATE incidents SET body = CAST('bad!' || body AS BLOB) WHERE id = ?", (timer,))
        key, alert = conn.execute("SELECT key, alerts FROM notifier_outbox WHERE receiver = 'log' LIMIT 1").fetchone()
        conn.execute("UPDATE notifier_outbox SET state = 'pending', next_try = ? WHERE key = ?", (now - 1, key))
        conn.execute("UPDATE notifier_alerts SET value = CAST('bad!' || value AS BLOB) WHERE id = ?", (alert,))
    return timer, key


def letters(acted: Scene) -> Counter[tuple[str, str]]:
    return Counter(acted.ledger.rows("SELECT stage, record_id FROM dead_letters"))


async def test_every_poison_has_one_dead_letter_a_stage_and_the_flow_goes_on(tmp_path: Path) -> None:
    async with scene(tmp_path / "house", Random(21)) as acted:
        await begun(acted)
        assert await acted.service.stop() == 0
        await poison(acted.service.data)
        timer, message = spoil(acted.service.data)
        wanted = Counter({(stage, kind): 1 for topic in READERS for stage in READERS[topic] for kind in POISON})
        wanted += Counter({("archive", kind): 2 for kind in POISON})  # it reads three topics
        wanted += Counter({("incidents timers", f"life:{timer}"): 1, ("receiver log", message): 1})

        await acted.service.start_and_wait()
        acted.room.publish(80)
        async with asyncio.timeout(SOON_S):
            while letters(acted).total() < wanted.total() or acted.accepted() < acted.room.published:
                await asyncio.sleep(0.2)
        await all_through(acted)

        assert letters(acted) == wanted
        untold = set(acted.ledger.untold("log")) - {
            alert for (alert,) in acted.ledger.rows("SELECT alerts FROM notifier_outbox WHERE key = ?", message)
        }
        assert untold == set()
        assert acted.ledger.untold("hook") == []
        _, body = await acted.service.get("/api/dead-letters")
        assert json.loads(body)["items"]
        assert await acted.service.stop() == 0


@pytest.mark.chaos
async def test_a_document_that_kills_the_process_is_left_out_at_the_fourth_start(tmp_path: Path) -> None:
    async with scene(tmp_path / "house", Random(22)) as acted:
        acted.service.launched_by = ("-m", "tests.faults.launcher", json.dumps({"deadly": "DEADLY"}))
        await begun(acted)
        acted.room.add(3, {"id": "deadly", "url": "https://f3.example/deadly", "title": "DEADLY words"})
        assert await acted.service.ended(SOON_S)

        deaths = 1
        await acted.service.start()
        async with asyncio.timeout(DEATHS_S):
            while not letters(acted):
                if await acted.service.ended(0.5):
                    deaths += 1
                    await acted.service.start()
        acted.room.publish(80)
        of_others = acted.room.published - 2  # two of them came into the feed that is left out
        async with asyncio.timeout(SOON_S):
            while acted.accepted() < of_others:
                await asyncio.sleep(0.2)

        assert deaths == 3 + 1  # the first was not noted: that process had visited the feed before
        assert letters(acted) == {("ingest", "f3"): 1}
        assert await acted.service.stop() == 0
