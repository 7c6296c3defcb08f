"""One lane a receiver: takes its due messages, brings them over, and never waits for another lane."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from datetime import UTC, tzinfo
from random import Random
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from notifier.backoff import Breaker, Pace, pause, wished
from notifier.dispatch import wake_name
from notifier.telling import ENTRIES_SHOWN, tell
from tocsin import metrics
from tocsin.errors import DeliveryDeferred, DeliveryRefused, StoreUnavailable
from tocsin.records import DeadLetter, Delivery, MessageKind, digest
from tocsin.stream.codec import decode_alert
from tocsin.stream.dead_letters import OUTBOX, put_aside

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from notifier.channels.port import Channel, Receipt
    from notifier.settings import ReceiverSettings
    from tocsin.clock import Clock
    from tocsin.store.port import Store
    from tocsin.store.tx import Tx

log = structlog.get_logger()
T = TypeVar("T")
Settlement = Callable[["Tx"], None]  # what becomes of a message, still to be written

IDLE_S: Final = 30.0
DRAIN_S: Final = 5.0
STORE_RETRY_S: Final = 1.0
REASON_LIMIT: Final = 2_000


class Lane:
    """Brings the outbox of one receiver over. All its state but the breaker is in the store.

    A message is marked as being sent before it is, and as done after the receiver's yes: who dies in between sends it
    again with the same key.
    """

    def __init__(
        self,
        name: str,
        settings: ReceiverSettings,
        *,
        open_channel: Callable[[], Channel],
        store: Store,
        clock: Clock,
        budgets: Callable[[str], str] = lambda _: "",
        zone: tzinfo = UTC,
        pace: Pace | None = None,
        random: Random | None = None,
    ) -> None:
        self.name = name
        self._settings = settings
        self._open_channel = open_channel
        self._store = store
        self._clock = clock
        self._budgets = budgets
        self._zone = zone
        self._pace = pace or Pace()
        self._random = random or Random()  # noqa: S311 - jitter, no secret
        self._breaker = Breaker(pace=self._pace)

    async def run(self) -> None:
        """Run until cancelled; what is on its way then has `DRAIN_S` to arrive."""
        again = await self._write(lambda tx: tx.notifier.recover(self.name))
        if again:
            log.warning("interrupted sends taken up again", receiver=self.name, messages=again)
        channel = self._open_channel()
        settle: Settlement | None = None
        try:
            while True:
                mark = self._store.mark(wake_name(self.name))
                resting = self._breaker.left(self._clock.now())
                most = 0 if resting else 1 if self._breaker.is_open else channel.at_once
                batch = await self._turn(settle, most)
                settle = None
                if resting:
                    await self._store.read(self._measure)
                    await self._clock.sleep(min(IDLE_S, resting.total_seconds()))
                elif batch:
                    settle = await self._send(batch, channel)
                else:
                    await self._idle(mark)
        finally:
            await channel.close()

    async def _turn(self, settle: Settlement | None, most: int) -> Sequence[Delivery]:
        """Settle the last message and take up to *most* new ones, in one commit."""
        now = self._clock.now()

        def unit(tx: Tx) -> Sequence[Delivery]:
            if settle is not None:
                settle(tx)
            return tx.notifier.claim(self.name, now, limit=most) if most else ()

        return await self._write(unit) if settle is not None or most else ()

    async def _idle(self, mark: int) -> None:
        def look(tx: Tx) -> datetime | None:
            self._measure(tx)
            return tx.notifier.next_try(self.name)

        due = await self._store.read(look)
        pause_s = IDLE_S if due is None else min(IDLE_S, (due - self._clock.now()).total_seconds())
        if pause_s > 0:
            await self._store.wait(wake_name(self.name), mark, timeout_s=pause_s)

    def _measure(self, tx: Tx) -> None:
        before = tx.notifier.waiting_for(self.name)
        age_s = (self._clock.now() - before.oldest).total_seconds() if before else 0.0
        metrics.OUTBOX_PENDING.labels(receiver=self.name).set(before.count if before else 0)
        metrics.OUTBOX_OLDEST_SECONDS.labels(receiver=self.name).set(age_s)

    async def _send(self, batch: Sequence[Delivery], channel: Channel) -> Settlement | None:
        """Bring all of *batch* over together. Cancelled, it gives what is under way a last moment.

        What becomes of a single message is left to the caller to write, along with its next claim.
        """
        single = len(batch) == 1
        async with asyncio.TaskGroup() as tasks:
            sends = [
                tasks.create_task(
                    self._deliver(delivery, channel, settle_now=not single), name=f"send:{self.name}:{delivery.key}"
                )
                for delivery in batch
            ]
            try:
                await asyncio.shield(asyncio.wait(sends))
            except asyncio.CancelledError:
                arrived, _ = await asyncio.wait(sends, timeout=DRAIN_S)
                if single and arrived and not sends[0].cancelled() and sends[0].exception() is None:
                    await self._write(sends[0].result())
                raise
        return sends[0].result() if single else None

    async def _deliver(self, delivery: Delivery, channel: Channel, *, settle_now: bool) -> Settlement:
        timeout_s = self._settings.timeout.total_seconds()
        try:
            try:
                async with asyncio.timeout(timeout_s):
                    receipt = await self._bring(delivery, channel)
            except TimeoutError:
                raise DeliveryDeferred(f"no answer within {timeout_s:g} s") from None
        except DeliveryDeferred as error:
            settle = self._deferred(delivery, error)
        except DeliveryRefused as error:
            self._breaker.succeed()
            settle = self._dead(delivery, str(error))
        except Exception:  # noqa: BLE001 - the record's bulkhead: a message that cannot be laid out must not stop the lane
            # Told as text: a logger that shows local variables would show secrets.
            settle = self._dead(delivery, traceback.format_exc())
        else:
            settle = self._done(delivery, receipt)
        if settle_now:
            await self._write(settle)
        return settle

    async def _bring(self, delivery: Delivery, channel: Channel) -> Receipt:
        wanted = delivery.alerts[:ENTRIES_SHOWN] if delivery.kind is MessageKind.DIGEST else delivery.alerts
        values = await self._store.read(lambda tx: tx.notifier.alert_values(wanted))
        if not values:
            raise DeliveryRefused("the alerts of this message are no longer kept")
        alerts = [decode_alert(value) for value in values]
        message = tell(delivery, alerts, budget=self._budgets(delivery.subscription), zone=self._zone)
        return await channel.send(message, attempt=delivery.attempts, accepted=delivery.accepted)

    def _done(self, delivery: Delivery, receipt: Receipt) -> Settlement:
        now = self._clock.now()
        self._breaker.succeed()
        self._count("done")
        if delivery.kind is not MessageKind.DIGEST:
            metrics.DELIVERY_SECONDS.observe((now - delivery.seen_at).total_seconds())
        if receipt.note:
            log.warning("message taken in part", receiver=self.name, key=delivery.key, note=receipt.note)
        return lambda tx: tx.notifier.done(delivery.key, remote=receipt.remote, at=now, note=receipt.note)

    def _deferred(self, delivery: Delivery, error: DeliveryDeferred) -> Settlement:
        now = self._clock.now()
        was_open = self._breaker.is_open
        if error.retry_after_s is not None:
            self._breaker.ask_for(wished(error.retry_after_s), now)
        else:
            self._breaker.fail(now, random=self._random)
        if self._breaker.is_open and not was_open:
            log.error("receiver fails again and again", receiver=self.name, reason=str(error))
        age = now - delivery.created_at
        if age >= self._settings.give_up_after or delivery.attempts >= self._settings.attempts:
            return self._dead(delivery, f"given up after {delivery.attempts} attempts in {age}: {error}")
        wait = pause(delivery.attempts, first=self._pace.first, cap=self._pace.cap, random=self._random)
        next_try = now + max(wait, wished(error.retry_after_s))
        self._count("deferred")
        log.info("message put off", receiver=self.name, key=delivery.key, reason=str(error), until=next_try)
        reason, accepted = str(error)[:REASON_LIMIT], error.accepted
        return lambda tx: tx.notifier.defer(delivery.key, next_try=next_try, reason=reason, accepted=accepted)

    def _dead(self, delivery: Delivery, reason: str) -> Settlement:
        now, told = self._clock.now(), reason[-REASON_LIMIT:]
        letter = DeadLetter(
            id=dead_letter_id(delivery.key),
            stage=f"receiver {self.name}",
            topic=OUTBOX,
            record_id=delivery.key,
            key=delivery.incident or "",
            reason=told,
            value=b"",
            at=now,
        )

        def unit(tx: Tx) -> None:
            tx.notifier.bury(delivery.key, reason=told, at=now)
            put_aside(tx, letter)

        self._count("dead")
        log.error("message given up", receiver=self.name, key=delivery.key, reason=told)
        return unit

    async def _write(self, unit: Callable[[Tx], T]) -> T:
        """Write *unit* however long the store takes: a yes that is forgotten would ring twice."""
        told = False
        while True:
            try:
                return await self._store.write(unit)
            except StoreUnavailable as error:
                if not told:
                    log.warning("store unavailable", receiver=self.name, reason=str(error), retry_s=STORE_RETRY_S)
                told = True
                await self._clock.sleep(STORE_RETRY_S)

    def _count(self, outcome: str) -> None:
        metrics.DELIVERIES.labels(receiver=self.name, outcome=outcome).inc()
        metrics.RECEIVER_BROKEN.labels(receiver=self.name).set(int(self._breaker.is_open))


def dead_letter_id(key: str) -> str:
    """Return the name under which a message given up lies among the dead letters."""
    return digest("dead letter", "outbox", key)
