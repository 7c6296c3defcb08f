"""The loop behind every stage that reads a topic, and the one that calls for due timers.

Cursor and output of a batch are one transaction. A record that cannot be worked on goes to the dead letters and
the others go on; a record that takes the whole process with it is set aside at its third start.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog

from tocsin import metrics
from tocsin.errors import SetAside, Stop, StoreUnavailable, TryLater
from tocsin.records import DeadLetter, digest
from tocsin.store.tx import Tx

if TYPE_CHECKING:
    from datetime import datetime

    from tocsin.clock import Clock
    from tocsin.store.port import Store
    from tocsin.store.timers import Timer
    from tocsin.stream.port import Stream, StreamRecord

log = structlog.get_logger()

Unit = Callable[[Tx], None]
Work = Callable[[Sequence["StreamRecord"]], Awaitable[Sequence[Unit]]]

IDLE_S = 30.0  # longest wait for a wake-up before looking again
STORE_RETRY_S = 1.0
STARTS = 3  # a record that was under way at two deaths is set aside at the third start
REASON_CHARACTERS = 2_000


def _nobody_listens() -> None:
    """Stand in for the health board where nobody watches."""


async def consume(
    *,
    stream: Stream,
    store: Store,
    clock: Clock,
    group: str,
    topic: str,
    work: Work,
    batch: int = 100,
    beat: Callable[[], None] = _nobody_listens,
) -> None:
    """Work through *topic* for ever, in order; call *beat* at each turn, at least every `IDLE_S` when all is well.

    *work* turns records into one unit each; what a unit raises sets that record aside, unless it is `TryLater` or
    `Stop`. What ends the loop by one of those, or by a cancellation, is not held against the record. Nothing is
    remembered here: after a crash the loop goes on from the cursor in the store.
    """
    position = await stream.position(group, topic)
    singly = 0
    first = True
    while True:
        beat()
        records = await stream.fetch(topic, start=position, most=1 if singly else batch, timeout_s=IDLE_S)
        if not records:
            continue
        starts = 1
        noted = first or singly > 0
        if noted:
            note = partial(_note_attempt, group=group, topic=topic, position=position)
            starts = await _persist(store, clock, note)
            if first and starts > 1:
                singly, first = batch, False
                records = records[:1]
            first, singly = False, max(0, singly - 1)
        try:
            if starts >= STARTS:
                units: Sequence[Unit] = [partial(_died, clock=clock, group=group, record=records[0])]
            else:
                units = await _prepared(records, work=work, clock=clock, group=group)
            await _put(records, units, store=store, clock=clock, group=group, start=position)
        except (TryLater, Stop, asyncio.CancelledError):
            if noted:
                withdraw = partial(_withdraw_attempt, group=group, topic=topic, position=position)
                with suppress(StoreUnavailable):
                    await store.write(withdraw)
            raise
        position = records[-1].offset + 1


async def run_timers(
    *,
    store: Store,
    clock: Clock,
    room: str,
    handle: Callable[[Tx, Timer], None],
    beat: Callable[[], None] = _nobody_listens,
) -> None:
    """Call *handle* for each due timer of *room* for ever; its writes and the timer's end are one transaction."""
    name = f"timers:{room}"
    while True:
        beat()
        mark = store.mark(name)
        now = clock.now()
        due = await store.read(lambda tx, now=now: tx.timers.due(room, now))  # type: ignore[misc]  # mypy infers no lambda with defaults
        for timer in due:
            await _fire(timer, store=store, clock=clock, handle=handle)
        if due:
            continue
        upcoming: datetime | None = await store.read(lambda tx: tx.timers.next_due(room))
        pause = IDLE_S if upcoming is None else min(IDLE_S, (upcoming - clock.now()).total_seconds())
        await store.wait(name, mark, timeout_s=max(0.001, pause))


async def _fire(timer: Timer, *, store: Store, clock: Clock, handle: Callable[[Tx, Timer], None]) -> None:
    def unit(tx: Tx) -> None:
        if tx.timers.remove(timer):
            handle(tx, timer)

    try:
        await _persist(store, clock, unit)
    except (TryLater, Stop):
        raise
    except Exception:  # the record's bulkhead: a timer that cannot be handled must not stop the others
        reason = traceback.format_exc()[-REASON_CHARACTERS:]
        log.exception("timer set aside", room=timer.room, kind=timer.kind, key=timer.key)
        name = digest("timer", timer.room, timer.kind, timer.key, timer.due.isoformat())
        letter = DeadLetter(
            id=name,
            stage=f"{timer.room} timers",
            topic="timers",
            record_id=f"{timer.kind}:{timer.key}",
            reason=reason,
            value=timer.payload.encode(),
            at=clock.now(),
        )

        def aside(tx: Tx) -> None:
            if tx.timers.remove(timer):
                tx.dead_letters.add(letter)

        await _persist(store, clock, aside)
        metrics.DEAD_LETTERS.labels(stage=letter.stage).inc()


