"""All topics → the archive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tocsin.errors import RecordUnreadable
from tocsin.store.archive import Kept
from tocsin.stream.codec import alert_outline, article_outline, reading_outline
from tocsin.stream.port import ALERTS, ARTICLES, READINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.consumer import Unit, Work
    from tocsin.store.port import Archive
    from tocsin.store.tx import Tx
    from tocsin.stream.port import StreamRecord

GROUP: Final = "archive"
FEW: Final = 100
GATHER_S: Final = 0.5
OUTLINES: Final = {ARTICLES: article_outline, READINGS: reading_outline, ALERTS: alert_outline}


def archiving(archive: Archive, *, gather_s: float = 0.0) -> Work:
    """Return the stage's work for any topic: keep first, then let the cursor move, so that a crash only repeats.

    A small batch waits for *gather_s*, while more come for the next one: at 200 articles a second each would otherwise
    have a commit of its own, in the way of those that somebody waits for. A single record does not wait: after a death
    hundreds come one by one.
    """

    async def work(records: Sequence[StreamRecord]) -> Sequence[Unit]:
        if 1 < len(records) < FEW:
            await asyncio.sleep(gather_s)
        return await asyncio.to_thread(_keep, archive, records)

    return work


def _keep(archive: Archive, records: Sequence[StreamRecord]) -> Sequence[Unit]:
    read = [_read(record) for record in records]
    refused = iter(_put(archive, [one for one in read if isinstance(one, Kept)]))
    errors = [next(refused) if isinstance(one, Kept) else one for one in read]
    return [_nothing_more if error is None else _raising(error) for error in errors]


def _put(archive: Archive, kept: Sequence[Kept]) -> list[RecordUnreadable | None]:
    """Keep all that can be kept; return for each record why it cannot. One that is refused takes all others with it."""
    try:
        archive.put(kept)
    except RecordUnreadable as error:
        if len(kept) == 1:
            return [error]
        middle = len(kept) // 2
        return [*_put(archive, kept[:middle]), *_put(archive, kept[middle:])]
    return [None] * len(kept)


def _read(record: StreamRecord) -> Kept | RecordUnreadable:
    try:
        return _kept(record)
    except RecordUnreadable as error:
        return error


def _kept(record: StreamRecord) -> Kept:
    outline = OUTLINES.get(record.topic)
    if outline is None:
        raise RecordUnreadable(f"topic {record.topic!r} is not archived")
    told = outline(record.body)
    return Kept(
        kind=record.topic,
        id=record.id,
        key=record.key,
        seen_at=told.seen_at,
        url=told.url,
        title=told.title,
        text=told.text or told.summary,
        value=record.body,
    )


def _nothing_more(_tx: Tx) -> None:
    """Leave it at that: the record is in the archive, only the cursor is left to move."""


def _raising(error: RecordUnreadable) -> Unit:
    def unit(_tx: Tx) -> None:
        raise error

    return unit
