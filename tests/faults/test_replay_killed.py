"""`kill -9` while dead letters are replayed: each is worked on or lies among the dead letters again, none twice."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.faults.harness import Service, write_config
from tocsin.records import DeadLetter
from tocsin.replays import DIED
from tocsin.stream.codec import encode
from tocsin.stream.port import ARTICLES, READINGS
from tocsin.testing import a_store, an_article

HERE = Path(__file__).resolve().parents[2]
LETTERS = 400
KILLS = 4
LIMIT_S = 60
RULES = """
rules:
  - {id: loops, type: stranger, python: "tests.faults.rules_that_misbehave:loops"}
"""
GROUP = "detectors"
READ = "SELECT key FROM stream_records WHERE topic = ?"


def a_letter(number: int, *, title: str) -> DeadLetter:
    now = datetime.now(UTC)
    article = an_article(url=f"https://news.example/{number}", title=title, published_at=now, seen_at=now)
    return DeadLetter(
        id=f"{number:032x}",
        stage=GROUP,
        topic=ARTICLES,
        record_id=article.id,
        key=article.id,
        offset=number,
        reason="poison",
        value=encode(article),
        size=len(encode(article)),
        at=now,
    )


async def fill(data: Path, *letters: DeadLetter) -> None:
    async with a_store(data) as store:
        await store.write(lambda tx: [tx.replays.add(letter, now=datetime.now(UTC)) for letter in letters])


def asked(data: Path, query: str, *values: str | int) -> list[tuple[Any, ...]]:
    """Look into the store of a service that may be running, without disturbing it."""
    conn = sqlite3.connect(f"file:{data / 'tocsin.db'}?mode=ro", uri=True, timeout=5)
    try:
        return conn.execute(query, values).fetchall()
    finally:
        conn.close()


async def until(data: Path, query: str, *values: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not asked(data, query, *values)[0][0]:
            await asyncio.sleep(0.02)


@pytest.mark.faults
@pytest.mark.timeout(LIMIT_S * 2)
async def test_a_replay_that_was_under_way_when_the_process_was_killed_is_set_aside(tmp_path: Path) -> None:
    config, data = write_config(tmp_path / "config", {"rules/strangers.yaml": RULES}), tmp_path / "data"
    data.mkdir()
    hangs = a_letter(0, title="LOOP: the harbour of Riga is busy")
    good = a_letter(1, title="Three people killed in clashes in Narva, police say")
    await fill(data, hangs, good)
    async with Service(config=config, data=data, environment={"PYTHONPATH": str(HERE)}) as service:
        await service.start()
        await until(data, "SELECT count(*) FROM stream_replays WHERE claimed_by IS NOT NULL")
        await service.restart()

        await until(data, "SELECT count(*) = 0 FROM stream_replays")

        assert asked(data, "SELECT id, reason, times FROM dead_letters") == [(hangs.id, DIED, 2)]
        assert asked(data, READ, READINGS) == [(good.key,)]
        assert await service.stop() == 0


@pytest.mark.faults
@pytest.mark.timeout(LIMIT_S * (KILLS + 2))
async def test_replays_survive_kills_at_random_moments(tmp_path: Path) -> None:
    seed = int(os.environ.get("TOCSIN_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
    chance = Random(seed)
    config, data = write_config(tmp_path / "config"), tmp_path / "data"
    data.mkdir()
    letters = [
        a_letter(number, title="Three people killed in clashes in Narva, police say") for number in range(LETTERS)
    ]
    await fill(data, *letters)
    async with Service(config=config, data=data) as service:
        for kill in range(KILLS):
            await service.start()
            goal = LETTERS - (kill + 1) * LETTERS // (KILLS + 1)
            await until(data, "SELECT count(*) < ? FROM stream_replays", goal)
            await asyncio.sleep(chance.uniform(0, 0.05))
            await service.kill()
        await service.start_and_wait()
        await until(data, "SELECT count(*) = 0 FROM stream_replays")

        told = f"seed {seed}"
        read = [key for (key,) in asked(data, READ, READINGS)]
        aside = asked(data, "SELECT record_id, reason FROM dead_letters")
        assert len(read) == len(set(read)), told
        assert {reason for _, reason in aside} <= {DIED}, told
        assert len(aside) <= KILLS, told
        assert sorted([*read, *(record for record, _ in aside)]) == sorted(letter.key for letter in letters), told
        assert await service.stop() == 0
