"""Takes what was put out in the database to the brokers: one at a time has the right to, and none is trusted to.

A record is deleted from the outbox after every replica that must has it. A relay that dies in between, or that was
paused and has lost its right, sends a record twice, under the same id; none is left out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from tocsin import metrics
from tocsin.errors import StoreUnavailable, StreamUnavailable, TryLater
from tocsin.store.outbox import OutboxRecord
from tocsin.store.relayed import RELAY, WAKE
from tocsin.stream import topics, wire
from tocsin.stream.brokers import let_go
from tocsin.stream.dead_letters import letter_of, put_aside
from tocsin.stream.port import StreamRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from tocsin.clock import Clock
    from tocsin.records import DeadLetter
    from tocsin.store.port import Store
    from tocsin.store.tx import Tx
    from tocsin.stream.kafka import KafkaStream

log = structlog.get_logger()

AT_ONCE: Final = 1_000  # records in one flight
AT_ONCE_BYTES: Final = 8 * 1024 * 1024
BATCH_BYTES: Final = 256 * 1024  # of one partition in one request
IDLE_S: Final = 5.0  # longest wait for a wake-up before looking again
RETRY_S: Final = 0.5
SENDING_S: Final = 10.0  # for the brokers to take what is sent, not to acknowledge it
PARTING_S: Final = 1.5
LOOK_S: Final = 1.0  # how often we ask whether brokers answer others while they do not answer us
DEAF_LOOKS: Final = 2  # so often in a row, and the producer is replaced; twice as often when that has not helped
DEAF_LOOKS_CAP: Final = 60

# What is wrong with the record itself, and will be wrong with it tomorrow.
REFUSALS: Final = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError, CorruptRecordException)


@dataclass(slots=True)
class _Flight:
    """Records on their way in order, and what became of them."""

    landed: list[OutboxRecord] = field(default_factory=list)
    refused: list[tuple[OutboxRecord, str]] = field(default_factory=list)
    error: BaseException | None = None  # why some are neither, and go again

    def positions(self) -> frozenset[int]:
        """Those that need not go again."""
        return frozenset(row.position for row in (*self.landed, *(row for row, _ in self.refused)))


class Relay:
    """Empties the outbox for ever, whenever it has the right to."""

    def __init__(self, stream: KafkaStream, *, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._partitioner = DefaultPartitioner()
        self._singly: set[int] = set()  # sent alone, because one of them is refused
        self._patience = DEAF_LOOKS

    async def run(self, store: Store) -> None:
        """Relay until cancelled, or until *store* says that another one has the right (`Fenced`)."""
        await self._stream.ready.wait()
        while True:
            producer = self._stream.brokers.producer(
                acks="all",
                enable_idempotence=True,
                max_batch_size=BATCH_BYTES,
                linger_ms=0,
            )
            try:
                await self._stream.brokers.start(producer)
            except StreamUnavailable as error:
                self._stream.brokers.away(str(error))
                await self._clock.sleep(RETRY_S)
                continue
            try:
                reason = await self._relay(store, producer)
            finally:
                await let_go(producer)
            log.warning("producer rebuilt", reason=reason)
            metrics.RELAY_REBUILDS.inc()
            await self._clock.sleep(RETRY_S)

    async def _relay(self, store: Store, producer: Any) -> str:  # noqa: ANN401  aiokafka has no types
        """Send until *producer* is of no more use; return why."""
        while True:
            try:
                return await self._relay_while_stored(store, producer)
            except StoreUnavailable as error:
                log.warning("store unavailable", stage=RELAY, reason=str(error))
                await self._clock.sleep(RETRY_S)

    async def _relay_while_stored(self, store: Store, producer: Any) -> str:  # noqa: ANN401  aiokafka has no types
        """Send one flight after the other; what has landed is removed while the next is in the air."""
        sending: asyncio.Task[_Flight] | None = None
        removing: asyncio.Task[None] | None = None
        landed: frozenset[int] = frozenset()
        loop = asyncio.get_running_loop()  # no TaskGroup: it would cancel what is in the air together with us
        try:
            while True:
                mark = store.mark(WAKE)
                rows = await _lowest(store, but=landed)
                flight = None
                if rows:
                    sending = loop.create_task(self._send(producer, rows), name="relay sends")
                    flight = await asyncio.shield(sending)
                    sending = None
                if removing is not None:
                    await removing
                    removing, landed = None, frozenset()
                if flight is None:
                    await store.wait(WAKE, mark, timeout_s=IDLE_S)
                    continue
                removing = loop.create_task(self._remove(store, flight), name="relay removes")
                landed = flight.positions()
                if flight.error is not None:
                    await asyncio.shield(removing)
                    return _told(flight.error)
        finally:
            await self._part(store, sending, removing)

    async def _part(
        self, store: Store, sending: asyncio.Task[_Flight] | None, removing: asyncio.Task[None] | None
    ) -> None:
        """Wait a moment for what is in the air, so that the next relay need not send it again."""
        try:
            async with asyncio.timeout(PARTING_S):
                if sending is not None:
                    flight = await sending
                    if removing is not None:
                        await removing
                    await self._remove(store, flight)
                elif removing is not None:
                    await removing
        except (TimeoutError, TryLater):
            pass  # it is sent again, under the same id
        finally:
            for task in (sending, removing):
                if task is not None and not task.done():
                    task.cancel()
                    await asyncio.wait({task}, timeout=PARTING_S)

    async def _send(self, producer: Any, rows: Sequence[OutboxRecord]) -> _Flight:  # noqa: ANN401  aiokafka has no types
        flight = _Flight()
        sent: dict[asyncio.Future[Any], tuple[str, int, list[OutboxRecord]]] = {}
        try:
            async with asyncio.timeout(SENDING_S):
                for name, partition, batch, chosen in self._batches(producer, rows, flight):
                    sent[await producer.send_batch(batch, name, partition=partition)] = (name, partition, chosen)
        except (KafkaError, TimeoutError) as error:
            flight.error = error
        await self._landed({future: (name, partition) for future, (name, partition, _) in sent.items()})
        for future, (_, _, chosen) in sent.items():
            self._judge(flight, chosen, future)
        return flight

    async def _landed(self, sent: Mapping[asyncio.Future[Any], tuple[str, int]]) -> None:
        """Wait until each has its answer, or until none comes though the same brokers answer others."""
        looks = 0
        waiting = set(sent)
        while waiting:
            done, waiting = await asyncio.wait(waiting, timeout=LOOK_S)
            if done:
                looks, self._patience = 0, DEAF_LOOKS
            elif waiting and await self._answers_others({sent[future] for future in waiting}):
                looks += 1
                if looks >= self._patience:
                    self._patience = min(DEAF_LOOKS_CAP, self._patience * 2)
                    return

    async def _answers_others(self, partitions: Collection[tuple[str, int]]) -> bool:
        for name in {name for name, _ in partitions}:
            if await self._stream.probe.ends(name, [one for of, one in partitions if of == name]) is None:
                return False
        return True

    def _judge(self, flight: _Flight, chosen: list[OutboxRecord], future: asyncio.Future[Any]) -> None:
        error = future.exception() if future.done() else TimeoutError("brokers answer others and not this producer")
        if error is None:
            flight.landed.extend(chosen)
            self._stream.brokers.back()
        elif not isinstance(error, KafkaError | TimeoutError):
            raise error
        elif not _is_refusal(error):
            flight.error = flight.error or error
        elif len(chosen) == 1:
            flight.refused.append((chosen[0], f"Kafka refuses it: {_told(error)}"))
            flight.error = flight.error or error  # its number is missing: the brokers take nothing more from us
        else:
            self._singly.update(row.position for row in chosen)
            flight.error = flight.error or error

    def _batches(
        self,
        producer: Any,  # noqa: ANN401  aiokafka has no types
        rows: Sequence[OutboxRecord],
        flight: _Flight,
    ) -> Iterable[tuple[str, int, Any, list[OutboxRecord]]]:
        """Put *rows* into batches, one partition each, in order; those that can never go are refused at once."""
        parts: dict[tuple[str, int], list[OutboxRecord]] = {}
        for row in rows:
            refusal = _refusal(row)
            if refusal:
                flight.refused.append((row, refusal))
            else:
                parts.setdefault((row.topic, self._partition(row)), []).append(row)
        for (topic, partition), of in parts.items():
            name = f"{self._stream.settings.prefix}{topic}"
            batch = producer.create_batch()
            chosen: list[OutboxRecord] = []
            for row in of:
                alone = row.position in self._singly
                if chosen and (alone or chosen[-1].position in self._singly or not _put(batch, row)):
                    yield name, partition, batch, chosen
                    batch, chosen = producer.create_batch(), []
                if not chosen:
                    taken = _put(batch, row)
                    assert taken  # the first always fits
                chosen.append(row)
            yield name, partition, batch, chosen

    def _partition(self, row: OutboxRecord) -> int:
        every = list(range(topics.partitions(self._stream.settings, row.topic)))
        return int(self._partitioner(row.key.encode(), every, every))

    async def _remove(self, store: Store, flight: _Flight) -> None:
        at = self._clock.now()
        letters = [_letter(row, reason, at=at) for row, reason in flight.refused]
        positions = flight.positions()
        if positions:
            await store.write(partial(_removed, positions=positions, letters=letters))
        self._singly.difference_update(positions)
        for row, reason in flight.refused:
            log.error("record set aside", stage=RELAY, topic=row.topic, record=row.id, reason=reason)
        for topic, count in Counter(row.topic for row in flight.landed).items():
            metrics.RELAY_PUBLISHED.labels(topic=topic).inc(count)


async def _lowest(store: Store, *, but: frozenset[int]) -> list[OutboxRecord]:
    return await store.read(lambda tx: tx.outbox.lowest(most=AT_ONCE, most_bytes=AT_ONCE_BYTES, but=but))


def _removed(tx: Tx, *, positions: Collection[int], letters: Sequence[DeadLetter]) -> None:
    tx.outbox.remove(positions)
    for letter in letters:
        put_aside(tx, letter)


def _put(batch: Any, row: OutboxRecord) -> bool:  # noqa: ANN401  aiokafka has no types
    """Append *row* to *batch*; False when that is full."""
    return (
        batch.append(
            key=row.key.encode(),
            value=row.value,
            timestamp=int(row.at.timestamp() * 1000),
            headers=wire.headers(row.topic, row.id, row.at, row.key),
        )
        is not None
    )


def _refusal(row: OutboxRecord) -> str:
    """Say why *row* can never go; nothing when it can."""
    if row.value is None:
        return "checksum does not match"
    headers = wire.headers(row.topic, row.id, row.at, row.key)
    size = DefaultRecordBatchBuilder.estimate_size_in_bytes(row.key.encode(), row.value, headers)
    if size > topics.MESSAGE_LIMIT_BYTES:
        return f"{len(row.value):,} bytes: Kafka takes {topics.MESSAGE_LIMIT_BYTES:,} at most, headers included"
    return ""


def _letter(row: OutboxRecord, reason: str, *, at: datetime) -> DeadLetter:
    record = StreamRecord(
        topic=row.topic, partition=0, offset=row.position, key=row.key, id=row.id, value=row.value, damage=reason
    )
    return letter_of(record, stage=RELAY, reason=reason, at=at)


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, REFUSALS)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
