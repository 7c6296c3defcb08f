"""Takes what was put out in the database to the brokers: one at a time has the right to, and none is trusted to.

A record is deleted from the outbox after every replica that must has it. A relay that dies in between, or that was
paused and has lost its right, sends a record twice, under the same id; none is left out.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import structlog

from tocsin import metrics
from tocsin.errors import StoreUnavailable, StreamUnavailable, TryLater
from tocsin.store.relayed import RELAY, WAKE
from tocsin.stream.backlog import Backlog
from tocsin.stream.dead_letters import letter_of, put_aside
from tocsin.stream.flight import Outcome, Sender, told
from tocsin.stream.inside import let_go
from tocsin.stream.port import StreamRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from tocsin.clock import Clock
    from tocsin.records import DeadLetter
    from tocsin.store.outbox import OutboxRecord
    from tocsin.store.port import Store
    from tocsin.store.tx import Tx
    from tocsin.stream.kafka import KafkaStream

log = structlog.get_logger()

BATCH_BYTES: Final = 256 * 1024  # of one partition in one request
IDLE_S: Final = 5.0  # longest wait for a wake-up before looking again
RETRY_S: Final = 0.5
PARTING_S: Final = 1.5
LANDING_S: Final = 1.0  # of that, for what is in the air


class Relay:
    """Empties the outbox for ever, whenever it has the right to.

    What the brokers have and the outbox does not know of yet is kept here, so that it is not sent again when the store
    is away for a moment. It is told before anything else is sent, so this is two flights at most, and a batch of each
    partition that was late.
    """

    def __init__(self, stream: KafkaStream, *, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._sender = Sender(stream)
        self._backlog = Backlog(self._sender.where)
        self._outcome = Outcome()
        self._removing: asyncio.Task[None] | None = None

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
        watching = asyncio.create_task(self._sender.watch(), name="relay watches")  # no TaskGroup: as below
        try:
            while True:
                try:
                    return await self._relay_while_stored(store, producer)
                except StoreUnavailable as error:
                    log.warning("store unavailable", stage=RELAY, reason=str(error))
                    await self._clock.sleep(RETRY_S)
        finally:
            watching.cancel()
            await self._part(store)

    async def _relay_while_stored(self, store: Store, producer: Any) -> str:  # noqa: ANN401  aiokafka has no types
        """Send one flight after the other; what has landed is removed while the next is in the air."""
        await self._removed_so_far()
        await self._remove(store)
        while True:
            mark = store.mark(WAKE)
            late = frozenset(self._sender.late().values())
            rows = await self._backlog.lowest(store, late=late, but=self._outcome.positions())
            error = await self._sender.send(producer, rows, self._outcome)
            await self._removed_so_far()
            if self._outcome:
                # no TaskGroup: it would cancel what is in the air together with us
                self._removing = asyncio.create_task(self._remove(store), name="relay removes")
            if error is not None:
                return told(error)
            if not rows:
                await self._removed_so_far()
                await self._idle(store, mark)

    async def _idle(self, store: Store, mark: int) -> None:
        """Wait until something is put out, or what was late is no longer in the air."""
        late = self._sender.late()
        if not late:
            await store.wait(WAKE, mark, timeout_s=IDLE_S)
            return
        waking = asyncio.create_task(store.wait(WAKE, mark, timeout_s=IDLE_S), name="relay waits")
        try:
            await asyncio.wait({waking, *late}, return_when=asyncio.FIRST_COMPLETED)
            if waking.done():
                waking.result()
        finally:
            waking.cancel()
            await asyncio.wait({waking})

    async def _removed_so_far(self) -> None:
        """Wait for the removal that is under way; what it failed of is raised here, once."""
        removing, self._removing = self._removing, None
        if removing is not None:
            await removing

    async def _part(self, store: Store) -> None:
        """Wait a moment for what is in the air, so that the next relay need not send it again."""
        removing, self._removing = self._removing, None
        try:
            async with asyncio.timeout(PARTING_S):
                await self._sender.land(within_s=LANDING_S)
                if removing is not None:
                    await removing
                await self._remove(store)
        except (TimeoutError, TryLater):
            pass  # it is sent again, under the same id
        finally:
            await self._sender.land(within_s=0)
            if removing is not None and not removing.done():
                removing.cancel()
                await asyncio.wait({removing}, timeout=PARTING_S)

    async def _remove(self, store: Store) -> None:
        """Have the outbox forget what has landed so far, and what never will."""
        outcome = self._outcome.copy()
        if not outcome:
            return
        at = self._clock.now()
        letters = [(row, _letter(row, reason, at=at)) for row, reason in outcome.refused.values()]
        await store.write(partial(_removed, landed=outcome.landed, letters=letters))
        self._outcome.forget(outcome)
        self._sender.forget(outcome.positions())
        for row, reason in outcome.refused.values():
            log.error("record set aside", stage=RELAY, topic=row.topic, record=row.id, reason=reason)
        for topic, count in Counter(topic for topic, _ in outcome.landed.values()).items():
            metrics.RELAY_PUBLISHED.labels(topic=topic).inc(count)


def _removed(
    tx: Tx, *, landed: Mapping[int, tuple[str, str]], letters: Sequence[tuple[OutboxRecord, DeadLetter]]
) -> None:
    tx.outbox.remove_landed({position: record_id for position, (_, record_id) in landed.items()})
    for row, letter in letters:
        if tx.outbox.remove({row.position: row.id}):  # else another relay has brought it there, or set it aside
            put_aside(tx, _counted(tx, letter))


def _counted(tx: Tx, letter: DeadLetter) -> DeadLetter:
    """Return *letter* with how often its record was set aside, replays that failed included."""
    replayed = tx.replays.get(letter.id)
    if replayed is None:
        return letter
    tx.replays.remove(letter.id, by=None)
    return replace(letter, times=replayed.times + 1)


def _letter(row: OutboxRecord, reason: str, *, at: datetime) -> DeadLetter:
    record = StreamRecord(
        topic=row.topic, partition=0, offset=row.position, key=row.key, id=row.id, value=row.value, damage=reason
    )
    return letter_of(record, stage=RELAY, reason=reason, at=at)
