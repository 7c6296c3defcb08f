"""Flipped bytes: in a table, in an index, in the log. What lives in a row is noticed, and the rest goes on."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Final

import pytest
from sqlalchemy import UniqueConstraint
from typer.testing import CliRunner

from incidents.settings import IncidentsSettings
from incidents.stage import work_with
from tocsin.cli import app
from tocsin.datadir import held
from tocsin.errors import Stop
from tocsin.records import Article, DeadLetter, Reading, digest
from tocsin.store.archive import FileArchive, Kept
from tocsin.store.everything import metadata
from tocsin.store.schema import Sealed
from tocsin.store.scrub import Finding, scrub
from tocsin.store.sqlite import SqliteStore
from tocsin.store.tx import Tx
from tocsin.stream.codec import encode
from tocsin.stream.dead_letters import put_aside
from tocsin.stream.port import ARTICLES, READINGS, StreamRecord
from tocsin.testing import NOON, a_detection, a_reading, an_article

FLIPS: Final = pytest.mark.parametrize("flips", [40, pytest.param(200, marks=pytest.mark.chaos)])
COUNTRIES: Final = ("EE", "PE", "KE", "CL", "GH", "NP", "MT", "TG", "CU", "OM")
STORE: Final = "tocsin.db"
NOTHING_SHOWN: Final = lambda _part, _done, _total: None  # noqa: E731  a callable constant


async def filled(folder: Path) -> None:
    """Make a store with records, incidents, alerts, feeds' windows, a dead letter and an archive."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    store = SqliteStore(folder / STORE)
    await store.open()
    work = work_with(IncidentsSettings())
    for n in range(60):
        article = an_article(url=f"https://news.example/{n}", title=f"{n + 3} killed in clash {n}")
        reading = a_reading(a_detection(country=COUNTRIES[n % len(COUNTRIES)]), article=article)
        record = StreamRecord(
            topic=READINGS, partition=0, offset=n, key=article.id, id=reading.id, value=encode(reading)
        )

        def emit(tx: Tx, article: Article = article, reading: Reading = reading) -> None:
            tx.emit(ARTICLES, key=article.id, record_id=digest(article.id, article.revision), value=encode(article))
            tx.emit(READINGS, key=article.id, record_id=reading.id, value=encode(reading))

        await store.write(emit)
        for unit in await work([record]):
            await store.write(unit)
    letter = DeadLetter(
        id="d", stage="x", topic=ARTICLES, record_id="r", reason="because", value=b"poison" * 50, at=NOON
    )
    await store.write(lambda tx: put_aside(tx, letter))
    await store.write(lambda tx: tx.advance("detectors", ARTICLES, 0, expect=0, to=60))
    await store.close()
    FileArchive(folder / "archive", size=10**9).put(
        [
            Kept(kind=ARTICLES, id=str(n), key="k", seen_at=NOON, title=f"word{n}", value=os.urandom(200))
            for n in range(20)
        ]
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    asyncio.run(filled(folder))
    return folder


@pytest.fixture
def data(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "data")
    return tmp_path / "data"


def found(data: Path, *, repair: bool = False) -> list[Finding]:
    return list(scrub(data / STORE, data / "archive", writable=True, repair=repair, progress=NOTHING_SHOWN))


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return what every table says."""
    told = {}
    with closing(sqlite3.connect(path)) as conn:
        conn.text_factory = bytes
        for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            told[name.decode()] = conn.execute(f"SELECT * FROM {name.decode()}").fetchall()  # noqa: S608  a name of ours
    return told


def changed_columns(says: dict[str, list[tuple[object, ...]]], meant: dict[str, list[tuple[object, ...]]]) -> set[str]:
    """Return the columns in which two stores differ, as table.column."""
    found = set()
    for name, rows in meant.items():
        if says.get(name) != rows:
            columns = list(metadata.tables[name].columns) if name in metadata.tables else []
            pairs = list(zip(says.get(name, ()), rows, strict=False))
            places = {place for one, other in pairs for place in range(len(other)) if one[place] != other[place]}
            found |= {str(columns[place]) if columns else name for place in places}
            if len(pairs) < len(rows):
                found.add(f"{name}: rows gone")
    return found


def plain_columns() -> set[str]:
    """Return the columns that nothing vouches for: neither a checksum nor an index that repeats them."""
    plain = set()
    for table in metadata.sorted_tables:
        repeated = {column for index in table.indexes for column in index.columns} | set(table.primary_key.columns)
        for constraint in table.constraints:
            repeated |= set(constraint.columns) if isinstance(constraint, UniqueConstraint) else set()
        plain |= {str(one) for one in table.columns if one not in repeated and not isinstance(one.type, Sealed)}
    return plain - {"stream_records.value", "dead_letters.value", "stream_replays.value"}


def flip(path: Path, at: int, chance: Random) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ (1 << chance.randrange(8))]))


def seeded() -> Random:
    seed = int(os.environ.get("CHAOS_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
    print(f"CHAOS_SEED={seed}")
    return Random(seed)


def test_a_whole_store_has_no_finding(data: Path) -> None:
    assert found(data) == []


@FLIPS
@pytest.mark.timeout(240)
def test_a_flip_in_a_table_or_an_index_is_found_but_for_columns_that_nothing_vouches_for(
    whole: Path, tmp_path: Path, flips: int
) -> None:
    chance = seeded()
    size, meant = (whole / STORE).stat().st_size, content(whole / STORE)
    tally: Counter[str] = Counter()
    unnoticed: Counter[str] = Counter()

    for n in range(flips):
        data = tmp_path / str(n)
        shutil.copytree(whole, data)
        flip(data / STORE, chance.randrange(size), chance)
        findings = found(data)
        says = meant
        if not findings:
            says = content(data / STORE)
            unnoticed.update(changed_columns(says, meant))
        tally["noticed" if findings else "of no consequence" if says == meant else "unnoticed"] += 1
        shutil.rmtree(data)

    print(dict(tally), dict(unnoticed))
    assert unnoticed.keys() <= plain_columns()
    assert tally["noticed"] > flips // 6


@FLIPS
@pytest.mark.timeout(240)
async def test_a_flip_in_the_log_is_counted_at_the_next_start_and_by_the_doctor(tmp_path: Path, flips: int) -> None:
    chance = seeded()
    (tmp_path / "live").mkdir()
    tally: Counter[str] = Counter()
    store = SqliteStore(tmp_path / "live" / STORE)
    await store.open()
    for n in range(60):
        await store.write(lambda tx, n=n: tx.emit(ARTICLES, key="k", record_id=str(n), value=os.urandom(300)))  # type: ignore[misc]  # mypy infers no lambda with defaults
    for n in range(flips):
        data = tmp_path / str(n)
        shutil.copytree(store.path.parent, data)
        (data / f"{STORE}-shm").unlink()
        wal = data / f"{STORE}-wal"
        flip(wal, chance.randrange(wal.stat().st_size), chance)
        shutil.copytree(data, tmp_path / "doctored")

        says = [finding for finding in found(tmp_path / "doctored") if "commits are lost" in finding.what]
        opened = SqliteStore(data / STORE)
        await opened.open()
        left = await opened.read(lambda tx: len(tx.topics.fetch(ARTICLES, start=0, most=99)))
        await opened.close()

        tally["lost and counted" if opened.lost_commits else "of no consequence"] += 1
        assert opened.lost_commits == 60 - left
        assert bool(says) == bool(opened.lost_commits)
        for folder in (data, tmp_path / "doctored"):
            shutil.rmtree(folder)
    await store.close()

    print(dict(tally))
    assert tally["lost and counted"] > flips // 6


def test_an_index_that_lacks_a_row_is_found_and_built_anew(data: Path) -> None:
    with closing(sqlite3.connect(data / STORE)) as conn:
        named = "SELECT rootpage FROM sqlite_master WHERE name = 'stream_records_order'"
        (root,) = conn.execute(named).fetchone()
    raw = bytearray((data / STORE).read_bytes())
    raw[root * 4096 - 40] ^= 0x01  # the end of the page: a key of the first entries
    (data / STORE).write_bytes(bytes(raw))

    before, repaired = found(data), found(data, repair=True)

    assert before
    assert all(finding.repairable for finding in before)
    assert repaired == []
    assert found(data) == []


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        ("UPDATE stream_records SET value = CAST(x'00112233' || value AS BLOB) WHERE position = 3", "stream_records"),
        ("UPDATE incidents SET body = CAST(substr(body, 1, 20) || x'FF' || substr(body, 22) AS BLOB)", "incidents"),
        ("UPDATE dead_letters SET value = x'0102'", "dead_letters"),
        ("UPDATE stream_cursors SET position = 4711", "stream_cursors"),
    ],
)  # fmt: skip
def test_a_damaged_row_is_named_with_what_becomes_of_it(data: Path, damage: str, part: str) -> None:
    with closing(sqlite3.connect(data / STORE)) as conn, conn:
        conn.execute(damage)

    findings = found(data)

    assert {finding.part for finding in findings} == {part}
    assert all(finding.advice for finding in findings)


def test_a_cursor_astray_is_set_back_to_what_is_kept(data: Path) -> None:
    with closing(sqlite3.connect(data / STORE)) as conn, conn:
        conn.execute("UPDATE stream_cursors SET position = 4711")

    assert found(data, repair=True) == []


def test_a_damaged_archive_is_named(data: Path) -> None:
    (path,) = (data / "archive").glob("*.db")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 3000] = os.urandom(3000)
    path.write_bytes(bytes(raw))

    assert {finding.part for finding in found(data)} == {path.name}


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor", *arguments])
    return result.exit_code, result.output


def test_the_doctor_is_content_with_a_whole_store(data: Path) -> None:
    assert run("--data", str(data)) == (0, "no commit is lost (--scrub reads everything)\n")
    assert run("--scrub", "--data", str(data)) == (0, "everything is as it was written\n")


def test_the_doctor_names_damage_and_ends_with_one(data: Path) -> None:
    with closing(sqlite3.connect(data / STORE)) as conn, conn:
        conn.execute("UPDATE dead_letters SET value = x'0102'")

    code, told = run("--scrub", "--json", "--data", str(data))

    (finding,) = json.loads(told)["findings"]
    assert code == 1
    assert finding["part"] == "dead_letters"
    assert run("--scrub", "--data", str(data))[1].startswith("dead_letters: d: checksum does not match\n  ")


def test_the_doctor_looks_at_what_a_service_holds_but_does_not_touch_it(data: Path) -> None:
    with held(data):
        looked = run("--scrub", "--data", str(data))
        touched = CliRunner().invoke(app, ["doctor", "--repair", "--data", str(data)])

    assert looked[0] == 0
    assert isinstance(touched.exception, Stop)
    assert "stop it first" in str(touched.exception)


def test_the_doctor_says_when_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--data", str(tmp_path)])

    assert "there is no store" in str(result.exception)
