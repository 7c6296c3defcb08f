"""One reading at a time: what it is counted for, and whether that makes a burst or lets one grow.

Time is what readings carry. The same reading twice is as good as once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from tocsin import metrics
from tocsin.records import digest
from tocsin.store.bursts import EVERYTHING, BurstRow, CountedRow, Topic
from tocsin.stream.codec import encode
from tocsin.stream.port import READINGS

from .series import IN_A_DAY, Series, quarter_of
from .story import Fate, left_out, may_ring, story_of, topics_of
from .telling import source_of, title, to_bytes, told
from .verdict import LOOK_BACK, awake_days, judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tocsin.records import Reading
    from tocsin.store.tx import Tx

    from .settings import BurstsSettings
    from .verdict import Verdict

log = structlog.get_logger()

HOLD: Final = IN_A_DAY  # quarters without a hot window after which a burst is over
REMEMBERED_DAYS: Final = 2  # who was counted


def take_in(tx: Tx, reading: Reading, *, settings: BurstsSettings) -> tuple[Reading, ...]:
    """Count one reading, and put out what that makes: a burst that begins, or one that has grown by a step."""
    topics = topics_of(reading, only=settings.topics)
    if not topics:
        return ()
    mention = reading.mention
    refused = left_out(mention)
    if refused is not None:
        _note(tx, {refused: len(topics)})
        return ()
    story = story_of(mention)
    same = tx.bursts.same(reading.article, story)
    fresh = [topic for topic in topics if not same.get(topic)]
    repeated = sum(reading.article in same.get(topic, ()) for topic in topics)
    copies = len(topics) - len(fresh) - repeated
    fates = {Fate.REPEATED: repeated, Fate.COPY: copies}
    if not fresh:
        _note(tx, fates)
        return ()
    counts = _may_ring(tx, reading, settings=settings)
    _note(tx, fates | {Fate.COUNTED if counts else Fate.YOUNG: len(fresh)})
    quarter = quarter_of(mention.seen_at)
    source = to_bytes(source_of(mention))
    tx.bursts.add(
        [
            CountedRow(
                country=country,
                topic=topic,
                article=reading.article,
                story=story,
                quarter=quarter,
                owner=mention.source.owner,
                counts=counts,
                source=source,
            )
            for country, topic in fresh
        ]
    )
    is_known = any(reading.article in articles for articles in same.values())
    series = _count(tx, [*fresh, *(() if is_known else (EVERYTHING,))], quarter, counts=counts, settings=settings)
    if not counts:
        return ()
    found = (_look(tx, topic, quarter, series, reading, settings=settings) for topic in fresh)
    return tuple(one for one in found if one is not None)


def _may_ring(tx: Tx, reading: Reading, *, settings: BurstsSettings) -> bool:
    is_listed, first_read = tx.ingest.read_since(reading.mention.feed)
    # What was pushed to us, or is replayed elsewhere, comes from no feed that we poll.
    return not is_listed or may_ring(reading.mention.seen_at, first_read=first_read, warm_up=settings.warm_up)


def _count(
    tx: Tx, topics: Sequence[Topic], quarter: int, *, counts: bool, settings: BurstsSettings
) -> dict[Topic, Series]:
    """Add one article to each of *topics*; return their counts, and those of everything."""
    stored = tx.bursts.series([*topics, EVERYTHING])
    found: dict[Topic, Series] = {}
    for topic in dict.fromkeys((*topics, EVERYTHING)):
        last, raw = stored.get(topic, (quarter, None))
        found[topic] = series = Series.from_bytes(raw, history=settings.history)
        if topic not in topics:
            continue
        series.add(quarter, counts=counts and topic != EVERYTHING)
        tx.bursts.put_series(topic, quarter=max(last, quarter), counts=series.to_bytes())
        if quarter // IN_A_DAY > last // IN_A_DAY:
            tx.bursts.forget(topic, before=(quarter // IN_A_DAY - REMEMBERED_DAYS) * IN_A_DAY)
    return found


def _look(
    tx: Tx, topic: Topic, quarter: int, counts: Mapping[Topic, Series], reading: Reading, *, settings: BurstsSettings
) -> Reading | None:
    """Judge every window that the article is in, and tell what is new."""
    series, everything = counts[topic], counts[EVERYTHING].heard
    last = series.counted.end - 1
    if last - quarter >= LOOK_BACK:
        return None
    verdicts = [
        verdict
        for end in series.counted.places(quarter)
        if 2 * series.counted.within(end, IN_A_DAY) >= settings.articles
        for verdict in judge(series, end, awake=awake_days(everything, end, settings), settings=settings)
    ]
    hot = [verdict.end for verdict in verdicts if verdict.is_hot]
    if not hot:
        return None
    before = tx.bursts.latest(topic)
    if before is not None and not (before.started - HOLD <= max(hot) and min(hot) <= before.last_hot + HOLD):
        before = None  # that one is over
    loudest, owners = _loudest(tx, topic, verdicts, above=-1 if before is None else before.level, settings=settings)
    seen_at = max(reading.mention.seen_at, before.seen_at) if before is not None else reading.mention.seen_at
    if loudest is None:
        if before is not None and max(hot) > before.last_hot:
            tx.bursts.put(replace(before, last_hot=max(hot), seen_at=seen_at))
        return None
    country, about = topic
    name = before.id if before is not None else digest("burst", country, about, str(loudest.end))
    burst = BurstRow(
        id=name,
        country=country,
        topic=about,
        started=before.started if before is not None else loudest.end,
        last_hot=max(*hot, before.last_hot) if before is not None else max(hot),
        level=loudest.level,
        count=loudest.count,
        revision=digest("burst", name, str(loudest.level)),
        seen_at=seen_at,
    )
    tx.bursts.put(burst)
    rows = tx.bursts.within(topic, first=loudest.first, last=loudest.end)
    new = told(burst, loudest, rows, owners=owners, before=before, settings=settings)
    if tx.emit(READINGS, key=new.article, record_id=new.id, value=encode(new)):
        tx.after(partial(_tell, new, "new" if before is None else "grown"))
    return new


def _loudest(
    tx: Tx, topic: Topic, verdicts: Sequence[Verdict], *, above: int, settings: BurstsSettings
) -> tuple[Verdict | None, int]:
    """Return the loudest verdict of more than a level that rests on enough owners, and on how many."""
    louder = [verdict for verdict in verdicts if verdict.level > above]
    for verdict in sorted(louder, key=lambda one: (one.level, one.score, -one.hours), reverse=True):
        owners = tx.bursts.owners(topic, first=verdict.first, last=verdict.end)
        if owners >= settings.owners:
            return verdict, owners
    return None, 0


def _note(tx: Tx, fates: Mapping[Fate, int]) -> None:
    tx.after(partial(_show, Counter(fates)))


def _show(fates: Mapping[Fate, int]) -> None:
    for fate, number in fates.items():
        if number:
            metrics.BURST_ARTICLES.labels(fate=fate.value).inc(number)


def _tell(reading: Reading, step: str) -> None:
    (detection,) = reading.detections
    assert detection.volume is not None
    metrics.BURSTS.labels(step=step).inc()
    log.info(
        "burst found", burst=reading.article[:12], step=step, what=title(detection.volume, detection.country or "")
    )
