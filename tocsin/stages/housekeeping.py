"""Forgets what is no longer needed, and counts what is left.

The stream forgets after days; what rooms remember (articles, ended incidents, settled deliveries, the audit) goes
with the archive, so that `tocsin why` and the archive know the same.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from tocsin import metrics
from tocsin.stream.port import TOPICS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tocsin.clock import Clock
    from tocsin.store.archive import Archive
    from tocsin.store.port import Store
    from tocsin.store.tx import Tx

log = structlog.get_logger()

EVERY_S: Final = 60.0
STREAM_KEPT: Final = timedelta(days=3)  # also how long a record id is known, so that nothing doubles
TRIMMED_AT_ONCE: Final = 5_000


async def keep_house(*, store: Store, archive: Archive, clock: Clock, keep: Callable[[], timedelta]) -> None:
    """Trim stream and archive for ever, a little at a time; *keep* says how long the archive remembers."""
    while True:
        before = clock.now() - STREAM_KEPT
        for topic in TOPICS:
            while await store.write(partial(_trim, topic=topic, before=before)) == TRIMMED_AT_ONCE:
                await clock.sleep(0)
        remembered = clock.now() - keep()
        for forget in (_forget_articles, _forget_incidents, _forget_deliveries, _forget_audit):
            await store.write(partial(forget, before=remembered))
        dropped = await asyncio.to_thread(archive.trim, now=clock.now(), keep=keep())
        if dropped:
            log.info("archive trimmed", files=dropped)
        sizes = await asyncio.to_thread(archive.sizes)
        metrics.STORE_BYTES.labels(part="archive").set(sum(sizes.values()))
        for (group, topic), behind in (await store.read(lambda tx: tx.topics.lag())).items():
            metrics.LAG.labels(group=group, topic=topic).set(behind)
        await clock.sleep(EVERY_S)


def _trim(tx: Tx, *, topic: str, before: datetime) -> int:
    return tx.topics.trim(topic, before=before, most=TRIMMED_AT_ONCE)


def _forget_articles(tx: Tx, *, before: datetime) -> None:
    tx.ingest.trim(before=before, most=TRIMMED_AT_ONCE)


def _forget_incidents(tx: Tx, *, before: datetime) -> None:
    tx.incidents.trim(before)


def _forget_deliveries(tx: Tx, *, before: datetime) -> None:
    tx.notifier.prune(before)


def _forget_audit(tx: Tx, *, before: datetime) -> None:
    tx.access.forget_audit(before=before)
