"""How rows of the outbox cross to the brokers: partitions side by side, and each a batch at a time.

A batch is sent when the one before it has landed, and a partition ends at its first failure. So whatever fails, no
record lands before an earlier one of its key, and what did not land goes again from there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import (
    CorruptRecordException,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from tocsin.store.outbox import OutboxRecord
from tocsin.stream import topics, wire

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from tocsin.stream.kafka import KafkaStream

SENDING_S: Final = 10.0  # for the client to take a batch, not for the brokers to acknowledge it
LOOK_S: Final = 1.0  # how often we ask whether brokers answer others while they do not answer us
DEAF_LOOKS: Final = 2  # so often in a row, and the producer is replaced; twice as often when that has not helped
DEAF_LOOKS_CAP: Final = 60

# What is wrong with the record itself, and will be wrong with it tomorrow.
REFUSALS: Final = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError)
CORRUPT_SENDS: Final = 3  # of one record by itself: then it is not the network that flips bits


@dataclass(slots=True)
class Outcome:
    """What became of rows that were sent, by position, until the outbox is told."""

    landed: dict[int, tuple[str, str]] = field(default_factory=dict)  # position -> topic, record id
    refused: dict[int, tuple[OutboxRecord, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.landed or self.refused)

    def positions(self) -> frozenset[int]:
        """Those that need not go again."""
        return frozenset((*self.landed, *self.refused))

    def copy(self) -> Outcome:
        """Return what it is now, for more may come."""
        return Outcome(dict(self.landed), dict(self.refused))

    def forget(self, told: Outcome) -> None:
        """Forget what the outbox has been *told*."""
        for position in told.landed:
            self.landed.pop(position, None)
        for position in told.refused:
            self.refused.pop(position, None)


@dataclass(slots=True)
class _Lane:
    """The rows of one partition, on their way in order."""

    topic: str
    name: str  # the broker's, of the topic
    partition: int
    rows: list[OutboxRecord] = field(default_factory=list)
    answers: int = 0
    error: BaseException | None = None  # why some go again


class Sender:
    """Sends rows in order, and remembers of some that they were refused among others."""

    def __init__(self, stream: KafkaStream) -> None:
        self._stream = stream
        self._partitioner = DefaultPartitioner()
        self._every: dict[str, list[int]] = {}
        # By position and id: a standby that lacks our last commits gives their positions to others.
        self._singly: set[tuple[int, str]] = set()  # sent alone, because one of them is refused
        self._corrupt: Counter[tuple[int, str]] = Counter()
        self._patience = DEAF_LOOKS

    async def send(self, producer: Any, rows: Sequence[OutboxRecord], outcome: Outcome) -> BaseException | None:  # noqa: ANN401  aiokafka has no types
        """Send *rows* and note in *outcome*, as it happens, what landed and what can never go.

        Returns why the others did not land; then *producer* is of no more use.
        """
        lanes = self._lanes(rows, outcome)
        async with asyncio.TaskGroup() as tasks:
            under_way = {
                tasks.create_task(self._in_order(producer, lane, outcome), name=f"send {lane.name}"): lane
                for lane in lanes
            }
            for task in await self._unanswered(under_way):
                task.cancel()
                under_way[task].error = TimeoutError("brokers answer others and not this producer")
        return next((lane.error for lane in lanes if lane.error is not None), None)

    def forget(self, positions: Collection[int]) -> None:
        """Forget what is remembered of rows that never come again."""
        self._singly = {one for one in self._singly if one[0] not in positions}
        for one in [one for one in self._corrupt if one[0] in positions]:
            del self._corrupt[one]

    def _lanes(self, rows: Sequence[OutboxRecord], outcome: Outcome) -> list[_Lane]:
        """Part *rows* by partition; those that can never go are refused at once."""
        lanes: dict[tuple[str, int], _Lane] = {}
        for row in rows:
            refusal = _refusal(row)
            if refusal:
                outcome.refused[row.position] = (row, refusal)
                continue
            where = (row.topic, self._partition(row))
            lane = lanes.get(where)
            if lane is None:
                lane = lanes[where] = _Lane(row.topic, f"{self._stream.settings.prefix}{row.topic}", where[1])
            lane.rows.append(row)
        return list(lanes.values())

    def _partition(self, row: OutboxRecord) -> int:
        every = self._every.get(row.topic)
        if every is None:
            every = self._every[row.topic] = list(range(topics.partitions(self._stream.settings, row.topic)))
        return int(self._partitioner(row.key.encode(), every, every))

    async def _in_order(self, producer: Any, lane: _Lane, outcome: Outcome) -> None:  # noqa: ANN401  aiokafka has no types
        """Send *lane* one batch after the other, up to the first that does not land."""
        for batch, chosen in self._batches(producer, lane.rows):
            try:
                async with asyncio.timeout(SENDING_S):
                    landing = await producer.send_batch(batch, lane.name, partition=lane.partition)
                await landing
            except (KafkaError, TimeoutError) as error:
                lane.error = error
                self._judge(error, chosen, outcome)
                return
            lane.answers += 1
            outcome.landed.update((row.position, (lane.topic, row.id)) for row in chosen)
            self._stream.brokers.back()

    def _judge(self, error: BaseException, chosen: list[OutboxRecord], outcome: Outcome) -> None:
        """Decide whose fault *error* is, and whether it is for good."""
        corrupt = isinstance(error, CorruptRecordException)
        if not corrupt and not isinstance(error, REFUSALS):
            return
        if len(chosen) > 1:
            self._singly.update(map(_which, chosen))
            return
        (row,) = chosen
        self._corrupt[_which(row)] += corrupt
        if not corrupt or self._corrupt[_which(row)] >= CORRUPT_SENDS:
            outcome.refused[row.position] = (row, f"Kafka refuses it: {told(error)}")

    def _batches(self, producer: Any, rows: Sequence[OutboxRecord]) -> Iterator[tuple[Any, list[OutboxRecord]]]:  # noqa: ANN401  aiokafka has no types
        batch = producer.create_batch()
        chosen: list[OutboxRecord] = []
        for row in rows:
            alone = _which(row) in self._singly
            if chosen and (alone or _which(chosen[-1]) in self._singly or not _put(batch, row)):
                yield batch, chosen
                batch, chosen = producer.create_batch(), []
            if not chosen:
                taken = _put(batch, row)
                assert taken  # the first always fits
            chosen.append(row)
        yield batch, chosen

    async def _unanswered(self, under_way: dict[asyncio.Task[None], _Lane]) -> Collection[asyncio.Task[None]]:
        """Wait for all; return those that get no answer though the same brokers answer others."""
        looks = 0
        waiting = set(under_way)
        while waiting:
            before = sum(lane.answers for lane in under_way.values())
            done, waiting = await asyncio.wait(waiting, timeout=LOOK_S)
            if done or sum(lane.answers for lane in under_way.values()) > before:
                looks, self._patience = 0, DEAF_LOOKS
            elif await self._answers_others([under_way[task] for task in waiting]):
                looks += 1
                if looks >= self._patience:
                    self._patience = min(DEAF_LOOKS_CAP, self._patience * 2)
                    return [task for task in waiting if not task.done()]
        return ()

    async def _answers_others(self, lanes: Sequence[_Lane]) -> bool:
        for name in {lane.name for lane in lanes}:
            if await self._stream.probe.ends(name, [lane.partition for lane in lanes if lane.name == name]) is None:
                return False
        return True


def told(error: BaseException) -> str:
    """Name *error* with what it says."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _which(row: OutboxRecord) -> tuple[int, str]:
    return row.position, row.id


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
