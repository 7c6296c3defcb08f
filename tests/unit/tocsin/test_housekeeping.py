from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from tocsin.errors import StoreFull
from tocsin.metrics import REGISTRY
from tocsin.records import DeadLetter
from tocsin.stages import housekeeping
from tocsin.stages.housekeeping import EVERY_S, keep_house
from tocsin.store.archive import FileArchive, Kept
from tocsin.store.dead_letters import surplus
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


class Unwritable(FileArchive):
    """An archive whose files cannot be removed."""

    @override
    def trim(self, *, now: Any, keep: timedelta) -> list[str]:
        raise PermissionError("archive-2020-01.001.db")


async def kept_house(
    store: Store, archive: FileArchive, *, readers: Mapping[str, Sequence[str]] = MappingProxyType({ARTICLES: ("g",)})
) -> None:
    """Keep house for a few rounds."""
    clock = FakeClock()
    keeping = asyncio.ensure_future(
        keep_house(store=store, archive=archive, clock=clock, keep=lambda: 90 * DAY, readers=readers)
    )
    for _ in range(3):
        await asyncio.sleep(0.2)
        assert not keeping.done()
        await clock.move(timedelta(seconds=EVERY_S))
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_the_archive_is_trimmed_though_the_store_can_write_nothing(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path, size=10**9)
    for age in (200 * DAY, 0 * DAY):
        archive.put([Kept(kind=ARTICLES, id=str(age), key="a", seen_at=NOON - age)])

    await kept_house(FullDisk(tmp_path / "tocsin.db"), archive)

    assert list(archive.sizes()) == [f"archive-{NOON:%Y-%m}.001.db"]


async def test_the_stream_is_trimmed_though_the_archive_cannot_be(tmp_path: Path) -> None:
    def fill(tx: Tx) -> None:
        tx.topics.append(ARTICLES, key="a", record_id="a", value=b"", at=NOON - 4 * DAY)
        tx.advance("g", ARTICLES, 0, expect=0, to=1_000)

    async with a_store(tmp_path) as store:
        await store.write(fill)

        await kept_house(store, Unwritable(tmp_path, size=10**9))

        assert await store.read(lambda tx: tx.topics.fetch(ARTICLES, start=0, most=9)) == []


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
