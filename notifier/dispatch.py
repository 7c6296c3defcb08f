"""From an alert to the outbox, inside one transaction: ring now, wait for more, answer in a thread, or collect.

Three things are kept back for a moment, each with a durable timer: a `group` waits for further steps of its incident,
the `opening` picture gathers what was seen too late to ring singly, and the `budget` digest what was too much.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from notifier.routing import AT_ONCE, Route, Verdict, is_void, message_kind, routes, rulings
from tocsin.records import Alert, Delivery, MessageKind, digest
from tocsin.store.notifier import Held, NotedVerdict, Told
from tocsin.stream.codec import decode_alert

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from notifier.settings import NotifierSettings, SubscriptionSettings
    from tocsin.clock import Clock
    from tocsin.store.timers import Timer
    from tocsin.store.tx import Tx
    from tocsin.stream.port import StreamRecord

log = structlog.get_logger()

ROOM: Final = "notifier"
GROUP, OPENING, BUDGET = "group", "opening", "budget"
OPENING_LIMIT: Final = 10  # times `opening_wait`: how long late alerts may put the opening picture off


def wake_name(receiver: str) -> str:
    """Return what a lane waits for."""
    return f"outbox:{receiver}"


class Dispatcher:
    """The notifier's reading side: `work` for the consumer of alerts, `on_timer` for the room's timers."""

    def __init__(self, settings: NotifierSettings, *, clock: Clock) -> None:
        self._settings = settings
        self._subscriptions = {subscription.id: subscription for subscription in settings.subscriptions}
        self._clock = clock

    async def work(self, records: Sequence[StreamRecord]) -> Sequence[Callable[[Tx], None]]:
        """Return a unit for each record of alerts.v1. The same alert twice does nothing new."""
        return [partial(self._unit, value=record.body) for record in records]

    def on_timer(self, tx: Tx, timer: Timer) -> None:
        """Send what was kept back until now."""
        match timer.kind:
            case "group":
                receiver, _, incident = timer.key.partition(" ")
                self._send_group(tx, receiver, incident, more=(), now=self._clock.now())
            case "opening" | "budget":
                self._send_digest(tx, timer.key, purpose=timer.kind, now=self._clock.now())
            case _:
                tx.after(partial(log.warning, "unknown timer dropped", kind=timer.kind, key=timer.key))

    # ---------------------------------------------------------------------------------------------- one alert

    def _unit(self, tx: Tx, *, value: bytes) -> None:
        alert = decode_alert(value)
        fresh = tx.notifier.remember(
            alert.id,
            incident=alert.incident,
            revision=alert.revision,
            severity=alert.severity.rank,
            void=is_void(alert),
            seen_at=alert.seen_at,
            value=value,
        )
        if fresh:
            self.dispatch(tx, alert)

    def dispatch(self, tx: Tx, alert: Alert) -> None:
        """Route a remembered alert and put what follows from it into the outbox or aside."""
        now = self._clock.now()
        told = tx.notifier.told_of(alert.incident)
        held: dict[str, set[str]] = {}
        for item in tx.notifier.held_of(alert.incident):
            held.setdefault(item.receiver, set()).add(item.purpose)
        ruled = rulings(alert, self._settings.subscriptions, knowing=told.keys() | held.keys())
        noted = [
            NotedVerdict(alert=alert.id, receiver=one.receiver, subscription=one.subscription, verdict=one.verdict)
            for one in ruled
        ]
        tx.notifier.note_verdicts(noted)
        for route in routes(alert, ruled, self._settings.subscriptions):
            if route.receiver in self._settings.receivers:
                mine = held.get(route.receiver, set())
                self._follow(tx, alert, route, told=told.get(route.receiver), held=mine, now=now)

    def _follow(self, tx: Tx, alert: Alert, route: Route, *, told: Told | None, held: set[str], now: datetime) -> None:
        subscriptions = route.subscriptions or ((told.subscription,) if told else ())
        keep = partial(
            Held,
            receiver=route.receiver,
            incident=alert.incident,
            alert=alert.id,
            subscriptions=subscriptions,
        )
        quiet = route.verdict in {Verdict.THREAD, Verdict.CORRECT}
        waiting_digests = held & {OPENING, BUDGET}
        if route.verdict is Verdict.COLLECT:
            self._collect(tx, keep(purpose=OPENING), now)
        elif quiet and waiting_digests and told is None:
            # What the digest will tell has changed before it was sent: it simply tells the newer state.
            for purpose in sorted(waiting_digests):
                tx.notifier.hold(keep(purpose=purpose))
        elif route.wait > AT_ONCE or (GROUP in held and quiet and (told is None or route.verdict is Verdict.THREAD)):
            tx.notifier.hold(keep(purpose=GROUP))
            if GROUP not in held:
                key = f"{route.receiver} {alert.incident}"
                tx.timers.set(ROOM, GROUP, key, due=alert.seen_at + route.wait)
        else:
            self._send_group(tx, route.receiver, alert.incident, more=[keep(purpose=GROUP)], now=now)

    # ------------------------------------------------------------------------------------------------ messages

    def _send_group(self, tx: Tx, receiver: str, incident: str, *, more: Sequence[Held], now: datetime) -> None:
        """Send one message about *incident*: all that is kept back of it for whatever purpose, and *more*."""
        items = [*tx.notifier.release(receiver, incident), *more]
        if not items:
            return
        tx.timers.cancel(ROOM, GROUP, f"{receiver} {incident}")
        ids = list(dict.fromkeys(item.alert for item in items))
        alerts = [decode_alert(value) for value in tx.notifier.alert_values(ids)]
        told = tx.notifier.told_of(incident).get(receiver)
        kind = message_kind(alerts, was_told=told is not None)
        if told is None and is_void(alerts[-1]):
            return  # it was taken back before this receiver heard of it
        asked = tuple(dict.fromkeys(name for item in items for name in item.subscriptions))
        charged = self._charged(tx, receiver, asked, now) if kind is MessageKind.ALERT else (asked or ("",))[0]
        if charged is None:
            for item in items:
                self._overflow(tx, receiver, item, now)
            return
        delivery = self._delivery(
            receiver,
            kind,
            tuple(alert.id for alert in alerts),
            incident=incident,
            thread=told.thread if told else None,
            subscription=charged,
            seen_at=max(alert.seen_at for alert in alerts),
            now=now,
        )
        self._enqueue(tx, delivery)
        if told is None or told.thread is None:
            tx.notifier.tell(
                Told(incident=incident, receiver=receiver, thread=delivery.key, subscription=charged, at=now)
            )

    def _charged(self, tx: Tx, receiver: str, asked: Sequence[str], now: datetime) -> str | None:
        """Return the first subscription that has a ring left for *receiver*; None when none has."""
        for name in asked:
            subscription = self._subscriptions.get(name)
            if subscription is None:
                return name
            rings, _ = tx.notifier.charged(receiver, name, since=now - subscription.budget.per)
            if rings < subscription.budget.count:
                return name
        return None if asked else ""

    def _overflow(self, tx: Tx, receiver: str, item: Held, now: datetime) -> None:
        """Keep *item* for the digest beyond the budget: soon for the first one, then when a ring is free again."""
        tx.notifier.hold(replace(item, purpose=BUDGET))
        if tx.timers.get(ROOM, BUDGET, receiver) is not None:
            return
        subscription = self._subscription(item.subscriptions)
        span = subscription.budget.per if subscription else timedelta(days=1)
        last = tx.notifier.last_digest(receiver, cause=BUDGET)
        due = now + self._settings.notifier.opening_wait
        if last is not None and last > now - span:
            firsts = [tx.notifier.charged(receiver, name, since=now - span)[1] for name in item.subscriptions]
            due = max(due, min((at for at in firsts if at is not None), default=now) + span)
        tx.timers.set(ROOM, BUDGET, receiver, due=due)

    def _collect(self, tx: Tx, item: Held, now: datetime) -> None:
        """Gather *item* for the opening picture, and let it wait until no more comes, but not for ever."""
        if not tx.notifier.hold(item):
            return
        wait = self._settings.notifier.opening_wait
        timer = tx.timers.get(ROOM, OPENING, item.receiver)
        first = datetime.fromisoformat(timer.payload) if timer is not None else now
        due = min(now + wait, first + wait * OPENING_LIMIT)
        tx.timers.set(ROOM, OPENING, item.receiver, due=due, payload=first.isoformat())

    def _send_digest(self, tx: Tx, receiver: str, *, purpose: str, now: datetime) -> None:
        items = tx.notifier.release_all(receiver, purpose=purpose)
        if not items:
            return
        first = items[0].subscriptions[0] if items[0].subscriptions else ""
        delivery = self._delivery(
            receiver,
            MessageKind.DIGEST,
            tuple(item.alert for item in items),
            cause=purpose,
            subscription=first,
            seen_at=now,
            now=now,
        )
        self._enqueue(tx, delivery)
        for item in items:
            subscription = item.subscriptions[0] if item.subscriptions else ""
            tx.notifier.tell(
                Told(incident=item.incident, receiver=receiver, thread=None, subscription=subscription, at=now)
            )

    def _delivery(
        self,
        receiver: str,
        kind: MessageKind,
        alerts: tuple[str, ...],
        *,
        subscription: str,
        seen_at: datetime,
        now: datetime,
        incident: str | None = None,
        thread: str | None = None,
        cause: str = "",
    ) -> Delivery:
        asked = self._subscription((subscription,))
        return Delivery(
            key=digest("delivery", receiver, kind, *alerts, cause),
            receiver=receiver,
            kind=kind,
            alerts=alerts,
            incident=incident,
            thread=thread,
            subscription=subscription,
            language=asked.language if asked else "en",
            cause=cause,
            next_try=now,
            created_at=now,
            seen_at=seen_at,
        )

    def _enqueue(self, tx: Tx, delivery: Delivery) -> None:
        if tx.notifier.enqueue(delivery):
            tx.wake(wake_name(delivery.receiver))

    def _subscription(self, names: Sequence[str]) -> SubscriptionSettings | None:
        return next((self._subscriptions[name] for name in names if name in self._subscriptions), None)
