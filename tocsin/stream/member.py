"""One reader of a topic on the brokers: a member of a group that shares its partitions, or the one that has them all.

The cursor is in the store, so nothing is ever committed to Kafka. A partition that was taken away while its records
are worked on needs no care: whoever has it now has moved the cursor, and what we write is refused (`Fenced`).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from tocsin import metrics
from tocsin.errors import StoreUnavailable, StreamUnavailable
from tocsin.stream.doubts import Doubts, partition_of
from tocsin.stream.gone import go_on_at
from tocsin.stream.inside import let_go
from tocsin.stream.membership import Listener, arguments, require_session_taken
from tocsin.stream.messages import record_of, unreadable
from tocsin.stream.standstill import Standstill
from tocsin.stream.topics import partitions

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from aiokafka import ConsumerRecord

    from tocsin.store.port import Store
    from tocsin.store.tx import Tx
    from tocsin.stream.brokers import Brokers
    from tocsin.stream.port import StreamRecord
    from tocsin.stream.probe import Probe
    from tocsin.stream.settings import KafkaSettings

log = structlog.get_logger()

TURN_S: Final = 1.0  # longest wait inside aiokafka before we look whether all is well
RETRY_S: Final = 0.5
SETTLE_S: Final = 0.02
LOST_S: Final = 3.0  # beyond the session time-out: a group that gives us nothing for so long has forgotten us
FENCED_TWICE_S: Final = 10.0


class KafkaReader:
    """`Reader` over the brokers. Connects when it is first asked for records, and again whenever that helps."""

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        brokers: Brokers,
        probe: Probe,
        store: Store,
        ready: asyncio.Event,
        group: str,
        topic: str,
        shared: bool,
        patient: bool,
    ) -> None:
        self._settings = settings
        self._brokers = brokers
        self._probe = probe
        self._store = store
        self._ready = ready
        self._group = group
        self._topic = topic
        self._shared = shared
        self._patient = patient
        self._name = f"{settings.prefix}{topic}"
        self._consumer: Any = None

        self._given: frozenset[int] | None = None  # None: a rebalance is under way
        self._given_since = time.monotonic()
        self._unsettled = False
        self._positions: dict[int, int] = {}  # of what is fetched next; the partitions that we are settled on
        self._cursors: dict[int, int] = {}
        self._generations: Counter[int] = Counter()

        self._standstill = Standstill()
        self._idle = True
        self._fenced_at = float("-inf")
        self._doubts = Doubts()

    # ---------------------------------------------------------------------------------------------- the port

    async def fetch(self, *, most: int, timeout_s: float) -> Sequence[StreamRecord]:
        """Return the next records, up to *most*; wait up to *timeout_s* while there is none, or nobody to ask.

        Raises:
            Stop: the brokers will never have us as a member of the group.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            found = await self._turn(most, max(0.01, min(TURN_S, deadline - time.monotonic())))
            if found or time.monotonic() >= deadline:
                return found

    def generation(self, partition: int) -> int:
        """Return a number that changes whenever the cursor of *partition* was read anew."""
        return self._generations[partition]

    def cursor(self, partition: int) -> int:
        """Return where the group's cursor stood when it was last read."""
        return self._cursors.get(partition, 0)

    def seek(self, partition: int, offset: int) -> None:
        """Read *partition* from *offset* on; nothing happens when it is not ours any more."""
        if partition in self._positions:  # in a rebalance, too: `_settle` goes there if it stays ours
            self._seek(partition, offset)

    async def rewind(self) -> None:
        """Read on from where the group's cursors stand in the store, with the next fetch."""
        self._positions.clear()
        self._unsettled = True
        again = time.monotonic() - self._fenced_at < FENCED_TWICE_S
        self._fenced_at = time.monotonic()
        if again and self._shared and self._consumer is not None:
            # Others move what we hold for ours: the group went on without us and we were not told.
            await self._rebuild("fenced twice in a row")

    async def close(self) -> None:
        """Leave the group and the brokers, in bounded time."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await let_go(consumer)

    # ------------------------------------------------------------------------------------------ one turn of it

    async def _turn(self, most: int, wait_s: float) -> Sequence[StreamRecord]:
        await self._watch()  # first: what was fetched must not wait for an answer, nor be lost with a cancellation
        if self._consumer is None and not await self._connect(wait_s):
            return ()
        try:
            records = await self._brought(most, wait_s)
        except OffsetOutOfRangeError as error:
            await self._begin_anew(error)
        except CorruptRecordException as error:
            return await self._damaged(error)
        except KafkaError as error:
            require_session_taken(error, self._settings)
            await self._rebuild(f"{type(error).__name__}: {error}")
            await asyncio.sleep(RETRY_S)
        else:
            self._idle = not records
            return records
        return ()

    async def _brought(self, most: int, wait_s: float) -> Sequence[StreamRecord]:
        try:
            await self._settle()
            if self._unsettled:
                await asyncio.sleep(SETTLE_S)
            async with asyncio.timeout(wait_s + RETRY_S):  # aiokafka waits for the end of a rebalance without bound
                found = await self._consumer.getmany(timeout_ms=int(wait_s * 1000), max_records=most)
        except TimeoutError:
            return ()
        except NoOffsetForPartitionError:
            self._unsettled = True  # between an assignment and our seek, for Kafka has no offsets of ours
            return ()
        except StoreUnavailable as error:
            log.warning("cursors not read", group=self._group, topic=self._topic, reason=str(error))
            self._unsettled = True
            await asyncio.sleep(RETRY_S)
            return ()
        return self._taken(found)

    def _taken(self, found: dict[TopicPartition, list[ConsumerRecord]]) -> list[StreamRecord]:
        records: list[StreamRecord] = []
        for of, messages in found.items():
            if of.partition not in self._positions or self._unsettled:
                self._unsettled = True  # given to us a moment ago, and not from where we want it
                continue
            records.extend(record_of(self._topic, message) for message in messages)
            self._positions[of.partition] = messages[-1].offset + 1
        if records:
            self._brokers.back()
            self._standstill.moved((of.partition for of in found), now=time.monotonic())
            self._standstill.flowed()
        return records

    async def _connect(self, wait_s: float) -> bool:
        if not self._ready.is_set():
            try:
                async with asyncio.timeout(wait_s):
                    await self._ready.wait()
            except TimeoutError:
                return False
        consumer = self._brokers.consumer(
            **arguments(self._settings, self._group, self._topic, shared=self._shared, patient=self._patient)
        )
        try:
            await self._brokers.start(consumer)
        except StreamUnavailable as error:
            self._brokers.away(str(error))
            await asyncio.sleep(RETRY_S)
            return False
        self._consumer = consumer
        self._given, self._given_since = None, time.monotonic()
        if self._shared:
            consumer.subscribe([self._name], listener=Listener(self, group=self._group))
        else:
            mine = range(partitions(self._settings, self._topic))
            consumer.assign([TopicPartition(self._name, one) for one in mine])
            self.given(mine)
        return True

    # -------------------------------------------------------------------------------------- whose partitions

    def taken_away(self) -> None:
        """Hear that a rebalance begins; it may well give us the same partitions again."""
        self._given, self._given_since = None, time.monotonic()

    def given(self, mine: Collection[int]) -> None:
        """Hear which partitions are ours from now on."""
        self._given, self._given_since = frozenset(mine), time.monotonic()
        for lost in self._positions.keys() - self._given:
            del self._positions[lost]
        self._unsettled = True

    async def _settle(self) -> None:
        """Go to the cursors of partitions that are new to us, and to where we were in the others."""
        while self._unsettled and self._given is not None:
            self._unsettled = False
            new = self._given - self._positions.keys()
            if new:
                read = partial(_cursors, group=self._group, topic=self._topic, partitions=new)
                cursors = await self._store.read(read)
                if self._unsettled or self._given is None:
                    self._unsettled = True
                    continue
                for one, cursor in cursors.items():
                    self._positions[one] = self._cursors[one] = cursor
                    self._generations[one] += 1
                self._standstill.moved(new, now=time.monotonic())
            for one, position in self._positions.items():
                self._seek(one, position)
            return

    def _seek(self, partition: int, offset: int) -> None:
        self._positions[partition] = offset
        try:
            if self._consumer is not None:
                self._consumer.seek(TopicPartition(self._name, partition), offset)
        except IllegalStateError:  # not ours at this moment; `given` will tell
            self._unsettled = True

    # ------------------------------------------------------------------------------------------ when it goes wrong

    async def _begin_anew(self, error: OffsetOutOfRangeError) -> None:
        """Go on at the oldest record there is, and raise the alarm over those that are gone."""
        asked = {of.partition: offset for of, offset in error.args[0].items()}
        begins = await self._probe.begins(self._name, asked)
        ends = await self._probe.ends(self._name, asked)
        if begins is None or ends is None:
            await asyncio.sleep(RETRY_S)
            return
        anew = go_on_at(asked, begins=begins, ends=ends, group=self._group, topic=self._topic)
        for one, begin in anew.items():
            if one in self._positions:
                self._seek(one, begin)

    async def _damaged(self, error: CorruptRecordException) -> Sequence[StreamRecord]:
        """Find the batch whose checksum is wrong, record by record, and after a few tries set its records aside."""
        # aiokafka has gone on in every partition and dropped what it had of this turn.
        for one, position in list(self._positions.items()):
            self._seek(one, position)
        where = partition_of(error)
        if where is None or where not in self._positions:
            await asyncio.sleep(RETRY_S)
            return ()
        offset = self._positions[where]
        try:
            async with asyncio.timeout(TURN_S + RETRY_S):
                of = TopicPartition(self._name, where)
                return self._taken(await self._consumer.getmany(of, timeout_ms=int(TURN_S * 1000), max_records=1))
        except TimeoutError:
            return ()
        except CorruptRecordException:
            self._seek(where, offset)
        if not self._doubts.is_damaged(where, offset):
            log.warning("batch unreadable", topic=self._topic, partition=where, offset=offset, reason=str(error))
            return ()
        self._seek(where, offset + 1)
        return [unreadable(self._topic, where, offset)]

    async def _watch(self) -> None:
        """See by another way whether records wait that this consumer does not bring, and replace it if so."""
        if self._consumer is None:
            return
        now = time.monotonic()
        mine = self._positions if self._given is not None else ()  # in a rebalance everybody waits
        quiet = self._standstill.quiet(mine, now=now, idle=self._idle)
        forgotten = self._given is None and now - self._given_since >= self._lost_after_s()
        if not quiet and not forgotten:
            return
        ends = await self._probe.ends(self._name, quiet or [0])
        stuck = self._standstill.stuck({one: self._positions[one] for one in quiet if one in self._positions}, ends)
        if ends is None:
            self._given_since = now  # nobody answers anybody: it is not we who were forgotten
        elif stuck:
            await self._rebuild(f"{sum(stuck.values())} records wait in partitions {sorted(stuck)} and none came")
        elif forgotten:
            await self._rebuild(f"no partitions given for {now - self._given_since:.0f} s")

    def _lost_after_s(self) -> float:
        return self._settings.session.total_seconds() + LOST_S

    async def _rebuild(self, reason: str) -> None:
        log.warning("consumer rebuilt", group=self._group, topic=self._topic, reason=reason)
        metrics.CONSUMER_REBUILDS.labels(group=self._group, topic=self._topic).inc()
        self._standstill.replaced()
        await self.close()


def _cursors(tx: Tx, *, group: str, topic: str, partitions: Collection[int]) -> dict[int, int]:
    return {one: tx.topics.position(group, topic, one) for one in partitions}
