"""The loop behind every stage that reads a topic, and the one that calls for due timers.

Cursor and output of a batch are one transaction. A record that cannot be worked on goes to the dead letters and
the others go on; a record that takes the whole process with it is set aside at its third start.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from tocsin.errors import Fenced, Stop, StoreUnavailable, TryLater
from tocsin.records import DeadLetter, digest
from tocsin.store.tx import Tx
from tocsin.stream.dead_letters import DIED, TIMERS, TIMERS_STAGE, letter_of, put_aside, reason_and_traceback
from tocsin.stream.port import RECORD_LIMIT_BYTES, StreamRecord

if TYPE_CHECKING:
    from datetime import datetime

    from tocsin.clock import Clock
    from tocsin.store.port import Store
    from tocsin.store.timers import Timer
    from tocsin.stream.port import Reader, Stream

log = structlog.get_logger()

T = TypeVar("T")
Unit = Callable[[Tx], None]
Work = Callable[[Sequence["StreamRecord"]], Awaitable[Sequence[Unit]]]

IDLE_S = 30.0  # longest wait for a wake-up before looking again
STORE_RETRY_S = 1.0
FENCED_PAUSE_S = 0.2  # for whoever moved our cursor to be given the partition, or the lease, as well
STARTS = 3  # a record that was under way at two deaths is set aside at the third start


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
    ahead: int = 1,
    beat: Callable[[], None] = _nobody_listens,
    shared: bool = False,
    patient: bool = False,
    once: bool = False,
) -> None:
    """Work through *topic* for ever, in order; call *beat* at each turn, at least every `IDLE_S` when all is well.

    *work* turns records into one unit each; what a unit raises sets that record aside, unless it is `TryLater` or
    `Stop`. What ends the loop by one of those, or by a cancellation, is not held against the record. Nothing is
    remembered here: after a crash the loop goes on from the cursor in the store. While one batch is written the next
    *ahead* are worked on, side by side, so *work* must not look at what the units write.

    A group is *shared* when several workers read it, and *patient* when nobody waits for what it does. With *once* a
    record whose id the group has passed is ignored: for streams that may bring one again, and units that must not see
    it twice.
    """
    async with stream.reader(group, topic, shared=shared, patient=patient) as reader:
        consumer = _Consumer(reader, store=store, clock=clock, group=group, topic=topic, work=work, once=once)
        while True:
            try:
                await consumer.flow(most=batch, ahead=ahead, beat=beat)
                log.warning("work called off", group=group, topic=topic)  # by whoever does it, and not by us
            except Fenced as error:
                log.warning("cursor moved by another worker", group=group, topic=topic, reason=str(error))
            await clock.sleep(FENCED_PAUSE_S)
            await reader.rewind()


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
        await persist(store, clock, unit)
    except (TryLater, Stop):
        raise
    except Exception as error:  # the record's bulkhead: a timer that cannot be handled must not stop the others
        log.exception("timer set aside", room=timer.room, kind=timer.kind, key=timer.key)
        reason, traceback = reason_and_traceback(error)
        letter = DeadLetter(
            id=digest("timer", timer.room, timer.kind, timer.key, timer.due.isoformat()),
            stage=f"{timer.room}{TIMERS_STAGE}",
            topic=TIMERS,
            record_id=f"{timer.kind}:{timer.key}",
            key=timer.key,
            reason=reason,
            traceback=traceback,
            value=timer.payload.encode(),
            at=clock.now(),
        )

        def aside(tx: Tx) -> None:
            if tx.timers.remove(timer):
                put_aside(tx, letter)

        await persist(store, clock, aside)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Records with the units that were made of them, and where the cursor must stand for each partition."""

    records: Sequence[StreamRecord]
    units: Sequence[Unit]
    expected: Mapping[int, int]


class _Line:
    """Batches under way, in the order in which they are written: at most *ahead* in the making, and one more."""

    def __init__(self, *, ahead: int) -> None:
        self._ahead = ahead
        self._moved = asyncio.Event()
        self.batches: deque[asyncio.Task[_Batch]] = deque()

    async def room(self) -> None:
        """Wait until another may join."""
        await self._until(
            lambda: len(self.batches) <= self._ahead and sum(not one.done() for one in self.batches) < self._ahead
        )

    def join(self, making: Coroutine[None, None, _Batch]) -> None:
        """Have one made, behind all others."""
        task = asyncio.create_task(making, name="make")
        self.batches.append(task)
        task.add_done_callback(lambda _: self._moved.set())
        self._moved.set()

    async def first(self) -> _Batch:
        """Return the first once it is made; it stays in the line until it may `leave`."""
        await self._until(lambda: bool(self.batches))
        return await self.batches[0]

    def leave(self) -> None:
        """Take the first away: it is written."""
        self.batches.popleft()
        self._moved.set()

    async def empty(self) -> None:
        """Wait until all are written."""
        await self._until(lambda: not self.batches)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._moved.clear()
            await self._moved.wait()