async def _prepared(records: Sequence[StreamRecord], *, work: Work, clock: Clock, group: str) -> Sequence[Unit]:
    """Let *work* see the undamaged records; the damaged ones become dead letters in their place."""
    whole = [record for record in records if record.value is not None]
    made = iter(await work(whole) if whole else ())
    return [
        next(made)
        if record.value is not None
        else partial(set_aside, clock=clock, stage=group, record=record, reason="checksum does not match")
        for record in records
    ]


async def _put(
    records: Sequence[StreamRecord], units: Sequence[Unit], *, store: Store, clock: Clock, group: str, start: int
) -> None:
    """Write the whole batch at once, or record by record when one of them will not go."""
    topic, to = records[0].topic, records[-1].offset + 1
    try:
        await _persist(store, clock, partial(_whole, units=units, group=group, topic=topic, expect=start, to=to))
    except (TryLater, Stop):
        raise
    except Exception as error:  # noqa: BLE001 — the record's bulkhead: one by one, so that only the bad one is set aside
        log.warning("batch taken apart", group=group, topic=topic, records=len(records), reason=repr(error))
        await _one_by_one(records, units, store=store, clock=clock, group=group, start=start)


async def _one_by_one(
    records: Sequence[StreamRecord], units: Sequence[Unit], *, store: Store, clock: Clock, group: str, start: int
) -> None:
    expect = start
    for record, unit in zip(records, units, strict=True):
        step = partial(_whole, group=group, topic=record.topic, expect=expect, to=record.offset + 1)
        try:
            await _persist(store, clock, partial(step, units=[unit]))
        except (TryLater, Stop):
            raise
        except Exception as error:  # noqa: BLE001 — the record's bulkhead
            reason = str(error) if isinstance(error, SetAside) else traceback.format_exc()[-REASON_CHARACTERS:]
            aside = partial(set_aside, clock=clock, stage=group, record=record, reason=reason)
            await _persist(store, clock, partial(step, units=[aside]))
        expect = record.offset + 1


async def _persist(store: Store, clock: Clock, unit: Callable[[Tx], int | None]) -> int:
    """Write *unit* however long the store takes to be there again; any other error is the caller's."""
    while True:
        try:
            return await store.write(unit) or 0
        except StoreUnavailable as error:
            log.warning("store unavailable", reason=str(error), retry_s=STORE_RETRY_S)
            await clock.sleep(STORE_RETRY_S)


def set_aside(tx: Tx, *, clock: Clock, stage: str, record: StreamRecord, reason: str) -> None:
    """Put *record* among the dead letters."""
    letter = DeadLetter(
        id=digest("dead letter", stage, record.topic, record.id),
        stage=stage,
        topic=record.topic,
        record_id=record.id,
        reason=reason[:REASON_CHARACTERS],
        value=record.body,
        at=clock.now(),
    )
    if tx.dead_letters.add(letter):
        metrics.DEAD_LETTERS.labels(stage=stage).inc()
        log.error("record set aside", stage=stage, topic=record.topic, record=record.id, reason=letter.reason)


def _died(tx: Tx, *, clock: Clock, group: str, record: StreamRecord) -> None:
    reason = f"the process died {STARTS - 1} times while it worked on this record"
    set_aside(tx, clock=clock, stage=group, record=record, reason=reason)


def _note_attempt(tx: Tx, *, group: str, topic: str, position: int) -> int:
    return tx.topics.attempt(group, topic, 0, position=position)


def _withdraw_attempt(tx: Tx, *, group: str, topic: str, position: int) -> None:
    tx.topics.withdraw_attempt(group, topic, 0, position=position)


def _whole(tx: Tx, *, units: Sequence[Unit], group: str, topic: str, expect: int, to: int) -> None:
    tx.advance(group, topic, 0, expect=expect, to=to)
    for unit in units:
        unit(tx)
