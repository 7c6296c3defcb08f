from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from typing_extensions import override

from tocsin.errors import Fenced, StoreFull, StoreUnavailable
from tocsin.metrics import REGISTRY
from tocsin.records import DeadLetter
from tocsin.stages import housekeeping
from tocsin.stages.housekeeping import EVERY_S, STREAM_KEPT, ids_known, keep_house
from tocsin.store.archive import FileArchive, Kept
from tocsin.store.dead_letters import surplus
from tocsin.store.incidents import Judged
from tocsin.store.ingest import IngestRepository
from tocsin.store.ingest_tables import ArticleRow, FeedSetting
from tocsin.store.sqlite import SqliteStore
from tocsin.stream.port import ARTICLES, DEAD_LETTERS
from tocsin.testing import DAY, NOON, FakeClock, a_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tocsin.store.port import Store
    from tocsin.store.tx import Tx


class FullDisk(SqliteStore):
    """A store that can write nothing, not even a deletion."""

    @override
    async def write(self, unit: Callable[[Tx], Any]) -> Any:
        raise StoreFull("database or disk is full")


class Lost(SqliteStore):
    """A store whose lease somebody else has taken."""

    @override
    async def write(self, unit: Callable[[Tx], Any]) -> Any:
        raise Fenced("the lease 'housekeeping' is lost")


class Unwritable(FileArchive):
    """An archive of which nothing can be removed."""

    def __init__(self, folder: Path, *, reason: Exception) -> None:
        super().__init__(folder, size=10**9)
        self.reason = reason

    @override
    def trim(self, *, now: Any, keep: timedelta) -> list[str]:
        raise self.reason


def a_feed(name: str) -> FeedSetting:
    return FeedSetting(
        id=name,
        url=f"https://{name}.example/feed",
        host=f"{name}.example:443",
        origin="file",
        owner=name,
        tier="wire",
        language=None,
        country=None,
        weight=1.0,
        verified=False,
        paused=False,
    )


def an_old_article(feed: str) -> ArticleRow:
    return ArticleRow(
        id=f"article of {feed}",
        feed=feed,
        guid=None,
        url_key=None,
        content="",
        previous=None,
        revision="",
        revisions=1,
        url="",
        title="",
        published_at=None,
        seen_at=NOON - 100 * DAY,
        changed_at=NOON - 100 * DAY,
        backfill=False,
    )


async def kept_house(
    store: Store,
    archive: FileArchive,
    *,
    readers: Mapping[str, Sequence[str]] = MappingProxyType({ARTICLES: ("g",)}),
    known: timedelta = STREAM_KEPT,
    quota_used: Callable[[], float] = lambda: 0.0,
    rounds: int = 3,
) -> None:
    """Keep house for a few rounds."""
    clock = FakeClock()
    keeping = asyncio.ensure_future(
        keep_house(
            store=store,
            archive=archive,
            clock=clock,
            keep=lambda: 90 * DAY,
            readers=readers,
            known=lambda: known,
            quota_used=quota_used,
        )
    )
    for _ in range(rounds):
        await asyncio.sleep(0.2)
        assert not keeping.done()
        await clock.move(timedelta(seconds=EVERY_S))
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_the_archive_is_trimmed_though_the_store_can_write_nothing(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path, size=10**9)
    for age in (200 * DAY, 0 * DAY):
        archive.put([Kept(kind=ARTICLES, id=str(age), key="a", seen_at=NOON - age)])

    async with a_store(tmp_path):
        await kept_house(FullDisk(tmp_path / "tocsin.db"), archive)

    assert list(archive.sizes()) == [f"archive-{NOON:%Y-%m}.001.db"]


@pytest.mark.parametrize("reason", [PermissionError("archive-2020-01.001.db"), StoreUnavailable("lock timeout")])
async def test_the_stream_is_trimmed_though_the_archive_cannot_be(tmp_path: Path, reason: Exception) -> None:
    def fill(tx: Tx) -> None:
        tx.topics.append(ARTICLES, key="a", record_id="a", value=b"", at=NOON - 4 * DAY)
        tx.advance("g", ARTICLES, 0, expect=0, to=1_000)

    async with a_store(tmp_path) as store:
        await store.write(fill)

        await kept_house(store, Unwritable(tmp_path, reason=reason))

        assert await store.read(lambda tx: tx.topics.fetch(ARTICLES, start=0, most=9)) == []


async def test_a_record_is_kept_for_as_long_as_it_must_be_known(tmp_path: Path) -> None:
    def fill(tx: Tx) -> None:
        for age in (9, 7):
            tx.topics.append(ARTICLES, key="a", record_id=str(age), value=b"", at=NOON - age * DAY)
        tx.advance("g", ARTICLES, 0, expect=0, to=1_000)

    async with a_store(tmp_path) as store:
        await store.write(fill)

        await kept_house(store, FileArchive(tmp_path / "archive", size=10**9), known=ids_known(7 * DAY))

        assert [row.id for row in await store.read(lambda tx: tx.topics.fetch(ARTICLES, start=0, most=9))] == ["7"]


async def test_a_group_that_never_began_shows_the_whole_topic_as_its_lag(tmp_path: Path) -> None:
    def fill(tx: Tx) -> None:
        for name in "abc":
            tx.emit(ARTICLES, key=name, record_id=name, value=b"")

    async with a_store(tmp_path) as store:
        await store.write(fill)

        await kept_house(store, FileArchive(tmp_path / "archive", size=10**9), readers={ARTICLES: ("never begun",)})

        await store.write(lambda tx: tx.advance("never begun", ARTICLES, 0, expect=0, to=2))

    where = {"group": "never begun", "topic": ARTICLES}
    assert REGISTRY.get_sample_value("tocsin_consumer_lag_records", where) == 3


