"""What both archives promise."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.store.archived import kept
from tocsin.store.archive import FileArchive, Kept
from tocsin.store.archive_postgresql import PostgresqlArchive
from tocsin.stream.port import ALERTS, ARTICLES
from tocsin.testing import DAY, NOON

Either = FileArchive | PostgresqlArchive
OpenArchive = Callable[[int], Either]


@pytest.fixture(params=["files", "postgresql"])
def open_archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenArchive]:
    """Return what opens the archive with an allowed size; a second call finds what the first one left."""
    with ExitStack() as opened:

        def open_it(size: int) -> Either:
            if request.param == "files":
                return opened.enter_context(closing(FileArchive(tmp_path, size=size)))
            dsn = request.getfixturevalue("postgresql")
            return opened.enter_context(closing(PostgresqlArchive(dsn, size=size)))

        yield open_it


@pytest.fixture
def archive(open_archive: OpenArchive) -> Either:
    return open_archive(10**9)


def names(found: list[Kept]) -> list[str]:
    return [row.id for row in found]


def test_what_was_kept_is_found_by_key_url_and_words(archive: Either) -> None:
    archive.put([kept("a", title="Drei Tote in Narva", url="https://n.example/a"), kept("b", title="Fußball")])

    assert names(archive.by_key(ARTICLES, "a")) == ["a"]
    assert names(archive.by_url(ARTICLES, "https://n.example/a")) == ["a"]
    assert names(archive.search(ARTICLES, "narva tote")) == ["a"]
    assert archive.search(ARTICLES, "narva fußball") == []
    assert archive.search(ARTICLES, '"" OR *') == []


def test_what_was_kept_comes_back_as_it_was(open_archive: OpenArchive) -> None:
    value = os.urandom(100_000)
    open_archive(10**9).put([kept("a", at=NOON + DAY, key="k", url="https://n.example/ä", title="t", value=value)])

    found = open_archive(10**9).latest(ARTICLES, limit=9)

    assert found == [kept("a", at=NOON + DAY, key="k", url="https://n.example/ä", value=value)]


def test_an_archive_that_holds_nothing_finds_nothing(archive: Either) -> None:
    archive.put([])

    assert archive.sizes() == {}
    assert archive.latest(ARTICLES, limit=9) == []
    assert archive.by_key(ARTICLES, "a") == []
    assert archive.by_url(ARTICLES, "") == []
    assert archive.search(ARTICLES, "narva") == []
    assert archive.trim(now=NOON, keep=90 * DAY) == []


def test_keeping_twice_keeps_the_first(archive: Either) -> None:
    for value in (b"first", b"second"):
        archive.put([kept("a", title="Narva", value=value)])

    assert [row.value for row in archive.search(ARTICLES, "narva")] == [b"first"]


def test_what_comes_twice_in_one_batch_is_kept_once(archive: Either) -> None:
    archive.put([kept("a", title="Narva"), kept("b"), kept("a", title="Narva")])

    assert names(archive.search(ARTICLES, "narva")) == ["a"]
    assert names(archive.latest(ARTICLES, limit=9)) == ["b", "a"]


def test_kinds_do_not_mix(archive: Either) -> None:
    other = Kept(kind=ALERTS, id="a", key="a", seen_at=NOON, url="https://n.example/a", title="Narva")
    archive.put([other, kept("a", title="Narva", url="https://n.example/a")])

    for kind in (ARTICLES, ALERTS):
        found = [*archive.latest(kind, limit=9), *archive.by_key(kind, "a"), *archive.search(kind, "narva")]
        found += archive.by_url(kind, "https://n.example/a")
        assert [row.kind for row in found] == [kind] * 4


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("Evacuación en Málaga", "malaga"),
        ("Evacuacion en Malaga", "málaga"),
        ("Взрыв в Нижний Новгород", "нижний"),
        ("انفجار في بيروت", "بيروت"),
        ("東京 地震", "地震"),
        ("„Narva“ – Tallinn…", "narva tallinn"),
        ("Haifa/Acre: A.B. says 24/7, narva.ee", "acre ee 7"),
        ("Ålesund's COVID-19_wave", "covid 19 wave"),
    ],
)
def test_words_are_found_however_they_are_written(archive: Either, title: str, words: str) -> None:
    archive.put([kept("plain", title="plain ascii"), kept("a", title=title), kept("none")])

    assert names(archive.search(ARTICLES, words)) == ["a"]


@pytest.mark.parametrize("hole", ["\0", "\ud800"], ids=["NUL", "half a surrogate"])
def test_characters_that_no_database_takes_stop_nothing(archive: Either, hole: str) -> None:
    torn = f"a{hole}b"
    archive.put([kept("whole", title="Narva"), kept(torn, title=f"Narva{hole} Tallinn", text=hole, url=torn)])

    assert len(archive.latest(ARTICLES, limit=9)) == 2
    assert len(archive.search(ARTICLES, f"tallinn {hole}")) == 1
    assert len(archive.by_key(ARTICLES, torn)) == 1
    assert len(archive.by_url(ARTICLES, torn)) == 1


def test_what_has_no_url_is_found_by_none(archive: Either) -> None:
    archive.put([kept("a"), kept("b", url="https://n.example/b")])

    assert archive.by_url(ARTICLES, "") == []


def test_search_goes_from_the_newest_back(archive: Either) -> None:
    archive.put([kept("old", at=NOON - 40 * DAY, title="Narva"), kept("new", title="Narva")])

    assert names(archive.search(ARTICLES, "narva")) == ["new", "old"]
    assert names(archive.search(ARTICLES, "narva", limit=1)) == ["new"]


def test_all_of_a_key_are_shown_from_the_newest_back(archive: Either) -> None:
    archive.put([kept(name, key="k", at=NOON - age * DAY) for name, age in (("b", 3), ("a", 0), ("c", 50))])

    assert names(archive.by_key(ARTICLES, "k")) == ["a", "b", "c"]


def test_pages_follow_one_another_without_gap_or_repetition(archive: Either) -> None:
    archive.put([kept(f"{n:02}", at=NOON - (n // 3) * 20 * DAY) for n in range(12)])

    pages, before = [], None
    while page := archive.latest(ARTICLES, limit=5, before=before):
        pages.append(names(page))
        before = (page[-1].seen_at, page[-1].id)

    seen = [name for page in pages for name in page]
    assert [len(page) for page in pages] == [5, 5, 2]
    assert sorted(seen) == [f"{n:02}" for n in range(12)]


def test_what_ended_before_the_retention_is_dropped(archive: Either) -> None:
    archive.put([kept("old", at=NOON - 200 * DAY), kept("new")])
    before = archive.sizes()

    dropped = archive.trim(now=NOON, keep=90 * DAY)

    assert dropped == list(before)[:1]
    assert list(archive.sizes()) == list(before)[1:]
    assert names(archive.latest(ARTICLES, limit=9)) == ["new"]


def test_the_oldest_goes_first_when_all_is_too_large_and_the_newest_stays(open_archive: OpenArchive) -> None:
    archive = open_archive(6_500_000)
    for age in (80, 40, 0):
        archive.put([kept(f"{age} {n}", at=NOON - age * DAY, value=os.urandom(60_000)) for n in range(40)])
    archive.close()

    dropped = archive.trim(now=NOON, keep=90 * DAY)
    rest = open_archive(1).trim(now=NOON, keep=90 * DAY)

    assert (len(dropped), len(rest)) == (1, 1)
    assert archive.by_key(ARTICLES, "80 0") == []
    assert len(archive.latest(ARTICLES, limit=99)) == 40


def test_what_comes_after_a_trimming_by_somebody_else_is_kept(open_archive: OpenArchive) -> None:
    mine, theirs = open_archive(10**9), open_archive(10**9)
    mine.put([kept("old", at=NOON - 200 * DAY), kept("new")])
    theirs.trim(now=NOON, keep=90 * DAY)

    mine.put([kept("late", at=NOON - 200 * DAY)])

    assert names(mine.latest(ARTICLES, limit=9)) == ["new", "late"]
