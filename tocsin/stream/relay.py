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

AT_ONCE: Final = 1_000  # records in one flight
AT_ONCE_BYTES: Final = 8 * 1024 * 1024
BATCH_BYTES: Final = 256 * 1024  # of one partition in one request
IDLE_S: Final = 5.0  # longest wait for a wake-up before looking again
RETRY_S: Final = 0.5
PARTING_S: Final = 1.5
LANDING_S: Final = 1.0  # of that, for what is in the air


class Relay:
    """Empties the outbox for ever, whenever it has the right to.

    What the brokers have and the outbox does not know of yet is kept here, so that it is not sent again when the store
    is away for a moment. It is told before anything else is sent, so this is two flights at most.
    """

    def __init__(self, stream: KafkaStream, *, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._sender = Sender(stream)
        self._outcome = Outcome()

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
        await self._remove(store)
        sending: asyncio.Task[BaseException | None] | None = None
        removing: asyncio.Task[None] | None = None
        loop = asyncio.get_running_loop()  # no TaskGroup: it would cancel what is in the air together with us
        try:
            while True:
                mark = store.mark(WAKE)
                rows = await _lowest(store, but=self._outcome.positions())
                error = None
                if rows:
                    flight = self._sender.send(producer, rows, self._outcome)
                    sending = loop.create_task(flight, name="relay sends")
                    error = await asyncio.shield(sending)
                    sending = None
                if removing is not None:
                    await removing
                    removing = None
                if not rows:
                    await store.wait(WAKE, mark, timeout_s=IDLE_S)
                    continue
                removing = loop.create_task(self._remove(store), name="relay removes")
                if error is not None:
                    return told(error)
        finally:
            await self._part(store, sending, removing)

    async def _part(
        self, store: Store, sending: asyncio.Task[BaseException | None] | None, removing: asyncio.Task[None] | None
    ) -> None:
        """Wait a moment for what is in the air, so that the next relay need not send it again."""
        try:
            async with asyncio.timeout(PARTING_S):
                if sending is not None:
                    await asyncio.wait({sending}, timeout=LANDING_S)
                if removing is not None:
                    await removing
                await self._remove(store)
        except (TimeoutError, TryLater):
            pass  # it is sent again, under the same id
        finally:
            for task in (sending, removing):
                if task is not None and not task.done():
                    task.cancel()
                    await asyncio.wait({task}, timeout=PARTING_S)

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


async def _lowest(store: Store, *, but: frozenset[int]) -> list[OutboxRecord]:
    return await store.read(lambda tx: tx.outbox.lowest(most=AT_ONCE, most_bytes=AT_ONCE_BYTES, but=but))


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
