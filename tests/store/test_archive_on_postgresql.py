"""The archive in PostgreSQL: what only a server can refuse."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.store.archived import kept
from tocsin.errors import RecordUnreadable, StoreUnavailable
from tocsin.store.archive_postgresql import DAY_US, Part, PostgresqlArchive, next_part
from tocsin.store.settings import Timeouts
from tocsin.stream.port import ARTICLES
from tocsin.testing import DAY, HOUR, NOON

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
SQUARED = [chr(code) for code in range(0x3300, 0x3358)]  # one of them is up to six katakana in NFKD
UNINDEXABLE = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz", k=9_000))  # an index takes 2,704 bytes


@pytest.fixture
def archive(postgresql: str) -> Iterator[PostgresqlArchive]:
    with closing(PostgresqlArchive(postgresql, size=10**9)) as opened:
        yield opened


def squared_words() -> str:
    """Return 25,000 different words that take four times as much room once they are folded."""
    dice = random.Random(1)
    return " ".join("".join(dice.choices(SQUARED, k=7)) for _ in range(25_000))


def every_letter() -> str:
    return " ".join(chr(code) for code in range(sys.maxunicode) if chr(code).isalnum())[:200_000]


@pytest.mark.parametrize(
    "text",
    [
        squared_words(),
        every_letter(),
        "ﷺ" * 200_000,
        "é" * 200_000,
        " ".join(f"{number:x}é" for number in range(50_000)),
        " ".join(f"{number:x}" for number in range(50_000)),
        "a " * 100_000,
    ],
    ids=["squared", "every letter", "one long word", "one word", "short words", "ascii", "one letter"],
)
def test_no_text_is_too_much_for_the_index(archive: PostgresqlArchive, text: str) -> None:
    archive.put([kept("a", title="Narva", text=text), kept("b", title="Narva")])

    assert [row.id for row in archive.search(ARTICLES, "narva")] == ["b", "a"]


@given(text=st.text(st.characters(exclude_categories=()), max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_kept_and_found_by_all_of_its_words(archive: PostgresqlArchive, text: str) -> None:
    name = text.encode("utf-8", "surrogatepass").hex()
    archive.put([kept(name, title=text, text="narva", url=text)])

    assert name in {row.id for row in archive.search(ARTICLES, f"narva {text}", limit=1_000)}


def test_what_the_database_will_never_take_is_refused_and_the_next_is_kept(archive: PostgresqlArchive) -> None:
    with pytest.raises(RecordUnreadable, match="index row"):
        archive.put([kept("good"), kept("bad", url=UNINDEXABLE)])
    archive.put([kept("next")])

    assert [row.id for row in archive.latest(ARTICLES, limit=9)] == ["next"]


def test_much_news_is_cut_into_days_so_that_less_than_a_week_can_go(postgresql: str) -> None:
    with closing(PostgresqlArchive(postgresql, size=3_000_000)) as archive:
        for day in range(5):
            at = MONDAY + day * DAY + HOUR
            archive.put([kept(f"{day} {n}", at=at, value=os.urandom(60_000)) for n in range(15)])

        dropped = archive.trim(now=MONDAY + 5 * DAY, keep=90 * DAY)

        assert dropped == ["records_2026_03_02", "records_2026_03_03", "records_2026_03_04"]
        assert len(archive.latest(ARTICLES, limit=99)) == 30


def test_a_week_of_few_news_lies_in_one_part(postgresql: str) -> None:
    with closing(PostgresqlArchive(postgresql, size=10**9)) as archive:
        for day in range(15):
            archive.put([kept(str(day), at=MONDAY + day * DAY)])

        assert list(archive.sizes()) == [
            "records_2026_03_02",
            "records_2026_03_03",
            "records_2026_03_09",
            "records_2026_03_16",
        ]


@given(
    days=st.lists(st.integers(0, 60), min_size=1, max_size=20),
    sizes=st.lists(st.integers(0, 10**6), min_size=20, max_size=20),
)
def test_parts_never_overlap_and_none_goes_beyond_its_week(days: list[int], sizes: list[int]) -> None:
    parts: list[Part] = []

    for day, size in zip(days, sizes, strict=False):
        if any(part.holds(day * DAY_US) for part in parts):
            continue
        new = next_part(day, parts, most=1_000_000)
        parts.append(Part(new.name, new.begin, new.end, size))

        assert new.holds(day * DAY_US)
        first, last = (datetime.fromtimestamp(at / 1e6, UTC) for at in (new.begin, new.end - 1))
        assert first.isocalendar()[:2] == last.isocalendar()[:2]
    parts.sort(key=lambda part: part.begin)
    assert all(one.end <= following.begin for one, following in pairwise(parts))
    assert len({part.name for part in parts}) == len(parts)


def test_a_week_that_is_read_is_no_reason_to_set_records_aside(postgresql: str) -> None:
    hasty = Timeouts(lock=timedelta(milliseconds=200))
    with closing(PostgresqlArchive(postgresql, size=10**9, timeouts=hasty)) as archive:
        archive.put([kept("old", at=NOON - 200 * DAY), kept("new")])
        with psycopg.connect(postgresql) as reader:
            reader.execute("SELECT * FROM archive.records")

            with pytest.raises(StoreUnavailable, match="lock timeout"):
                archive.trim(now=NOON, keep=90 * DAY)

        assert len(archive.trim(now=NOON, keep=90 * DAY)) == 1


def test_a_table_that_is_not_ours_is_a_reason_to_wait(postgresql: str, archive: PostgresqlArchive) -> None:
    archive.put([kept("a")])
    with psycopg.connect(postgresql) as by_hand:
        by_hand.execute("ALTER TABLE archive.records RENAME COLUMN url TO address")

    with pytest.raises(StoreUnavailable, match="url"):
        archive.put([kept("b")])


def test_an_archive_that_was_dropped_by_hand_is_made_again(postgresql: str, archive: PostgresqlArchive) -> None:
    archive.put([kept("a")])
    with psycopg.connect(postgresql) as by_hand:
        by_hand.execute("DROP SCHEMA archive CASCADE")

    archive.put([kept("b")])

    assert [row.id for row in archive.latest(ARTICLES, limit=9)] == ["b"]


def test_one_damaged_value_hides_no_other(postgresql: str, archive: PostgresqlArchive) -> None:
    archive.put([kept("a"), kept("b")])
    with psycopg.connect(postgresql) as by_hand:
        by_hand.execute(r"UPDATE archive.records SET value = '\x00' WHERE id = 'a'")

    assert [row.id for row in archive.latest(ARTICLES, limit=9)] == ["b"]