def test_ids_are_known_for_longer_than_brokers_keep_the_records() -> None:
    assert [ids_known(keep) for keep in (None, 3 * DAY, 30 * DAY)] == [3 * DAY, 4 * DAY, 31 * DAY]


async def test_what_cannot_be_forgotten_now_keeps_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_slow(*_: object, **__: object) -> None:
        raise StoreUnavailable("canceling statement due to statement timeout")

    old = Judged(article="a", revision="r", readings=(), seen_at=NOON - 100 * DAY, verdict="")
    monkeypatch.setattr(IngestRepository, "trim", too_slow)
    async with a_store(tmp_path) as store:
        await store.write(lambda tx: tx.incidents.note_judged(old))

        await kept_house(store, FileArchive(tmp_path / "archive", size=10**9))

        assert await store.read(lambda tx: tx.incidents.judged("a")) is None


async def test_whoever_lost_the_house_keeps_it_no_more(tmp_path: Path) -> None:
    store, archive = Lost(tmp_path / "tocsin.db"), FileArchive(tmp_path / "archive", size=10**9)

    with pytest.raises(Fenced):
        await keep_house(store=store, archive=archive, clock=FakeClock(), keep=lambda: 90 * DAY, readers={ARTICLES: ()})


async def test_old_articles_are_forgotten_a_few_feeds_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "PARTS_AT_ONCE", 1)
    feeds = [a_feed(f"feed{number:03}") for number in range(250)]
    left = []

    def fill(tx: Tx) -> None:
        tx.ingest.sync(feeds, {feed.id: NOON for feed in feeds})
        tx.ingest.add_articles([an_old_article(feed.id) for feed in feeds])

    async with a_store(tmp_path) as store:
        await store.write(fill)
        forgetting = housekeeping._OldArticles(store, FakeClock())
        for _ in range(4):
            await forgetting.forget(before=NOON - 90 * DAY)
            left.append(await store.read(lambda tx: tx.ingest.count_articles()))

    assert left == [150, 50, 0, 0]


async def test_a_store_that_is_full_before_anything_is_old_forgets_sooner_and_takes_articles_again(
    tmp_path: Path,
) -> None:
    def fill(tx: Tx) -> None:
        for hours in range(48, 0, -1):
            at = NOON - timedelta(hours=hours)
            tx.topics.append(ARTICLES, key="a", record_id=str(hours), value=os.urandom(72_000), at=at)

    def read_all_but(tx: Tx, last: str) -> None:
        unread = next(row for row in tx.topics.fetch(ARTICLES, start=0, most=99) if row.id == last)
        tx.advance("g", ARTICLES, 0, expect=0, to=unread.position)

    async with a_store(tmp_path, quota_bytes=4_000_000) as store:
        archive = FileArchive(tmp_path / "archive", size=10**9)
        await store.write(fill)
        with pytest.raises(StoreFull):
            await store.write(lambda tx: tx.require_room())
        await kept_house(store, archive, quota_used=lambda: store.quota_used)
        kept = len(await store.read(lambda tx: tx.topics.fetch(ARTICLES, start=0, most=99)))

        await store.write(partial(read_all_but, last="40"))
        with capture_logs() as lines:
            await kept_house(store, archive, quota_used=lambda: store.quota_used, rounds=12)

        await store.write(lambda tx: tx.require_room())
        left = [int(row.id) for row in await store.read(lambda tx: tx.topics.fetch(ARTICLES, start=0, most=99))]
        assert kept == 48
        assert max(left) == 40
        assert store.quota_used < 0.9
        assert [line["event"] for line in lines][:1] == ["horizon shortened"]


async def test_a_flood_of_dead_letters_is_shed_counted_and_the_stream_of_them_trimmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "surplus", partial(surplus, most=30))

    def flood(tx: Tx) -> None:
        for stage, count in (("flooded", 90), ("quiet", 3), ("old", 1)):
            for number in range(count):
                at = NOON - (100 * DAY if stage == "old" else DAY)
                letter = DeadLetter(
                    id=f"{stage} {number}", stage=stage, topic=ARTICLES, record_id="r", reason="", value=b"", at=at
                )
                tx.dead_letters.add(letter)
        tx.topics.append(DEAD_LETTERS, key="a", record_id="a", value=b"", at=NOON - 4 * DAY)

    async with a_store(tmp_path) as store:
        await store.write(flood)
        before = REGISTRY.get_sample_value("tocsin_dead_letters_shed_total", {"stage": "flooded"}) or 0

        await kept_house(store, FileArchive(tmp_path / "archive", size=10**9), readers={DEAD_LETTERS: ()})

        heaps = await store.read(lambda tx: tx.dead_letters.heaps())
        told = await store.read(lambda tx: tx.topics.fetch(DEAD_LETTERS, start=0, most=9))

    assert {heap.stage: heap.count for heap in heaps} == {"flooded": 26, "quiet": 3}
    assert told == []
    assert REGISTRY.get_sample_value("tocsin_dead_letters_shed_total", {"stage": "flooded"}) == before + 64
    assert REGISTRY.get_sample_value("tocsin_dead_letters_kept", {"stage": "flooded"}) == 26
    assert REGISTRY.get_sample_value("tocsin_dead_letters_kept", {"stage": "old"}) == 0
