"""How a record is set aside: kept with the reason, counted, and told on `dead-letters.v1` for other programs."""

from __future__ import annotations

import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tocsin import metrics
from tocsin.errors import SetAside
from tocsin.records import DeadLetter, digest
from tocsin.stream.codec import encode
from tocsin.stream.port import DEAD_LETTERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from tocsin.store.dead_letters import Heap
    from tocsin.store.tx import Tx
    from tocsin.stream.port import StreamRecord

# What a dead letter is when it is no record of the stream, in the place of its topic.
TIMERS: Final = "timers"
OUTBOX: Final = "outbox"
DOCUMENTS: Final = "documents"
TIMERS_STAGE: Final = " timers"  # behind the room's name

DIED: Final = "the process died"  # how the reason begins when no error was seen, only the end

REASON_CHARACTERS: Final = 2_000
TRACEBACK_CHARACTERS: Final = 8_000
NAME_CHARACTERS: Final = 2_000
TOLD_BYTES: Final = 500_000  # of a value on the topic, where it is a third longer and must leave room for the rest


def put_aside(tx: Tx, letter: DeadLetter) -> bool:
    """Keep *letter*, count it and tell of it; False when it lies here already."""
    letter = _storable(letter)
    if not tx.dead_letters.add(letter):
        return False
    _tell(tx, letter)
    return True


def put_back(tx: Tx, letter: DeadLetter) -> None:
    """Keep *letter* once more after a replay that failed, in place of any that was set aside meanwhile."""
    letter = _storable(letter)
    tx.dead_letters.replace(letter)
    _tell(tx, letter)


def letter_of(
    record: StreamRecord, *, stage: str, reason: str, traceback: str = "", at: datetime, times: int = 1
) -> DeadLetter:
    """Return the dead letter that *record* becomes; a stage has one for each record, however often it comes."""
    return DeadLetter(
        id=digest("dead letter", stage, record.topic, record.id),
        stage=stage,
        topic=record.topic,
        record_id=record.id,
        reason=reason,
        value=record.body,
        at=at,
        key=record.key,
        partition=record.partition,
        offset=record.offset,
        size=len(record.body),
        times=times,
        traceback=traceback,
    )


def reason_and_traceback(error: Exception) -> tuple[str, str]:
    """Return what to say of *error*: one on purpose speaks for itself, of any other one wants to know where."""
    if isinstance(error, SetAside):
        return str(error) or repr(error), ""
    what = "".join(traceback.format_exception_only(error)).strip()
    return what, "".join(traceback.format_exception(error))


def show(heaps: Sequence[Heap], waiting: Mapping[str, int]) -> None:
    """Set the gauges of what lies here and what waits to be replayed; a stage that has none any more shows 0."""
    metrics.set_all(metrics.DEAD_LETTERS_KEPT, "stage", {heap.stage: heap.count for heap in heaps})
    metrics.set_all(metrics.REPLAYS_WAITING, "group", waiting)


def _tell(tx: Tx, letter: DeadLetter) -> None:
    tx.after(metrics.DEAD_LETTERS.labels(stage=letter.stage).inc)
    if letter.topic == DEAD_LETTERS:
        return  # a reader of that very topic cannot read it: to tell it there would never end
    told = letter if len(letter.value) <= TOLD_BYTES else replace(letter, value=b"")
    told = replace(told, key=letter.key[:NAME_CHARACTERS], record_id=letter.record_id[:NAME_CHARACTERS])
    name = digest("told dead letter", letter.id, str(letter.times), letter.at.isoformat())
    tx.emit(DEAD_LETTERS, key=letter.id, record_id=name, value=encode(told))


def _storable(letter: DeadLetter) -> DeadLetter:
    """Bound and clean what strangers may have had a hand in: no database takes half a surrogate, nor each a NUL."""
    return replace(
        letter,
        record_id=_clean(letter.record_id),
        key=_clean(letter.key),
        reason=_clean(letter.reason[:REASON_CHARACTERS]),
        traceback=_clean(letter.traceback[-TRACEBACK_CHARACTERS:]),
        size=max(letter.size, len(letter.value)),
    )


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
