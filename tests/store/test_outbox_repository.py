"""The notifier's tables, on a real store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tocsin.records import Delivery, DeliveryState, IncidentState, MessageKind, Severity
from tocsin.store.incidents import IncidentRow
from tocsin.store.notifier import Held, Told
from tocsin.store.port import Store
from tocsin.store.tx import Tx
from tocsin.testing import DAY, HOUR, MINUTE, NOON


def a_delivery(key: str = "k1", **parts: object) -> Delivery:
    delivery = Delivery(
        key=key,
        receiver="desk",
        kind=MessageKind.ALERT,
        alerts=(f"alert-{key}",),
        incident="incident-1",
        subscription="all",
        next_try=NOON,
        created_at=NOON,
        seen_at=NOON,
    )
    return replace(delivery, **parts)  # type: ignore[arg-type]  # a test names only fields of Delivery


async def fill(store: Store, *deliveries: Delivery) -> list[bool]:
    return await store.write(lambda tx: [tx.notifier.enqueue(delivery) for delivery in deliveries])


async def claim(store: Store, *, at: timedelta = timedelta(0), limit: int = 10) -> list[str]:
    taken = await store.write(lambda tx: tx.notifier.claim("desk", NOON + at, limit=limit))
    return [delivery.key for delivery in taken]


async def test_a_message_comes_back_as_it_was_put_in(store: Store) -> None:
    delivery = a_delivery(alerts=("a", "b"), thread="root", language="de", accepted=("x@example.org", "y@example.org"))

    fresh = await fill(store, delivery, delivery)

    assert fresh == [True, False]
    assert await store.read(lambda tx: tx.notifier.delivery("k1")) == delivery


async def test_messages_of_one_incident_go_one_after_the_other_and_others_pass(store: Store) -> None:
    await fill(store, a_delivery("first"), a_delivery("second"), a_delivery("other", incident="incident-2"))

    taken = await claim(store)
    meanwhile = await claim(store)
    await store.write(lambda tx: tx.notifier.done("first", remote=None, at=NOON))
    after = await claim(store)

    assert taken == ["first", "other"]
    assert meanwhile == []
    assert after == ["second"]


async def test_a_message_that_was_put_off_keeps_its_successors_back(store: Store) -> None:
    await fill(store, a_delivery("first"), a_delivery("second"))
    await claim(store)
    later = NOON + MINUTE
    await store.write(lambda tx: tx.notifier.defer("first", next_try=later, reason="busy", accepted=("x",)))

    too_early = await claim(store)
    due = await store.read(lambda tx: tx.notifier.next_try("desk"))
    in_time = await store.write(lambda tx: tx.notifier.claim("desk", later, limit=10))

    assert too_early == []
    assert due == later
    assert [(delivery.key, delivery.attempts, delivery.accepted) for delivery in in_time] == [("first", 2, ("x",))]


async def test_a_dead_message_lets_its_successors_go_and_can_be_sent_again(store: Store) -> None:
    await fill(store, a_delivery("first"), a_delivery("second"))
    await claim(store)

    await store.write(lambda tx: tx.notifier.bury("first", reason="550 no such user", at=NOON))
    went = await claim(store)
    revived = await store.write(lambda tx: tx.notifier.retry("first", at=NOON + HOUR))

    assert went == ["second"]
    assert revived is not None
    assert (revived.state, revived.attempts, revived.created_at) == (DeliveryState.PENDING, 0, NOON + HOUR)
    assert await store.write(lambda tx: tx.notifier.retry("second", at=NOON)) is None


async def test_what_was_being_sent_when_the_process_died_is_sent_again(store: Store) -> None:
    await fill(store, a_delivery())
    await claim(store)

    again = await store.write(lambda tx: tx.notifier.recover("desk"))

    assert again == 1
    assert await claim(store) == ["k1"]


async def test_the_charge_counts_rings_of_one_subscription_only(store: Store) -> None:
    await fill(
        store,
        a_delivery("old", created_at=NOON - DAY),
        a_delivery("ring", created_at=NOON),
        a_delivery("quiet", kind=MessageKind.UPDATE),
        a_delivery("other", subscription="severe"),
        a_delivery("elsewhere", receiver="pager"),
    )

    charged = await store.read(lambda tx: tx.notifier.charged("desk", "all", since=NOON - DAY))

    assert charged == (1, NOON)


async def test_what_is_held_comes_out_once_the_newest_of_each_incident_the_gravest_first(store: Store) -> None:
    def unit(tx: Tx) -> None:
        notifier = tx.notifier
        for alert, incident, revision, severity, void in (
            ("a1", "a", 1, 1, False),
            ("a2", "a", 2, 2, False),
            ("b1", "b", 1, 3, False),
            ("c1", "c", 1, 3, False),
            ("c2", "c", 2, 3, True),
        ):
            notifier.remember(
                alert, incident=incident, revision=revision, severity=severity, void=void, seen_at=NOON, value=b"x"
            )
            item = Held(
                receiver="desk", purpose="opening", incident=incident, alert=alert, subscriptions=("all", "few")
            )
            assert notifier.hold(item)
            assert not notifier.hold(item)

    await store.write(unit)

    released = await store.write(lambda tx: tx.notifier.release_all("desk", purpose="opening"))
    nothing = await store.write(lambda tx: tx.notifier.release_all("desk", purpose="opening"))

    assert [item.alert for item in released] == ["b1", "a2"]
    assert released[0].subscriptions == ("all", "few")
    assert nothing == []


async def test_a_digest_never_takes_a_thread_away(store: Store) -> None:
    by_digest = Told(incident="i", receiver="desk", thread=None, subscription="all", at=NOON)
    by_message = replace(by_digest, thread="root")

    for one in (by_digest, by_message, by_digest):
        await store.write(lambda tx, one=one: tx.notifier.tell(one))  # type: ignore[misc]  # mypy infers no lambda with defaults

    assert await store.read(lambda tx: tx.notifier.told_of("i")) == {"desk": by_message}


async def test_pruning_keeps_what_is_not_finished(store: Store) -> None:
    def unit(tx: Tx) -> None:
        notifier = tx.notifier
        for key in ("done", "waiting"):
            notifier.remember(
                f"alert-{key}", incident="i", revision=1, severity=1, void=False, seen_at=NOON, value=b"x"
            )
            notifier.enqueue(a_delivery(key, incident=key))
        notifier.done("done", remote="there", at=NOON)

    await store.write(unit)

    pruned = await store.write(lambda tx: tx.notifier.prune(NOON + DAY))

    assert pruned == 1
    assert await store.read(lambda tx: tx.notifier.alert_values(["alert-waiting"])) == [b"x"]
    assert await store.read(lambda tx: list(tx.notifier.waiting())) == ["desk"]


async def test_pruning_keeps_what_concerns_an_incident_that_is_not_over(store: Store) -> None:
    def unit(tx: Tx) -> None:
        for name, state in (("open", IncidentState.OPEN), ("over", IncidentState.CLOSED)):
            row = IncidentRow(
                id=name,
                state=state,
                country=None,
                happening=None,
                severity=Severity.MINOR,
                opened_at=NOON,
                last_seen=NOON,
                revision=1,
                articles=1,
                headline="",
            )
            tx.incidents.put(row, body=b"", face=b"")
            tx.notifier.remember(name, incident=name, revision=1, severity=1, void=False, seen_at=NOON, value=b"x")
            tx.notifier.tell(Told(incident=name, receiver="desk", thread="root", subscription="all", at=NOON))

    await store.write(unit)

    await store.write(lambda tx: tx.notifier.prune(NOON + DAY))

    for name, kept in (("open", True), ("over", False)):
        assert bool(await store.read(lambda tx, name=name: tx.notifier.told_of(name))) is kept  # type: ignore[misc]  # mypy infers no lambda with defaults
        assert bool(await store.read(lambda tx, name=name: tx.notifier.alert_values([name]))) is kept  # type: ignore[misc]  # mypy infers no lambda with defaults
