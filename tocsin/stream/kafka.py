"""The stream on Apache Kafka: topics there, cursors in the store.

Imported in cluster mode only, for aiokafka takes its time.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from tocsin import metrics
from tocsin.errors import StoreUnavailable, StreamUnavailable
from tocsin.stream import topics
from tocsin.stream.brokers import Brokers
from tocsin.stream.lookers import Lookers
from tocsin.stream.member import KafkaReader
from tocsin.stream.port import Bounds
from tocsin.stream.probe import Probe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from tocsin.clock import Clock
    from tocsin.store.port import Store
    from tocsin.stream.port import StreamRecord
    from tocsin.stream.settings import KafkaSettings

RETRY_S: Final = 1.0
LAG_EVERY_S: Final = 15.0
LAG_FRESH_S: Final = 5.0  # whoever asks more often is told the same again


class KafkaStream:
    """`Stream` over the brokers. Opening it reaches for nobody; `keep` does, and readers wait for it."""

    def __init__(self, settings: KafkaSettings, *, store: Store, clock: Clock) -> None:
        self.settings = settings
        self.brokers = Brokers(settings)
        self.probe = Probe(self.brokers)
        self._lookers = Lookers(self.brokers)
        self.ready = asyncio.Event()  # once the topics are known to be what they must be
        self._store = store
        self._clock = clock
        self._lag: Mapping[tuple[str, str], int] = {}
        self._lag_at = float("-inf")
        self._measuring = asyncio.Lock()

    @property
    def trouble(self) -> str | None:
        """Why no broker can be reached, as long as none can."""
        return self.brokers.trouble

    async def prepare(self) -> None:
        """Make the topics that are missing and check the others; then readers and relay may begin.

        Raises:
            TopicsWrong: one is not as it must be; the message says what to run.
            StreamUnavailable: no broker answers as it should.
        """
        await topics.prepare(self.settings, self.brokers)
        self.brokers.back()
        self.ready.set()

    async def keep(self) -> None:
        """Prepare as soon as brokers answer, then measure the lag for ever: a stage of each process.

        Raises:
            TopicsWrong: a topic is not as it must be.
        """
        while not self.ready.is_set():
            try:
                await self.prepare()
            except StreamUnavailable as error:
                self.brokers.away(str(error))
                await self._clock.sleep(RETRY_S)
        while True:
            try:
                lag = await self.lag()
            except StoreUnavailable:
                lag = {}
            for (group, topic), behind in lag.items():
                metrics.LAG.labels(group=group, topic=topic).set(behind)
            await self._lookers.thin()
            await self._clock.sleep(LAG_EVERY_S)

    async def close(self) -> None:
        """Let the brokers go, in bounded time."""
        try:
            await self.probe.close()
        finally:
            await self._lookers.close()

    @asynccontextmanager
    async def reader(
        self, group: str, topic: str, *, shared: bool = False, patient: bool = False
    ) -> AsyncIterator[KafkaReader]:
        """Join *group*: *shared* with others, each with some of the partitions, else as the only one, with all.

        A *patient* one lets the brokers gather records for half a second. It connects with its first fetch; while no
        broker can be reached a fetch brings nothing.
        """
        reader = KafkaReader(
            self.settings,
            brokers=self.brokers,
            probe=self.probe,
            store=self._store,
            ready=self.ready,
            group=group,
            topic=topic,
            shared=shared,
            patient=patient,
        )
        try:
            yield reader
        finally:
            await reader.close()

    async def fetch(
        self, topic: str, *, start: int, most: int, timeout_s: float, partition: int = 0
    ) -> Sequence[StreamRecord]:
        """Look at up to *most* records at or after *start*, outside any group; wait up to *timeout_s* for the first.

        Raises:
            StreamUnavailable: no broker answers as it should.
        """
        name = f"{self.settings.prefix}{topic}"
        return await self._lookers.look(name, topic, partition, start=start, most=most, timeout_s=timeout_s)

    async def bounds(self, topic: str) -> Mapping[int, Bounds]:
        """Return what there is to look at, by partition; one without a leader is left out.

        Raises:
            StreamUnavailable: no broker answers as it should.
        """
        every = range(topics.partitions(self.settings, topic))
        name = f"{self.settings.prefix}{topic}"
        firsts = await self.probe.begins(name, every)
        ends = await self.probe.ends(name, every) if firsts is not None else None
        if firsts is None or ends is None:
            raise StreamUnavailable(self.trouble or "no broker answers")
        return {one: Bounds(firsts[one], ends[one]) for one in every if one in firsts and one in ends}

    async def lag(self) -> Mapping[tuple[str, str], int]:
        """Return, for each (group, topic) that has a cursor, how many records wait, and what the relay has before it.

        While no broker answers, the numbers of the groups are the last that were known; while a partition has no
        leader, they do not fall.
        """
        async with self._measuring:
            if time.monotonic() - self._lag_at >= LAG_FRESH_S:
                self._lag = {**self._lag, **await self.measured()}
                self._lag_at = time.monotonic()
            return self._lag

    async def measured(self) -> Mapping[tuple[str, str], int]:
        """Return what `lag` does, asked of the brokers now."""
        cursors = await self._store.read(lambda tx: tx.topics.cursors())
        waiting = dict(await self._store.read(lambda tx: tx.topics.lag()))  # of the relay
        gone = {at: 0 for at in self._lag if at not in cursors}  # what the relay had before it, say
        bounds: dict[str, Mapping[int, Bounds]] = {}
        for topic in {topic for _, topic in cursors if topic in topics.ALL}:
            try:
                bounds[topic] = await self.bounds(topic)
            except StreamUnavailable:
                return gone | waiting
        for (group, topic), positions in cursors.items():
            found = bounds.get(topic, {})
            behind = sum(
                bound.end - max(bound.first, positions.get(partition, 0))
                for partition, bound in found.items()
                if bound.end > positions.get(partition, 0)
            )
            whole = topic not in bounds or len(found) == topics.partitions(self.settings, topic)
            waiting[group, topic] = behind if whole else max(behind, self._lag.get((group, topic), 0))
        return gone | waiting
