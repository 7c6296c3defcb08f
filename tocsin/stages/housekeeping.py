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
from tocsin.errors import StoreUnavailable
from tocsin.store.dead_letters import surplus
from tocsin.stream.dead_letters import DIED, show
from tocsin.stream.port import TOPICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from tocsin.clock import Clock
    from tocsin.records import DeadLetter
    from tocsin.store.port import Archive, Store
    from tocsin.store.tx import Tx

log = structlog.get_logger()

EVERY_S: Final = 60.0
STREAM_KEPT: Final = timedelta(days=3)  # also how long a record id is known, so that nothing doubles
TRIMMED_AT_ONCE: Final = 5_000
CHANCES_AT_ONCE: Final = 20


async def keep_house(
    *,
    store: Store,
    archive: Archive,
    clock: Clock,
    keep: Callable[[], timedelta],
    readers: Mapping[str, Sequence[str]],
) -> None:
    """Trim archive and stream for ever, a little at a time.

    *keep* says how long the archive remembers; *readers* are the groups of each topic, none of which loses a record
    that it has not passed. What cannot be trimmed now keeps nothing else from being trimmed.
    """
    settled = False
    while True:
        # The archive first: on a full disk nothing but its files can make room for the store to delete.
        await _trim_archive(archive, now=clock.now(), keep=keep())
        try:
            await _trim_stream(store, clock, readers)
            before = clock.now() - keep()
            if settled and await store.read(partial(_is_anybody_blamed, now=clock.now())):
                await store.write(partial(_give_second_chances, now=clock.now()))
            settled = True
            await _shed_letters(store, clock)
            for forget in (_forget_letters, _forget_articles, _forget_incidents, _forget_deliveries, _forget_audit):
                while await store.write(partial(forget, before=before)):
                    await clock.sleep(0)
            for (group, topic), behind in (await store.read(lambda tx: tx.topics.lag())).items():
                metrics.LAG.labels(group=group, topic=topic).set(behind)
        except StoreUnavailable as error:
            log.warning("store not trimmed", reason=str(error))
        await clock.sleep(EVERY_S)


async def _trim_archive(archive: Archive, *, now: datetime, keep: timedelta) -> None:
    try:
        dropped = await asyncio.to_thread(archive.trim, now=now, keep=keep)
        sizes = await asyncio.to_thread(archive.sizes)
    except OSError as error:
        log.warning("archive not trimmed", reason=str(error))
        return
    if dropped:
        log.info("archive trimmed", files=dropped)
    metrics.STORE_BYTES.labels(part="archive").set(sum(sizes.values()))


async def _trim_stream(store: Store, clock: Clock, readers: Mapping[str, Sequence[str]]) -> None:
    for topic, groups in readers.items():
        trim = partial(_trim, topic=topic, groups=groups, now=clock.now())
        while await store.write(trim) == TRIMMED_AT_ONCE:
            await clock.sleep(0)


def _trim(tx: Tx, *, topic: str, groups: Sequence[str], now: datetime) -> int:
    return tx.topics.trim(topic, groups=groups, now=now, keep=STREAM_KEPT, most=TRIMMED_AT_ONCE)


async def _shed_letters(store: Store, clock: Clock) -> None:
    """Keep a flood of poison from filling the store: the oldest dead letters of the largest heaps go."""
    for stage, count in surplus(await store.read(lambda tx: tx.dead_letters.heaps())).items():
        gone = 0
        while gone < count:
            step = partial(_shed, stage=stage, most=min(TRIMMED_AT_ONCE, count - gone))
            some = await store.write(step)
            if not some:
                break
            gone += some
            await clock.sleep(0)
        metrics.DEAD_LETTERS_SHED.labels(stage=stage).inc(gone)
        log.error("dead letters shed", stage=stage, count=gone)
    show(*await store.read(lambda tx: (tx.dead_letters.heaps(), tx.replays.waiting())))


def _give_second_chances(tx: Tx, *, now: datetime) -> None:
    """Take up once more, by itself, what was set aside only because the process died: it may not have been to blame.

    Somebody may have pulled the plug several times. Called when this process has lived for a while; what kills it in
    earnest does so once more and is set aside for good (`tocsin.replays`).
    """
    for letter in _blamed(tx, now=now):
        if letter.value and len(letter.value) == letter.size and tx.replays.add(letter, now=now):
            tx.dead_letters.remove(letter.id)
            log.warning("record taken up once more", stage=letter.stage, topic=letter.topic, record=letter.record_id)


def _is_anybody_blamed(tx: Tx, *, now: datetime) -> bool:
    return bool(_blamed(tx, now=now))


def _blamed(tx: Tx, *, now: datetime) -> Sequence[DeadLetter]:
    """Return whom to give one. Looked for outside the writer: where much was set aside that takes a while."""
    before = now - timedelta(seconds=EVERY_S)
    return tx.dead_letters.blamed_once(DIED, topics=TOPICS, before=before, limit=CHANCES_AT_ONCE)


def _shed(tx: Tx, *, stage: str, most: int) -> int:
    return tx.dead_letters.shed(stage, most=most)


def _forget_letters(tx: Tx, *, before: datetime) -> int:
    most = TRIMMED_AT_ONCE
    return tx.dead_letters.forget(before=before, most=most) + tx.replays.forget(before=before, most=most)


def _forget_articles(tx: Tx, *, before: datetime) -> int:
    return tx.ingest.trim(before=before, most=TRIMMED_AT_ONCE)


def _forget_incidents(tx: Tx, *, before: datetime) -> int:
    return tx.incidents.trim(before, most=TRIMMED_AT_ONCE)


def _forget_deliveries(tx: Tx, *, before: datetime) -> int:
    return tx.notifier.prune(before, most=TRIMMED_AT_ONCE)


def _forget_audit(tx: Tx, *, before: datetime) -> int:
    return tx.access.forget_audit(before=before, most=TRIMMED_AT_ONCE)