class _Consumer:
    """One group's work on one topic, batch by batch."""

    def __init__(
        self, reader: Reader, *, store: Store, clock: Clock, group: str, topic: str, work: Work, once: bool
    ) -> None:
        self._reader = reader
        self._store = store
        self._clock = clock
        self._group = group
        self._topic = topic
        self._work = work
        self._once = once
        self._generations: dict[int, int] = {}  # of the partitions whose first batch was not deadly
        self._cursors: dict[int, int] = {}  # where they will stand after all that was fetched
        self._singly = 0

    async def flow(self, *, most: int, ahead: int, beat: Callable[[], None]) -> None:
        """Fetch, make and put batches, each while the others are under way, until something fails."""
        line = _Line(ahead=ahead)
        bringing = asyncio.create_task(self._bring(line, most, beat), name=f"bring {self._group} {self._topic}")
        putting = asyncio.create_task(self._put_in_order(line), name=f"put {self._group} {self._topic}")
        # No TaskGroup: an error that went through one would swallow a cancellation that comes at the same moment
        # (3.11), as it does when a lease is lost: then this would go on for ever.
        try:
            await asyncio.wait((putting, bringing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            tasks = (putting, bringing, *line.batches)
            await _called_off(tasks)
        errors = [task.exception() for task in tasks if not task.cancelled()]
        for error in errors:
            if error is not None:
                raise error

    async def _bring(self, line: _Line, most: int, beat: Callable[[], None]) -> None:
        """Fetch for ever, and have what comes worked on; the first batch of a partition goes by itself."""
        while True:
            beat()
            await line.room()
            records = await self._reader.fetch(most=1 if self._singly else most, timeout_s=IDLE_S)
            if not records:
                continue
            unsure = next((one.partition for one in records if not self._is_proven(one.partition)), None)
            if unsure is None and not self._singly:
                line.join(self._made(records, self._expected(records)))
                continue
            await line.empty()
            await self._carefully(self._only(records, records[0].partition if unsure is None else unsure), most)

    async def _put_in_order(self, line: _Line) -> None:
        while True:
            await self._put(await line.first())
            line.leave()

    def _is_proven(self, partition: int) -> bool:
        return self._generations.get(partition) == self._reader.generation(partition)

    def _only(self, records: Sequence[StreamRecord], partition: int, most: int | None = None) -> list[StreamRecord]:
        """Return the first records of *partition* and give the others back."""
        taken = [one for one in records if one.partition == partition][:most]
        kept = {(one.partition, one.offset) for one in taken}
        for one in reversed(records):
            if (one.partition, one.offset) not in kept:
                self._reader.seek(one.partition, one.offset)
        return taken

    async def _carefully(self, records: list[StreamRecord], most: int) -> None:
        """Work on the first batch of a partition, which may be what its last reader died of, and write it at once."""
        partition = records[0].partition
        if not self._is_proven(partition):
            self._generations[partition] = self._reader.generation(partition)
            self._cursors[partition] = self._reader.cursor(partition)
        group, topic, position = self._group, self._topic, records[0].offset
        note = partial(_note_attempt, group=group, topic=topic, partition=partition, position=position)
        try:
            starts = await persist(self._store, self._clock, note)
            if starts > 1 and not self._singly:
                self._singly = most
                records = self._only(records, partition, 1)
            self._singly = max(0, self._singly - 1)
            if starts >= STARTS:
                died: Unit = partial(_died, clock=self._clock, group=group, record=records[0])
                await self._put(_Batch(records, [died], self._expected(records)))
            else:
                await self._put(await self._made(records, self._expected(records)))
        except (TryLater, Stop, asyncio.CancelledError):  # a note whose writer was cancelled is written all the same
            withdraw = partial(_withdraw_attempt, group=group, topic=topic, partition=partition, position=position)
            with suppress(StoreUnavailable, Fenced):  # in place of a cancellation it would swallow that
                await self._store.write(withdraw)
            raise

    async def _made(self, records: Sequence[StreamRecord], expected: Mapping[int, int]) -> _Batch:
        """Let the work see the undamaged records; the others become dead letters in their place."""
        reasons = [_damage(record) for record in records]
        whole = [record for record, reason in zip(records, reasons, strict=True) if not reason]
        made = iter(await self._work(whole) if whole else ())
        aside = partial(set_aside, clock=self._clock, stage=self._group)
        units = [
            partial(aside, record=record, reason=reason) if reason else next(made)
            for record, reason in zip(records, reasons, strict=True)
        ]
        return _Batch(records, units, expected)

    def _expected(self, records: Sequence[StreamRecord]) -> Mapping[int, int]:
        """Return where the cursors must stand before *records*, and note where they will stand after them."""
        partitions = {record.partition for record in records}
        expected = {partition: self._cursors[partition] for partition in partitions}
        self._cursors |= _ends(records)
        return expected

    async def _put(self, batch: _Batch) -> None:
        """Write the whole batch at once, or record by record when one of them will not go."""
        try:
            await self._write(batch.records, batch.units, batch.expected)
        except (TryLater, Stop):
            raise
        except Exception as error:  # noqa: BLE001 — the record's bulkhead: one by one, so that only the bad one is set aside
            log.warning(
                "batch taken apart",
                group=self._group,
                topic=self._topic,
                records=len(batch.records),
                reason=repr(error),
            )
            await self._one_by_one(batch)

    async def _one_by_one(self, batch: _Batch) -> None:
        expected = dict(batch.expected)
        for record, unit in zip(batch.records, batch.units, strict=True):
            try:
                await self._write([record], [unit], expected)
            except (TryLater, Stop):
                raise
            except Exception as error:  # noqa: BLE001 — the record's bulkhead
                reason, traceback = reason_and_traceback(error)
                aside = partial(
                    set_aside, clock=self._clock, stage=self._group, record=record, reason=reason, traceback=traceback
                )
                await self._write([record], [aside], expected)
            expected[record.partition] = record.offset + 1

    async def _write(self, records: Sequence[StreamRecord], units: Sequence[Unit], expected: Mapping[int, int]) -> None:
        ends = _ends(records)
        now = self._clock.now()

        def unit(tx: Tx) -> None:
            for partition, to in ends.items():
                tx.advance(self._group, self._topic, partition, expect=expected[partition], to=to)
            for record, one in zip(records, units, strict=True):
                if not self._once or tx.topics.first_time(self._group, self._topic, record.id, at=now):
                    one(tx)

        await persist(self._store, self._clock, unit)


async def _called_off(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel *tasks* and wait until they are over, also when we are cancelled meanwhile, and then once more."""
    cancelled: asyncio.CancelledError | None = None
    while tasks := [task for task in tasks if not task.done()]:
        for task in tasks:
            task.cancel()
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def _ends(records: Sequence[StreamRecord]) -> dict[int, int]:
    """Return where the cursor of each partition stands after *records*."""
    return {record.partition: record.offset + 1 for record in records}


def _damage(record: StreamRecord) -> str:
    """Return why no work may see *record*; nothing when it may."""
    if record.value is None:
        return record.damage
    size = len(record.value)
    return f"{size:,} bytes: a record has {RECORD_LIMIT_BYTES:,} at most" if size > RECORD_LIMIT_BYTES else ""


async def persist(store: Store, clock: Clock, unit: Callable[[Tx], T]) -> T:
    """Write *unit* however long the store takes to be there again; any other error is the caller's."""
    told = False
    while True:
        try:
            return await store.write(unit)
        except StoreUnavailable as error:
            if not told:
                log.warning("store unavailable", reason=str(error), retry_s=STORE_RETRY_S)
            told = True
            await clock.sleep(STORE_RETRY_S)


def set_aside(tx: Tx, *, clock: Clock, stage: str, record: StreamRecord, reason: str, traceback: str = "") -> None:
    """Put *record* among the dead letters."""
    letter = letter_of(record, stage=stage, reason=reason, traceback=traceback, at=clock.now())
    if put_aside(tx, letter):
        where = {"stage": stage, "topic": record.topic, "record": record.id}
        tx.after(partial(log.error, "record set aside", **where, reason=reason, traceback=traceback))


def _died(tx: Tx, *, clock: Clock, group: str, record: StreamRecord) -> None:
    reason = f"{DIED} {STARTS - 1} times while it worked on this record"
    set_aside(tx, clock=clock, stage=group, record=record, reason=reason)


def _note_attempt(tx: Tx, *, group: str, topic: str, partition: int, position: int) -> int:
    return tx.topics.attempt(group, topic, partition, position=position)


def _withdraw_attempt(tx: Tx, *, group: str, topic: str, partition: int, position: int) -> None:
    tx.topics.withdraw_attempt(group, topic, partition, position=position)
