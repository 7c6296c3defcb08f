"""From alerts to the outbox, on a real store with a clock that stands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.dispatch import BUDGET, OPENING, ROOM, Dispatcher
from notifier.settings import NotifierSettings
from tocsin.records import Alert, Delivery, MessageKind, Severity, Step
from tocsin.store.sqlite import SqliteStore
from tocsin.stream.codec import encode
from tocsin.stream.port import ALERTS, StreamRecord
from tocsin.testing import DAY, MINUTE, NOON, FakeClock, a_store, an_alert

SECOND = timedelta(seconds=1)


@dataclass(kw_only=True)
class Room:
    """The reading side of a notifier, and what came of what it was given."""

    store: SqliteStore
    clock: FakeClock
    dispatcher: Dispatcher

    async def hear(self, *alerts: Alert) -> None:
        records = [
            StreamRecord(topic=ALERTS, partition=0, offset=at, key=alert.incident, id=alert.id, value=encode(alert))
            for at, alert in enumerate(alerts)
        ]
        units = await self.dispatcher.work(records)
        await self.store.write(lambda tx: [unit(tx) for unit in units] and None)

    async def pass_time(self, step: timedelta) -> None:
        await self.clock.move(step)
        for timer in await self.store.read(lambda tx: tx.timers.due(ROOM, self.clock.now())):
            if await self.store.write(lambda tx, timer=timer: tx.timers.remove(timer)):  # type: ignore[misc]  # mypy infers no lambda with defaults
                await self.store.write(lambda tx, timer=timer: self.dispatcher.on_timer(tx, timer))  # type: ignore[misc]  # mypy infers no lambda with defaults

    async def outbox(self, receiver: str | None = None) -> list[Delivery]:
        return (await self.store.read(lambda tx: tx.notifier.deliveries(receiver=receiver, limit=1000)))[::-1]

    async def kinds(self, receiver: str | None = None) -> list[tuple[str, str]]:
        return [(delivery.receiver, delivery.kind) for delivery in await self.outbox(receiver)]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with a_store(tmp_path) as opened:
        yield opened


def a_room(store: SqliteStore, *subscriptions: Any) -> Room:
    clock = FakeClock()
    names = {name for subscription in subscriptions for name in subscription["to"]}
    settings = NotifierSettings.model_validate(
        {"subscriptions": subscriptions, "receivers": {name: {"kind": "console"} for name in names}}
    )
    return Room(store=store, clock=clock, dispatcher=Dispatcher(settings, clock=clock))


def step(
    number: int, what: Step, *, severity: Severity = Severity.SEVERE, incident: str = "i", **parts: object
) -> Alert:
    alert = an_alert(incident=incident, revision=number, step=what, severity=severity, seen_at=NOON)
    return replace(alert, **parts)  # type: ignore[arg-type]  # a test names only fields of Alert


ALL: dict[str, Any] = {"id": "all", "to": ["desk"]}


async def test_the_same_alert_twice_is_one_message(store: SqliteStore) -> None:
    room = a_room(store, ALL)

    await room.hear(step(1, Step.NEW))
    await room.hear(step(1, Step.NEW))

    assert await room.kinds() == [("desk", "alert")]


async def test_two_subscriptions_of_one_receiver_make_one_message(store: SqliteStore) -> None:
    room = a_room(store, ALL, {"id": "more", "to": ["desk", "pager"], "language": "de"})

    await room.hear(step(1, Step.NEW))

    assert [(d.receiver, d.subscription, d.language) for d in await room.outbox()] == [
        ("desk", "all", "en"),
        ("pager", "more", "de"),
    ]


async def test_an_update_answers_the_first_message_and_goes_to_nobody_else(store: SqliteStore) -> None:
    room = a_room(store, ALL, {"id": "extreme", "to": ["pager"], "when": {"severity": "extreme"}})
    await room.hear(step(1, Step.NEW))

    await room.hear(step(2, Step.UPDATE, severity=Severity.EXTREME))

    first, second = await room.outbox()
    assert (second.receiver, second.kind, second.thread) == ("desk", MessageKind.UPDATE, first.key)


async def test_a_correction_goes_where_the_wrong_alert_went_whatever_the_filters_say(store: SqliteStore) -> None:
    room = a_room(
        store,
        {"id": "severe", "to": ["desk"], "when": {"severity": "severe"}, "steps": ["new"]},
        {"id": "small", "to": ["mail"], "when": {"severity": "minor"}, "steps": ["correction"]},
    )
    await room.hear(step(1, Step.NEW))

    await room.hear(step(2, Step.CORRECTION, severity=Severity.MINOR))

    assert await room.kinds() == [("desk", "alert"), ("desk", "correction")]


async def test_a_correction_reaches_a_receiver_whose_subscription_is_gone(store: SqliteStore) -> None:
    room = a_room(store, ALL, {"id": "other", "to": ["mail"], "when": {"types": ["nothing"]}})
    await room.hear(step(1, Step.NEW))
    later = a_room(store, {"id": "other", "to": ["mail", "desk"], "when": {"types": ["nothing"]}})

    await later.hear(step(2, Step.CORRECTION))

    assert await later.kinds("desk") == [("desk", "alert"), ("desk", "correction")]
    assert await later.kinds("mail") == []


async def test_below_severe_the_steps_of_half_a_minute_are_told_together(store: SqliteStore) -> None:
    room = a_room(store, ALL)

    await room.hear(step(1, Step.NEW, severity=Severity.MODERATE), step(2, Step.UPDATE, severity=Severity.MODERATE))
    before = await room.kinds()
    await room.pass_time(30 * SECOND)

    assert before == []
    (told,) = await room.outbox()
    assert told.alerts == (step(1, Step.NEW).id, step(2, Step.UPDATE).id)


async def test_a_severe_step_ends_the_wait_of_its_incident_at_once(store: SqliteStore) -> None:
    room = a_room(store, ALL)
    await room.hear(step(1, Step.NEW, severity=Severity.MODERATE))

    await room.hear(step(2, Step.ESCALATION))
    await room.pass_time(MINUTE)

    (told,) = await room.outbox()
    assert len(told.alerts) == 2


async def test_what_was_taken_back_before_anybody_heard_of_it_is_never_told(store: SqliteStore) -> None:
    room = a_room(store, ALL)
    first = step(1, Step.NEW, severity=Severity.MODERATE)
    gone = step(2, Step.CORRECTION, facts=(replace(first.facts[0], withdrawn=True),))

    await room.hear(first, gone)
    await room.pass_time(MINUTE)

    assert await room.kinds() == []


async def test_a_fresh_start_sends_one_opening_picture_to_each_receiver(store: SqliteStore) -> None:
    room = a_room(store, {"id": "all", "to": ["desk", "mail"]})

    for number in range(30):
        await room.hear(step(1, Step.NEW, incident=f"i{number}", late=True))
        await room.pass_time(SECOND)
    quiet = await room.kinds()
    await room.pass_time(MINUTE)

    assert quiet == []
    assert sorted(await room.kinds()) == [("desk", "digest"), ("mail", "digest")]
    assert {len(delivery.alerts) for delivery in await room.outbox()} == {30}


async def test_the_opening_picture_is_not_put_off_for_ever(store: SqliteStore) -> None:
    room = a_room(store, ALL)

    for number in range(21):
        await room.hear(step(1, Step.NEW, incident=f"i{number}", late=True))
        await room.pass_time(30 * SECOND)

    assert await room.kinds() == [("desk", "digest")]


async def test_the_opening_picture_has_the_newest_state_of_each_incident(store: SqliteStore) -> None:
    room = a_room(store, ALL)

    await room.hear(
        step(1, Step.NEW, late=True),
        step(1, Step.NEW, late=True, incident="void"),
        step(2, Step.ESCALATION, late=True),
        step(3, Step.UPDATE),
    )
    await room.hear(
        step(2, Step.CORRECTION, incident="void", facts=(replace(an_alert().facts[0], withdrawn=True),)),
    )
    await room.pass_time(MINUTE)

    (digest,) = await room.outbox()
    assert digest.alerts == (step(3, Step.UPDATE).id,)


async def test_what_was_only_in_the_opening_picture_rings_normally_at_its_next_live_step(store: SqliteStore) -> None:
    room = a_room(store, ALL)
    await room.hear(step(1, Step.NEW, late=True))
    await room.pass_time(MINUTE)

    await room.hear(step(2, Step.ESCALATION))
    await room.hear(step(3, Step.UPDATE))

    _, ring, update = await room.outbox()
    assert (ring.kind, ring.thread) == (MessageKind.ALERT, None)
    assert (update.kind, update.thread) == (MessageKind.UPDATE, ring.key)


async def test_a_live_step_before_the_opening_picture_takes_its_incident_out_of_it(store: SqliteStore) -> None:
    room = a_room(store, ALL)
    await room.hear(step(1, Step.NEW, late=True))

    await room.hear(step(2, Step.ESCALATION))
    await room.pass_time(MINUTE)

    (ring,) = await room.outbox()
    assert (ring.kind, len(ring.alerts)) == (MessageKind.ALERT, 2)


async def test_beyond_the_budget_one_digest_says_so(store: SqliteStore) -> None:
    room = a_room(store, ALL)

    for number in range(25):
        await room.hear(step(1, Step.NEW, incident=f"i{number}"))
    await room.pass_time(MINUTE)

    outbox = await room.outbox()
    assert [delivery.kind for delivery in outbox] == [MessageKind.ALERT] * 20 + [MessageKind.DIGEST]
    assert (outbox[-1].cause, len(outbox[-1].alerts)) == (BUDGET, 5)


async def test_after_that_digest_the_next_one_waits_until_a_ring_is_free(store: SqliteStore) -> None:
    room = a_room(store, ALL | {"budget": "1/day"})
    await room.hear(step(1, Step.NEW, incident="a"), step(1, Step.NEW, incident="b"))
    await room.pass_time(MINUTE)

    await room.hear(step(1, Step.NEW, incident="c"))
    await room.pass_time(DAY - 2 * MINUTE)
    before = await room.kinds()
    await room.pass_time(MINUTE)

    assert before == [("desk", "alert"), ("desk", "digest")]
    assert await room.kinds() == [("desk", "alert"), ("desk", "digest"), ("desk", "digest")]


async def test_a_second_subscription_lends_its_budget(store: SqliteStore) -> None:
    room = a_room(store, ALL | {"budget": "1/day"}, {"id": "grave", "to": ["desk"], "when": {"severity": "extreme"}})

    await room.hear(step(1, Step.NEW, incident="a"), step(1, Step.NEW, incident="b", severity=Severity.EXTREME))

    assert [delivery.subscription for delivery in await room.outbox()] == ["all", "grave"]


async def test_updates_and_corrections_cost_no_budget(store: SqliteStore) -> None:
    room = a_room(store, ALL | {"budget": "1/day"})

    await room.hear(step(1, Step.NEW), step(2, Step.UPDATE), step(3, Step.CORRECTION))

    assert [kind for _, kind in await room.kinds()] == ["alert", "update", "correction"]


async def test_why_can_be_asked(store: SqliteStore) -> None:
    room = a_room(store, ALL, {"id": "kz", "to": ["mail"], "when": {"countries": ["KZ"]}})
    alert = step(1, Step.NEW)

    await room.hear(alert)

    verdicts = await store.read(lambda tx: tx.notifier.verdicts_on(alert.id))
    assert [(v.receiver, v.subscription, v.verdict) for v in verdicts] == [
        ("desk", "all", "ring"),
        ("mail", "kz", "not meant"),
    ]
    (delivery,) = await store.read(lambda tx: tx.notifier.deliveries_of(alert.id))
    assert delivery.receiver == "desk"


async def test_a_late_correction_joins_the_opening_picture(store: SqliteStore) -> None:
    room = a_room(store, ALL)
    await room.hear(step(1, Step.NEW))

    await room.hear(step(2, Step.CORRECTION, late=True))
    await room.pass_time(MINUTE)

    assert [(d.kind, d.cause) for d in await room.outbox()] == [(MessageKind.ALERT, ""), (MessageKind.DIGEST, OPENING)]
