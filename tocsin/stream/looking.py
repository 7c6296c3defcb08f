"""Looks at a topic from outside any group: its last records, those since an instant, and what comes.

Everything here needs only `bounds` and `fetch`, so it looks at any stream, and at one behind HTTP.
"""

from __future__ import annotations

import heapq
from collections import deque
from datetime import UTC, datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from tocsin.errors import RecordUnreadable
from tocsin.records import Alert, Article, DeadLetter, Reading
from tocsin.stream.codec import decode_alert, decode_article, decode_dead_letter, decode_reading
from tocsin.stream.port import ALERTS, ARTICLES, DEAD_LETTERS, READINGS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from tocsin.stream.port import Bounds, StreamRecord

Record: TypeAlias = Article | Reading | Alert | DeadLetter

PAGE: Final = 200
WIDER: Final = 8  # how much further back each look for the last records goes
NEVER: Final = datetime.min.replace(tzinfo=UTC)

_DECODERS: Final[Mapping[str, Callable[[bytes], Record]]] = {
    ARTICLES: decode_article,
    READINGS: decode_reading,
    ALERTS: decode_alert,
    DEAD_LETTERS: decode_dead_letter,
}


class Look(Protocol):
    """What of a `Stream` is needed to look at it."""

    async def fetch(
        self, topic: str, *, start: int, most: int, timeout_s: float, partition: int = 0
    ) -> Sequence[StreamRecord]:
        """Return up to *most* records at or after *start*; wait up to *timeout_s* for the first."""
        ...

    async def bounds(self, topic: str) -> Mapping[int, Bounds]:
        """Return what there is to look at, by partition."""
        ...


def read(record: StreamRecord) -> Record:
    """Return what the record holds.

    Raises:
        RecordUnreadable: it is damaged, or of a version that this program does not read.
    """
    if record.value is None:
        raise RecordUnreadable(record.damage)
    return _DECODERS[record.topic](record.value)


def moment(record: StreamRecord) -> datetime | None:
    """Return when the service saw what the record tells of; None when it cannot be read."""
    try:
        return seen_at(read(record))
    except RecordUnreadable:
        return None


def seen_at(record: Record) -> datetime:
    """Return when the service saw what *record* tells of; a dead letter, when it was set aside."""
    match record:
        case Reading():
            return record.mention.seen_at
        case DeadLetter():
            return record.at
        case _:
            return record.seen_at


async def last(look: Look, topic: str, most: int) -> tuple[Sequence[StreamRecord], Mapping[int, int]]:
    """Return the last *most* (at least 1) records by time, and where what comes after them will be, by partition."""
    timed: list[list[tuple[datetime, int, StreamRecord]]] = []
    ends = {}
    for partition, bounds in (await look.bounds(topic)).items():
        ends[partition] = bounds.end
        found = await _last(look, topic, partition, bounds, most)
        # Each partition stays in its order, whatever times its records tell and whether they can be read at all.
        times = accumulate((moment(one) or NEVER for one in found), max)
        timed.append([(time, partition, one) for time, one in zip(times, found, strict=True)])
    merged = list(heapq.merge(*timed, key=lambda one: one[:2]))
    return [one for _, _, one in merged[-most:]], ends


async def _last(look: Look, topic: str, partition: int, bounds: Bounds, most: int) -> Sequence[StreamRecord]:
    """Look back further and further: offsets have gaps, so nobody knows how far *most* records reach."""
    back = most
    while True:
        start = max(bounds.first, bounds.end - back)
        found: deque[StreamRecord] = deque(maxlen=most)
        async for record in _between(look, topic, partition, start, bounds.end):
            found.append(record)
        if len(found) == most or start == bounds.first:
            return found
        back *= WIDER


async def since(look: Look, topic: str, at: datetime) -> Mapping[int, int]:
    """Return the offset in each partition at which records of *at* or later begin, as far as their times rise."""
    return {
        partition: await _since(look, topic, partition, bounds, at)
        for partition, bounds in (await look.bounds(topic)).items()
    }


async def _since(look: Look, topic: str, partition: int, bounds: Bounds, at: datetime) -> int:
    low, high = bounds.first, bounds.end
    while low < high:
        middle = (low + high) // 2
        found = await look.fetch(topic, start=middle, most=1, timeout_s=0, partition=partition)
        when = moment(found[0]) if found and found[0].offset < high else None
        if when is None or when >= at:  # one that cannot be read is better shown than passed over
            high = middle
        else:
            low = found[0].offset + 1
    return low


async def between(
    look: Look, topic: str, starts: Mapping[int, int], ends: Mapping[int, int]
) -> AsyncIterator[StreamRecord]:
    """Yield the records of all partitions from *starts* up to *ends*, the oldest first as far as each is in order."""
    readers = {one: _between(look, topic, one, start, ends[one]) for one, start in starts.items()}
    heads: dict[int, StreamRecord] = {}
    for partition, reader in readers.items():
        head = await anext(reader, None)
        if head is not None:
            heads[partition] = head
    while heads:
        oldest = min(heads, key=lambda one: (moment(heads[one]) or NEVER, one))
        yield heads.pop(oldest)
        head = await anext(readers[oldest], None)
        if head is not None:
            heads[oldest] = head


async def _between(look: Look, topic: str, partition: int, start: int, end: int) -> AsyncIterator[StreamRecord]:
    while start < end:
        found = await look.fetch(topic, start=start, most=PAGE, timeout_s=0, partition=partition)
        for record in found:
            if record.offset >= end:
                return
            yield record
        if not found:
            return
        start = found[-1].offset + 1
