"""Forgets what is no longer needed, and counts what is left.

The stream forgets after days; what rooms remember (articles, ended incidents, settled deliveries, the audit) goes
with the archive, so that `tocsin why` and the archive know the same. While the store's quota runs short both are
shorter (`tocsin.stages.horizon`).
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import structlog

from bursts.series import quarter_of
from tocsin import metrics
from tocsin.errors import Fenced, TryLater
from tocsin.stages.horizon import Horizon
from tocsin.store.dead_letters import surplus
from tocsin.stream.dead_letters import DIED, show
from tocsin.stream.port import TOPICS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from tocsin.clock import Clock
    from tocsin.records import DeadLetter
    from tocsin.store.port import Archive, Store
    from tocsin.store.tx import Tx

log = structlog.get_logger()

EVERY_S: Final = 60.0
STREAM_KEPT: Final = timedelta(days=3)  # also how long a record id is known at least, so that nothing doubles
STREAM_AT_LEAST: Final = timedelta(hours=1)  # however short the horizon: so long a look at what passes should reach
ARTICLES_AT_LEAST: Final = timedelta(days=2)  # feeds drop an article and show it again; what they show is kept anyhow
TRIMMED_AT_ONCE: Final = 5_000
CHANCES_AT_ONCE: Final = 20
SPARE: Final = timedelta(days=1)  # brokers drop whole segments, some time after the retention
COUNTS_KEPT: Final = timedelta(days=100)  # beyond all else, when nothing comes: longer than any history that may be set
PARTS_AT_ONCE: Final = 30  # of a hundred feeds each: 10,000 are gone through in four minutes


async def keep_house(
    *,
    store: Store,
    archive: Archive,
    clock: Clock,
    keep: Callable[[], timedelta],
    readers: Mapping[str, Sequence[str]],
    known: Callable[[], timedelta] = lambda: STREAM_KEPT,
    incidents_live: Callable[[], timedelta] = lambda: timedelta(days=16),
    quota_used: Callable[[], float] = lambda: 0.0,
) -> None:
    """Trim archive and stream for ever, a little at a time.

    *keep* says how long the archive remembers, *known* how long the stream does, or where that is a broker the ids of
    its records; *readers* are the groups of each topic, none of which loses a record that it has not passed. What
    cannot be done now keeps nothing else from being done.

    When *quota_used*, a share, nears the whole, less is remembered for as long as that lasts: of the stream nothing
    that a group has not passed, of articles nothing that a feed still shows, and of incidents and what was told of
    them nothing within *incidents_live*. The archive's files and the dead letters have limits of their own.
    """
    settled = False
    old_articles = _OldArticles(store, clock)
    horizon = Horizon()
    while True:
        now, before = clock.now(), clock.now() - keep()
        horizon.look(quota_used(), now=now, rounds=old_articles.rounds)
        # The archive first: on a full disk nothing but its files can make room for the store to delete.
        await _try("archive", _trim_archive(archive, now=now, keep=keep()))
        await _try("stream", _trim_stream(store, clock, readers, keep=horizon.of(known(), least=STREAM_AT_LEAST)))
        if settled:
            await _try("second chances", _second_chances(store, now=now))
        settled = True
        await _try("dead letters shed", _shed_letters(store, clock))
        await _try("articles", old_articles.forget(before=now - horizon.of(keep(), least=ARTICLES_AT_LEAST)))
        for what, forget in _FORGOTTEN_SOONER.items():
            sooner = now - horizon.of(keep(), least=incidents_live())
            await _try(what, _forget(store, clock, partial(forget, before=sooner)))
        for what, forget in _FORGOTTEN.items():
            await _try(what, _forget(store, clock, partial(forget, before=before)))
        await _try("groups", store.write(lambda tx: tx.topics.expect(readers)))
        await _try("lag", _show_lag(store))
        await clock.sleep(EVERY_S)


def ids_known(topics_keep: timedelta | None) -> timedelta:
    """Return how long to know the ids of records, where brokers keep them for *topics_keep* and may bring one again."""
    return STREAM_KEPT if topics_keep is None else max(STREAM_KEPT, topics_keep + SPARE)


async def _try(what: str, step: Awaitable[None]) -> None:
    try:
        await step
    except Fenced:
        raise  # then somebody else keeps house
    except (OSError, TryLater) as error:
        log.warning("house not kept", what=what, reason=str(error))


async def _trim_archive(archive: Archive, *, now: datetime, keep: timedelta) -> None:
    dropped = await asyncio.to_thread(archive.trim, now=now, keep=keep)
    if dropped:
        log.info("archive trimmed", files=dropped)
    sizes = await asyncio.to_thread(archive.sizes)
    metrics.STORE_BYTES.labels(part="archive").set(sum(sizes.values()))


async def _trim_stream(store: Store, clock: Clock, readers: Mapping[str, Sequence[str]], *, keep: timedelta) -> None:
    for topic, groups in readers.items():
        trim = partial(_trim, topic=topic, groups=groups, now=clock.now(), keep=keep)
        while await store.write(trim) == TRIMMED_AT_ONCE:
            await clock.sleep(0)


def _trim(tx: Tx, *, topic: str, groups: Sequence[str], now: datetime, keep: timedelta) -> int:
    return tx.topics.trim(topic, groups=groups, now=now, keep=keep, most=TRIMMED_AT_ONCE)


class _OldArticles:
    """Goes through the feeds, a part at a time, and forgets their old articles: all at once would stop the writer."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._after = ""
        self.rounds = 0  # how often all feeds were looked at

    async def forget(self, *, before: datetime) -> None:
        """Look at the next feeds, and begin anew once all have been looked at."""
        for _ in range(PARTS_AT_ONCE):
            after = await self._store.write(partial(_forget_articles, before=before, after=self._after))
            self._after = after or ""
            if after is None:
                self.rounds += 1
                return
            await self._clock.sleep(0)


