"""How rows of the outbox cross to the brokers: partitions side by side, and each a batch at a time.

A batch is sent when the one before it has landed, and a partition ends at its first failure. So whatever fails, no
record lands before an earlier one of its key, and what did not land goes again from there.

Nobody waits for a partition whose brokers do not answer: it stays late, with one batch in the air, while the others
go on, until its batch has landed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
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
from tocsin.store.outbox import OutboxRecord
from tocsin.stream import topics, wire

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence, Set as AbstractSet

    from tocsin.stream.kafka import KafkaStream

log = structlog.get_logger()

SENDING_S: Final = 10.0  # for the client to take a batch, not for the brokers to acknowledge it
LOOK_S: Final = 1.0  # without any answer, and a partition is late; then, how often we ask whether others are answered
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


Where = tuple[str, int]  # topic, partition


@dataclass(slots=True)
class _Lane:
    """The rows of one partition, on their way in order."""

    where: Where
    name: str  # the broker's, of the topic
    rows: list[OutboxRecord] = field(default_factory=list)
    answers: int = 0
    error: BaseException | None = None  # why some go again
    late: bool = False  # nobody waits for it: it ends with the batch that is in the air
    looks: int = 0  # that found others answered


class Sender:
    """Sends rows in order, and remembers of some that they were refused among others."""

    def __init__(self, stream: KafkaStream) -> None:
        self._stream = stream
        self._partitioner = DefaultPartitioner()
        self._every: dict[str, list[int]] = {}
        # By position and id: a standby that lacks our last commits gives their positions to others.
        self._singly: set[tuple[int, str]] = set()  # sent alone, because one of them is refused
        self._corrupt: Counter[tuple[int, str]] = Counter()
        self._aloft: dict[asyncio.Task[None], _Lane] = {}
        self._told: frozenset[Where] = frozenset()
        self._patience: dict[Where, int] = {}  # in looks, of partitions for which a new producer was no help

    async def send(self, producer: Any, rows: Sequence[OutboxRecord], outcome: Outcome) -> BaseException | None:  # noqa: ANN401  aiokafka has no types
        """Send *rows*, none of a partition that is late, and note in *outcome*, as it happens, what became of them.

        Returns why some of them, or of those that were late, did not land; then *producer* is of no more use.
        """
        on_time = {}
        for lane in self._lanes(rows, outcome):
            task = asyncio.create_task(self._in_order(producer, lane, outcome), name=f"send {lane.name}")
            on_time[task] = lane
        self._aloft |= on_time
        waiting = set(on_time)
        while waiting:
            before = sum(lane.answers for lane in on_time.values())
            done, waiting = await asyncio.wait(waiting, timeout=LOOK_S)
            if not done and before == sum(lane.answers for lane in on_time.values()):
                for lane in (on_time[task] for task in waiting):
                    lane.late = True
                    lane.rows.clear()  # those in the air are the batch's; the others come again once they have landed
                break
        return self._error()

    def late(self) -> Mapping[asyncio.Task[None], Where]:
        """Return what is in the air of partitions that nobody waits for."""
        return {task: lane.where for task, lane in self._aloft.items() if lane.late}

    def where(self, topic: str, key: str) -> Where:
        """Say which partition of *topic* the records of *key* go to."""
        every = self._every.get(topic)
        if every is None:
            every = self._every[topic] = list(range(topics.partitions(self._stream.settings, topic)))
        return topic, int(self._partitioner(key.encode(), every, every))

    async def watch(self) -> None:
        """Give up for ever whatever is late though the leader of its partition answers others."""
        while True:
            await asyncio.sleep(LOOK_S)
            late = [(task, self._aloft[task]) for task in self.late() if not task.done()]
            answered = await self._answered([lane for _, lane in late])
            self._tell({lane.where for _, lane in late})
            for task, lane in late:
                lane.looks += lane.where in answered
                patience = self._patience.get(lane.where, DEAF_LOOKS)
                if lane.looks >= patience and not task.done():
                    self._patience[lane.where] = min(DEAF_LOOKS_CAP, patience * 2)
                    lane.error = TimeoutError(
                        f"{lane.name}-{lane.where[1]}: brokers answer others and not this producer"
                    )
                    task.cancel()

    async def land(self, *, within_s: float) -> None:
        """Wait a moment for what is on time, and give up everything that is in the air then."""
        on_time = {task for task, lane in self._aloft.items() if not lane.late}
        try:
            if on_time:
                await asyncio.wait(on_time, timeout=within_s)
        finally:
            aloft, self._aloft = self._aloft, {}
            for task in aloft:
                task.cancel()
            if aloft:
                await asyncio.wait(aloft)

    def forget(self, positions: Collection[int]) -> None:
        """Forget what is remembered of rows that never come again."""
        self._singly = {one for one in self._singly if one[0] not in positions}
        for one in [one for one in self._corrupt if one[0] in positions]:
            del self._corrupt[one]

    def _lanes(self, rows: Sequence[OutboxRecord], outcome: Outcome) -> list[_Lane]:
        """Part *rows* by partition; those that can never go are refused at once."""
        lanes: dict[Where, _Lane] = {}
        for row in rows:
            refusal = _refusal(row)
            if refusal:
                outcome.refused[row.position] = (row, refusal)
                continue
            where = self.where(row.topic, row.key)
            lane = lanes.get(where)
            if lane is None:
                lane = lanes[where] = _Lane(where, f"{self._stream.settings.prefix}{row.topic}")
            lane.rows.append(row)
        return list(lanes.values())

    async def _in_order(self, producer: Any, lane: _Lane, outcome: Outcome) -> None:  # noqa: ANN401  aiokafka has no types
        """Send *lane* one batch after the other, up to the first that does not land, or that lands late."""
        topic, partition = lane.where
        for batch, chosen in self._batches(producer, lane.rows):
            try:
                async with asyncio.timeout(SENDING_S):
                    landing = await producer.send_batch(batch, lane.name, partition=partition)
                await landing  # for as long as it takes: a batch of an idempotent producer is never given up
            except (KafkaError, TimeoutError) as error:
                lane.error = error
                self._judge(error, chosen, outcome)
                return
            lane.answers += 1
            self._patience.pop(lane.where, None)
            outcome.landed.update((row.position, (topic, row.id)) for row in chosen)
            self._stream.brokers.back()
            if lane.late:
                return

    def _error(self) -> BaseException | None:
        """Forget the lanes that have ended; return why one of them did not get all of its rows across."""
        ended = {task: lane for task, lane in self._aloft.items() if task.done()}
        for task, lane in ended.items():
            del self._aloft[task]
            if lane.error is None:
                task.result()  # a mistake of ours ends the stage
        metrics.RELAY_LATE.set(len(self.late()))
        return next((lane.error for lane in ended.values() if lane.error is not None), None)

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

    def _tell(self, late: AbstractSet[Where]) -> None:
        """Log which partitions are *late* though brokers answer, and when none is any more."""
        if self._stream.brokers.trouble is not None:
            return  # that is told already, and is nothing to do with them
        if late - self._told:
            log.warning(
                "partitions do not take their records", partitions=sorted(f"{topic}-{at}" for topic, at in late)
            )
        elif self._told and not late:
            log.info("partitions take their records again")
        self._told = frozenset(late)

    async def _answered(self, lanes: Sequence[_Lane]) -> frozenset[Where]:
        """Return which partitions of *lanes* have a leader that answers another client of ours."""
        found = set()
        for name in {lane.name for lane in lanes}:
            asked = {lane.where[1]: lane.where for lane in lanes if lane.name == name}
            found |= {asked[one] for one in await self._stream.probe.ends(name, asked) or ()}
        return frozenset(found)


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
