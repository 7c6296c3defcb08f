"""Looks at the brokers from outside any group, with clients that are kept for the next look.

A look that goes through a topic page by page would otherwise reach for the brokers at each page.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException, KafkaError, OffsetOutOfRangeError

from tocsin.errors import StreamUnavailable
from tocsin.stream.doubts import Doubts
from tocsin.stream.inside import let_go
from tocsin.stream.membership import FETCH_BYTES, PARTITION_FETCH_BYTES
from tocsin.stream.messages import record_of, unreadable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tocsin.stream.brokers import Brokers
    from tocsin.stream.port import StreamRecord

LOOK_WAIT_MS: Final = 100
LOOK_ANSWER_S: Final = 10.0  # of the brokers, beyond the time that a look may wait for a record to come
KEPT: Final = 16  # clients between two looks: who follows a topic looks at all its partitions at once
KEPT_S: Final = 60.0


class Lookers:
    """Clients that look, each at one partition at a time. One that fails is thrown away."""

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers
        self._idle: list[tuple[float, Any]] = []  # since when, the longest first

    async def look(
        self, name: str, topic: str, partition: int, *, start: int, most: int, timeout_s: float
    ) -> Sequence[StreamRecord]:
        """Return up to *most* records of *topic*, called *name* there, at or after *start*.

        Waits up to *timeout_s* for the first.

        Raises:
            StreamUnavailable: no broker answers as it should.
        """
        where = TopicPartition(name, partition)
        async with self._one(where) as consumer:
            try:
                async with asyncio.timeout(timeout_s + LOOK_ANSWER_S):
                    found = await _look(consumer, where, topic, start=start, most=most, timeout_s=timeout_s)
            except (KafkaError, OSError, TimeoutError) as error:
                reason = self._brokers.objection(consumer) or await self._brokers.complaint(error)
                raise StreamUnavailable(reason) from error
        self._brokers.back()
        return found

    async def close(self) -> None:
        """Let all of them go that nobody looks with."""
        await self._let_go(self._idle)

    async def thin(self) -> None:
        """Let those go that nobody has looked with for a while."""
        old = time.monotonic() - KEPT_S
        await self._let_go([one for one in self._idle if one[0] < old])

    async def _let_go(self, some: Sequence[tuple[float, Any]]) -> None:
        for one in tuple(some):
            if one in self._idle:  # else somebody looks with it by now
                self._idle.remove(one)
                await let_go(one[1])

    @asynccontextmanager
    async def _one(self, where: TopicPartition) -> AsyncIterator[Any]:
        """Yield a client, the one that looked at *where* last if it is there."""
        consumer = self._taken(where)
        if consumer is None:
            consumer = self._brokers.consumer(
                group_id=None,
                max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
                fetch_max_bytes=FETCH_BYTES,
                fetch_max_wait_ms=LOOK_WAIT_MS,
            )
            await self._brokers.start(consumer)
        whole = False
        try:
            yield consumer
            whole = True
        finally:
            if whole and len(self._idle) < KEPT:
                consumer.pause(where)  # or it would read on
                self._idle.append((time.monotonic(), consumer))
            else:
                await let_go(consumer)

    def _taken(self, where: TopicPartition) -> Any:  # noqa: ANN401  aiokafka has no types
        if not self._idle:
            return None
        same = [one for one in self._idle if where in one[1].assignment()]
        one = (same or self._idle)[-1]
        self._idle.remove(one)
        return one[1]


async def _look(
    consumer: Any,  # noqa: ANN401  aiokafka has no types
    where: TopicPartition,
    topic: str,
    *,
    start: int,
    most: int,
    timeout_s: float,
) -> list[StreamRecord]:
    if where in consumer.assignment():
        consumer.resume(where)
    else:
        consumer.assign([where])
    consumer.seek(where, start)
    end = (await consumer.end_offsets([where]))[where]
    deadline = time.monotonic() + timeout_s
    found: list[StreamRecord] = []
    doubts = Doubts()
    position, careful = start, 0
    while len(found) < most and (position < end or (not found and time.monotonic() < deadline)):
        # Where a batch is damaged, what is before it comes only if it is asked for alone.
        at_once = 1 if position < careful else most - len(found)
        try:
            batch = await consumer.getmany(where, timeout_ms=LOOK_WAIT_MS, max_records=at_once)
        except OffsetOutOfRangeError:
            first = (await consumer.beginning_offsets([where]))[where]
            if position >= first:  # beyond the end: nothing is there yet
                await asyncio.sleep(LOOK_WAIT_MS / 1000)
            position = max(position, first)
            consumer.seek(where, position)
            continue
        except CorruptRecordException:
            careful = position + most
            if at_once == 1 and doubts.is_damaged(where.partition, position):
                found.append(unreadable(topic, where.partition, position))
                position += 1
            consumer.seek(where, position)
            continue
        for message in batch.get(where, ()):
            found.append(record_of(topic, message))
            position = message.offset + 1
    return found
