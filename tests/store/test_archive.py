from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from tocsin.store.archive import Archive, Kept
from tocsin.testing import DAY, NOON

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


def kept(
    name: str, *, at: datetime = NOON, title: str = "", text: str = "", url: str = "", value: bytes = b"v"
) -> Kept:
    return Kept(kind="articles.v1", id=name, key=name, seen_at=at, url=url, title=title, text=text, value=value)


def test_what_was_kept_is_found_by_key_url_and_words(tmp_path: Path) -> None:
    archive = Archive(tmp_path, size=10**9)
    archive.put([kept("a", title="Drei Tote in Narva", url="https://n.example/a"), kept("b", title="Fußball")])

    assert [row.id for row in archive.by_key("articles.v1", "a")] == ["a"]
    assert [row.id for row in archive.by_url("articles.v1", "https://n.example/a")] == ["a"]
    assert [row.id for row in archive.search("articles.v1", "narva tote")] == ["a"]
    assert archive.search("articles.v1", "narva fußball") == []
    assert archive.search("articles.v1", '"" OR *') == []


def test_keeping_twice_keeps_once(tmp_path: Path) -> None:
    archive = Archive(tmp_path, size=10**9)

    for _ in range(2):
        archive.put([kept("a", title="Narva")])

    assert len(archive.search("articles.v1", "narva")) == 1


def test_search_goes_from_the_newest_month_back(tmp_path: Path) -> None:
    archive = Archive(tmp_path, size=10**9)
    archive.put([kept("old", at=NOON - 40 * DAY, title="Narva"), kept("new", title="Narva")])

    assert [row.id for row in archive.search("articles.v1", "narva")] == ["new", "old"]
    assert [row.id for row in archive.search("articles.v1", "narva", limit=1)] == ["new"]


def test_pages_follow_one_another_without_gap_or_repetition(tmp_path: Path) -> None:
    archive = Archive(tmp_path, size=10**9)
    archive.put([kept(f"{n:02}", at=NOON - (n // 3) * 20 * DAY) for n in range(12)])

    pages, before = [], None
    while page := archive.latest("articles.v1", limit=5, before=before):
        pages.append([row.id for row in page])
        before = (page[-1].seen_at, page[-1].id)

    seen = [name for page in pages for name in page]
    assert [len(page) for page in pages] == [5, 5, 2]
    assert sorted(seen) == [f"{n:02}" for n in range(12)]


def test_months_that_ended_before_the_retention_are_dropped(tmp_path: Path) -> None:
    archive = Archive(tmp_path, size=10**9)
    archive.put([kept("old", at=NOON - 200 * DAY), kept("new")])

    dropped = archive.trim(now=NOON, keep=timedelta(days=90))

    assert len(dropped) == 1
    assert archive.by_key("articles.v1", "old") == []
    assert len(archive.by_key("articles.v1", "new")) == 1


def test_the_oldest_goes_first_when_the_archive_is_too_large(tmp_path: Path) -> None:
    archive = Archive(tmp_path, size=4_000_000)
    for n in range(120):
        archive.put([kept(str(n), value=os.urandom(60_000))])

    dropped = archive.trim(now=NOON, keep=timedelta(days=90))

    assert dropped
    assert sum(archive.sizes().values()) <= 4_000_000
    assert archive.by_key("articles.v1", "0") == []
    assert len(archive.by_key("articles.v1", "119")) == 1
