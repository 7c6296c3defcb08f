"""The archive's stage gathers what trickles in, and does not dawdle over what comes one by one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tocsin.stages.archiving import archiving
from tocsin.store.archive import FileArchive
from tocsin.stream.codec import encode
from tocsin.stream.port import ARTICLES, StreamRecord
from tocsin.testing import an_article

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