async def _forget(store: Store, clock: Clock, forget: Callable[[Tx], int]) -> None:
    while await store.write(forget):
        await clock.sleep(0)


async def _show_lag(store: Store) -> None:
    for (group, topic), behind in (await store.read(lambda tx: tx.topics.lag())).items():
        metrics.LAG.labels(group=group, topic=topic).set(behind)


async def _second_chances(store: Store, *, now: datetime) -> None:
    if await store.read(partial(_is_anybody_blamed, now=now)):
        await store.write(partial(_give_second_chances, now=now))


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
            where = {"stage": letter.stage, "topic": letter.topic, "record": letter.record_id}
            tx.after(partial(log.warning, "record taken up once more", **where))


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


def _forget_articles(tx: Tx, *, before: datetime, after: str) -> str | None:
    return tx.ingest.trim(before=before, after=after, most=TRIMMED_AT_ONCE)


def _forget_incidents(tx: Tx, *, before: datetime) -> int:
    return tx.incidents.trim(before, most=TRIMMED_AT_ONCE)


def _forget_deliveries(tx: Tx, *, before: datetime) -> int:
    return tx.notifier.prune(before, most=TRIMMED_AT_ONCE)


def _forget_audit(tx: Tx, *, before: datetime) -> int:
    return tx.access.forget_audit(before=before, most=TRIMMED_AT_ONCE)


def _forget_counts(tx: Tx, *, before: datetime) -> int:
    quarter = quarter_of(before - COUNTS_KEPT)
    return tx.bursts.trim(before=before, quarter=quarter, most=TRIMMED_AT_ONCE)


_FORGOTTEN: Final = MappingProxyType(
    {"dead letters": _forget_letters, "audit": _forget_audit, "bursts": _forget_counts}
)
_FORGOTTEN_SOONER: Final = MappingProxyType({"incidents": _forget_incidents, "deliveries": _forget_deliveries})
