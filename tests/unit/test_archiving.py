"""The archive's stage gathers what trickles in, and does not dawdle over what comes one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from typing_extensions import override

from tocsin.errors import RecordUnreadable
from tocsin.stages.archiving import archiving
from tocsin.store.archive import FileArchive, Kept
from tocsin.stream.codec import encode
from tocsin.stream.port import ARTICLES, StreamRecord
from tocsin.testing import a_transaction, an_article

LONG_S = 60.0
SOON_S = 5.0


def some_records(count: int) -> list[StreamRecord]:
    articles = [an_article(id=f"a{number}") for number in range(count)]
    return [
        StreamRecord(topic=ARTICLES, partition=0, offset=number, key=one.id, id=one.id, value=encode(one))
        for number, one in enumerate(articles)
    ]


async def test_a_record_that_comes_alone_is_kept_at_once(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path, size=10**9)

    async with asyncio.timeout(SOON_S):
        await archiving(archive, gather_s=LONG_S)(some_records(1))

    assert [kept.id for kept in archive.latest(ARTICLES, limit=10)] == ["a0"]
    archive.close()


async def test_a_few_records_wait_for_more(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path, size=10**9)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await archiving(archive, gather_s=LONG_S)(some_records(2))

    assert archive.latest(ARTICLES, limit=10) == []
    archive.close()


class Choosy(FileArchive):
    """An archive whose database refuses some records for good."""

    @override
    def put(self, kept: Sequence[Kept]) -> None:
        refused = sorted({one.id for one in kept} & {"a2", "a6"})
        if refused:
            raise RecordUnreadable(f"archive: {refused[0]} is too long")
        super().put(kept)


async def test_what_the_archive_refuses_is_set_aside_alone(tmp_path: Path) -> None:
    with closing(Choosy(tmp_path, size=10**9)) as archive, a_transaction() as tx:
        units = await archiving(archive)(some_records(9))

        assert [kept.id for kept in archive.latest(ARTICLES, limit=10)] == ["a8", "a7", "a5", "a4", "a3", "a1", "a0"]
        for number, unit in enumerate(units):
            with nullcontext() if number not in {2, 6} else pytest.raises(RecordUnreadable, match=f"a{number}"):
                unit(tx)
