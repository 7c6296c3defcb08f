"""All topics → the archive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tocsin.consumer import Unit
from tocsin.errors import RecordUnreadable
from tocsin.store.archive import Kept
from tocsin.stream.codec import decode_alert, decode_article, decode_reading
from tocsin.stream.port import ALERTS, ARTICLES, READINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.consumer import Work
    from tocsin.store.port import Archive
    from tocsin.store.tx import Tx
    from tocsin.stream.port import StreamRecord

GROUP: Final = "archive"


def archiving(archive: Archive) -> Work:
    """Return the stage's work for any topic: keep first, then let the cursor move, so that a crash only repeats."""

    async def work(records: Sequence[StreamRecord]) -> Sequence[Unit]:
        kept, units = [], list[Unit]()
        for record in records:
            try:
                kept.append(_kept(record))
                units.append(_nothing_more)
            except RecordUnreadable as error:
                units.append(_raising(error))
        await asyncio.to_thread(archive.put, kept)
        return units

    return work


def _kept(record: StreamRecord) -> Kept:
    if record.topic == ARTICLES:
        article = decode_article(record.body)
        text = article.text or article.summary
        seen_at, url, title = article.seen_at, article.url, article.title
    elif record.topic == READINGS:
        mention = decode_reading(record.body).mention
        seen_at, url, title, text = mention.seen_at, mention.url, "", ""
    elif record.topic == ALERTS:
        alert = decode_alert(record.body)
        seen_at, url, title, text = alert.seen_at, "", alert.headline, ""
    else:
        raise RecordUnreadable(f"topic {record.topic!r} is not archived")
    return Kept(
        kind=record.topic,
        id=record.id,
        key=record.key,
        seen_at=seen_at,
        url=url,
        title=title,
        text=text,
        value=record.body,
    )


def _nothing_more(_tx: Tx) -> None:
    """Leave it at that: the record is in the archive, only the cursor is left to move."""


def _raising(error: RecordUnreadable) -> Unit:
    def unit(_tx: Tx) -> None:
        raise error

    return unit
