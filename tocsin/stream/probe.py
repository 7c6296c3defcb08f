"""A second, independent way to the brokers: it says where partitions begin and end while a reader hears nothing.

A broker that restarts raises no exception in aiokafka, and a client that is stuck does not know it. This one
is thrown away at its first failure.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from tocsin.errors import StreamUnavailable
from tocsin.stream.inside import has_leaderless, led, let_go

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tocsin.stream.brokers import Brokers

ANSWER_S: Final = 2.0  # once a broker is reached


class Probe:
    """Asks for offsets in bounded time; None means that no broker answers. A partition without a leader is left out."""

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers
        self._consumer: Any = None
        self._starting = asyncio.Lock()
        self._failures = 0  # to start: who has waited for one need not try itself

    async def ends(self, name: str, partitions: Iterable[int]) -> Mapping[int, int] | None:
        """Return the offset that the next record of each partition will have."""
        return await self._ask("end_offsets", name, partitions)

    async def begins(self, name: str, partitions: Iterable[int]) -> Mapping[int, int] | None:
        """Return the offset of the oldest record that each partition still has."""
        return await self._ask("beginning_offsets", name, partitions)

    async def close(self) -> None:
        """Let the brokers go."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await let_go(consumer)

    async def _ask(self, what: str, name: str, partitions: Iterable[int]) -> Mapping[int, int] | None:
        try:
            consumer = await self._started()
        except StreamUnavailable as error:
            self._brokers.away(str(error))
            return None
        wanted = [TopicPartition(name, one) for one in partitions]
        try:
            found = await self._offsets(consumer, what, wanted)
        except (KafkaError, OSError, TimeoutError) as error:
            if self._consumer is consumer:
                self._consumer = None
            await let_go(consumer)
            self._brokers.away(f"offsets of {name}: {str(error) or f'no answer in {ANSWER_S:.0f} s'}")
            return None
        self._brokers.back()
        return {one.partition: offset for one, offset in found.items()}

    async def _offsets(
        self,
        consumer: Any,  # noqa: ANN401  aiokafka has no types
        what: str,
        wanted: Sequence[TopicPartition],
    ) -> Mapping[TopicPartition, int]:
        """Ask once more without those that turn out to have no leader: aiokafka asks for them until time is over."""
        try:
            return await self._offsets_of_led(consumer, what, wanted)
        except (KafkaError, TimeoutError):
            if not has_leaderless(consumer, wanted):
                raise
        return await self._offsets_of_led(consumer, what, wanted)

    async def _offsets_of_led(
        self,
        consumer: Any,  # noqa: ANN401  aiokafka has no types
        what: str,
        wanted: Sequence[TopicPartition],
    ) -> Mapping[TopicPartition, int]:
        async with asyncio.timeout(ANSWER_S):
            asked = await led(consumer, wanted)
            return dict(await getattr(consumer, what)(asked)) if asked else {}

    async def _started(self) -> Any:  # noqa: ANN401  aiokafka has no types
        failures = self._failures
        async with self._starting:
            if self._consumer is None and self._failures > failures:
                raise StreamUnavailable(self._brokers.trouble or "no broker answers")  # to whom we have waited for
            if self._consumer is None:
                consumer = self._brokers.consumer(group_id=None)
                try:
                    await self._brokers.start(consumer)
                except StreamUnavailable:
                    self._failures += 1
                    raise
                self._consumer = consumer
            return self._consumer
