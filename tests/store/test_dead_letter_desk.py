"""What becomes of a dead letter, by its kind, when somebody replays or drops it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from notifier.lanes import dead_letter_id
from tocsin.app import READERS
from tocsin.dead_letters import A_CALL, GROUPS, Desk
from tocsin.records import DeadLetter, Delivery, DeliveryState, MessageKind
from tocsin.store.dead_letters import Which
from tocsin.store.ingest_tables import FeedSetting
from tocsin.store.port import Store
from tocsin.testing import HOUR, MINUTE, NOON, FakeClock, a_cluster_store, a_store

if TYPE_CHECKING:
    from tocsin.store.access import AuditEntry
    from tocsin.store.outbox import OutboxRecord
    from tocsin.store.tx import Tx
    from web.ports import Decision

ME = "local:1000"


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store=store, clock=FakeClock(NOON + HOUR), receivers=lambda: {"desk"})


def a_letter(**parts: Any) -> DeadLetter:
    letter = DeadLetter(
        id="a" * 32,
        stage="detectors",
        topic="articles.v1",
        record_id="article-1",
        reason="poison",
        value=b"{}",
        size=2,
        at=NOON,
    )
    return replace(letter, **parts)


def a_timer_letter(**parts: Any) -> DeadLetter:
    named = {"stage": "incidents timers", "topic": "timers", "record_id": "close:incident:1", "key": "incident:1"}
    return a_letter(**{**named, "value": b"payload", "size": 7, **parts})


def an_outbox_letter(key: str) -> DeadLetter:
    named = {"id": dead_letter_id(key), "stage": "receiver desk", "topic": "outbox", "record_id": key}
    return a_letter(**named, value=b"", size=0)


def a_document_letter() -> DeadLetter:
    return a_letter(stage="ingest", topic="documents", record_id="wire", value=b"<rss", size=9_000_000)


def a_delivery(receiver: str = "desk") -> Delivery:
    return Delivery(
        key="k",
        receiver=receiver,
        kind=MessageKind.ALERT,
        alerts=("alert-1",),
        next_try=NOON,
        created_at=NOON,
        seen_at=NOON,
    )


def list_feed(tx: Tx, *, paused: bool = False) -> None:
    wanted = FeedSetting(
        id="wire",
        url="https://news.example/feed",
        host="news.example",
        origin="file",
        owner="Northern Wire",
        tier="wire",
        language="en",
        country=None,
        weight=1.0,
        verified=True,
        paused=paused,
    )
    tx.ingest.sync([wanted], {"wire": NOON + 10 * HOUR})
    tx.ingest.save("wire", {"etag": '"1"', "body_hash": "x"})


async def keep(store: Store, *letters: DeadLetter) -> None:
    await store.write(lambda tx: [tx.dead_letters.add(letter) for letter in letters])


def waiting(tx: Tx) -> list[OutboxRecord]:
    return tx.outbox.lowest(most=10, most_bytes=1000)


async def left(store: Store) -> list[str]:
    return [letter.id for letter in await store.read(lambda tx: tx.dead_letters.list())]


async def audit(store: Store) -> list[AuditEntry]:
    return await store.read(lambda tx: tx.access.audit())


async def replayed(store: Store, desk: Desk, letter: DeadLetter) -> Decision:
    await keep(store, letter)
    return await desk.replay(letter.id, actor=ME)


async def test_a_record_waits_for_its_group_and_the_audit_tells_who_asked(store: Store, desk: Desk) -> None:
    seen = store.mark("replays:detectors")

    decision = await replayed(store, desk, a_letter())

    assert (decision.id, decision.stage, decision.obstacle) == ("a" * 32, "detectors", None)
    assert await store.read(lambda tx: tx.replays.waiting()) == {"detectors": 1}
    assert await left(store) == []
    assert store.mark("replays:detectors") > seen
    (entry,) = await audit(store)
    assert (entry.actor, entry.action, entry.target) == (ME, "dead_letter.replay", "a" * 32)
    assert entry.at == NOON + HOUR


@pytest.mark.parametrize(
    ("letter", "why"),
    [
        (a_letter(value=b"", size=0), "damaged when it was read"),
        (a_letter(value=b"{}", size=2_000_000), "only the first 2 of its 2,000,000 bytes"),
    ],
)
async def test_a_record_of_which_not_all_is_left_stays_and_says_why(
    store: Store, desk: Desk, letter: DeadLetter, why: str
) -> None:
    decision = await replayed(store, desk, letter)

    assert why in (decision.obstacle or "")
    assert await left(store) == [letter.id]
    assert await store.read(lambda tx: tx.replays.waiting()) == {}
    assert await audit(store) == []


async def test_a_record_that_waits_to_be_replayed_is_not_replayed_twice(store: Store, desk: Desk) -> None:
    await replayed(store, desk, a_letter())

    decision = await replayed(store, desk, a_letter())

    assert decision.obstacle == "it is being replayed already"
    assert await store.read(lambda tx: tx.replays.waiting()) == {"detectors": 1}


async def test_what_the_relay_set_aside_waits_for_the_broker_again(cluster: str) -> None:
    async with a_cluster_store(cluster) as store:
        desk = Desk(store=store, clock=FakeClock(NOON + HOUR), receivers=set)
        await store.write(lambda tx: tx.emit("articles.v1", key="k", record_id="article-1", value=b"{}"))
        await store.write(lambda tx: tx.outbox.remove({row.position: row.id for row in waiting(tx)}))
        seen = store.mark("outbox")

        decision = await replayed(store, desk, a_letter(stage="relay", key="k"))
        again = await replayed(store, desk, a_letter(stage="relay", key="k"))

        (row,) = await store.read(waiting)
        assert decision.obstacle is None
        assert (row.topic, row.key, row.id, row.value) == ("articles.v1", "k", "article-1", b"{}")
        assert store.mark("outbox") > seen
        assert again.obstacle == "the record has been put out again already"
        assert await store.read(lambda tx: tx.replays.waiting()) == {"relay": 1}
        assert not await store.write(lambda tx: tx.emit("articles.v1", key="k", record_id="article-1", value=b"{}"))


async def test_what_a_relay_set_aside_lies_on_the_topic_where_there_is_none_any_more(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        desk = Desk(store=store, clock=FakeClock(NOON + HOUR), receivers=set)

        decision = await replayed(store, desk, a_letter(stage="relay"))

        rows = await store.read(lambda tx: tx.topics.fetch("articles.v1", start=0, most=10))
        assert decision.obstacle is None
        assert [(row.id, row.value) for row in rows] == [("article-1", b"{}")]
        assert await left(store) == []
        assert await store.read(lambda tx: tx.replays.waiting()) == {}


async def test_a_record_of_a_stage_that_nobody_runs_stays_and_says_so(store: Store, desk: Desk) -> None:
    decision = await replayed(store, desk, a_letter(stage="curious"))

    assert decision.obstacle == "no stage of this program is called 'curious' and works on records"
    assert await left(store) == ["a" * 32]
    assert await store.read(lambda tx: tx.replays.waiting()) == {}


def test_the_desk_knows_every_group_that_works_on_records() -> None:
    assert {group for groups in READERS.values() for group in groups} == GROUPS


async def test_a_timer_is_set_again_and_due_at_once(store: Store, desk: Desk) -> None:
    decision = await replayed(store, desk, a_timer_letter())

    timer = await store.read(lambda tx: tx.timers.get("incidents", "close", "incident:1"))
    assert decision.obstacle is None
    assert timer is not None
    assert (timer.due, timer.payload) == (NOON + HOUR, "payload")
    assert await left(store) == []


async def test_a_timer_that_was_set_anew_is_left_as_it_is(store: Store, desk: Desk) -> None:
    due = NOON + timedelta(days=2)
    await store.write(lambda tx: tx.timers.set("incidents", "close", "incident:1", due=due, payload="newer"))

    decision = await replayed(store, desk, a_timer_letter())

    timer = await store.read(lambda tx: tx.timers.get("incidents", "close", "incident:1"))
    assert decision.obstacle == "the timer has been set again since, for 2026-03-06 12:00:00 UTC"
    assert timer is not None
    assert (timer.due, timer.payload) == (due, "newer")
    assert await left(store) == ["a" * 32]


async def test_a_message_goes_back_into_the_outbox_with_its_old_key(store: Store, desk: Desk) -> None:
    def give_up(tx: Tx) -> None:
        tx.notifier.enqueue(a_delivery())
        tx.notifier.bury("k", reason="gone", at=NOON)

    await store.write(give_up)
    seen = store.mark("outbox:desk")

    decision = await replayed(store, desk, an_outbox_letter("k"))

    message = await store.read(lambda tx: tx.notifier.delivery("k"))
    assert decision.obstacle is None
    assert message is not None
    assert (message.state, message.next_try) == (DeliveryState.PENDING, NOON + HOUR)
    assert store.mark("outbox:desk") > seen
    assert await left(store) == []


@pytest.mark.parametrize(
    ("receiver", "buried", "why"),
    [
        (None, False, "the message has been forgotten since"),
        ("gone", True, "the receiver 'gone' is not configured any more"),
        ("desk", False, "the message is pending by now"),
    ],
)
async def test_a_message_that_cannot_be_sent_again_says_why(
    store: Store, desk: Desk, receiver: str | None, buried: bool, why: str
) -> None:
    def prepare(tx: Tx) -> None:
        if receiver:
            tx.notifier.enqueue(a_delivery(receiver))
        if buried:
            tx.notifier.bury("k", reason="gone", at=NOON)

    await store.write(prepare)

    decision = await replayed(store, desk, an_outbox_letter("k"))

    assert decision.obstacle == why
    assert await left(store) == [dead_letter_id("k")]


async def test_a_document_is_not_read_again_but_its_feed_is_polled(store: Store, desk: Desk) -> None:
    await store.write(list_feed)
    seen = store.mark("feeds")

    decision = await replayed(store, desk, a_document_letter())

    feed = await store.read(lambda tx: tx.ingest.feed("wire"))
    assert decision.obstacle is None
    assert feed is not None
    assert (feed.next_due, feed.etag, feed.body_hash) == (NOON + HOUR, None, None)
    assert store.mark("feeds") > seen
    assert await left(store) == []


@pytest.mark.parametrize(
    ("listed", "why"),
    [(False, "the feed 'wire' is not polled any more"), (True, "the feed 'wire' is paused: resume it first")],
)
async def test_a_document_of_a_feed_that_is_not_polled_says_so(
    store: Store, desk: Desk, listed: bool, why: str
) -> None:
    if listed:
        await store.write(lambda tx: list_feed(tx, paused=True))

    decision = await replayed(store, desk, a_document_letter())

    assert decision.obstacle == why


async def test_a_letter_is_dropped_for_good_and_one_that_is_not_there_is_told(store: Store, desk: Desk) -> None:
    await keep(store, a_letter())

    decisions = [await desk.drop("aaaaaa", actor=ME), await desk.drop("a" * 32, actor=ME)]

    assert [decision.id for decision in decisions] == ["a" * 32, None]
    assert await left(store) == []
    assert [entry.action for entry in await audit(store)] == ["dead_letter.drop"]


async def test_many_are_replayed_the_oldest_first_and_what_cannot_be_stays(store: Store, desk: Desk) -> None:
    letters = [a_letter(id=f"{number:032}", record_id=str(number), at=NOON + number * MINUTE) for number in range(230)]
    letters[5] = replace(letters[5], value=b"")
    others = a_letter(id="f" * 32, stage="archive"), a_letter(id="e" * 32, at=NOON + 230 * MINUTE)
    await keep(store, *letters, *others)

    handled = await desk.replay_many(Which(stage="detectors", until=letters[-1].at), actor=ME)

    assert (handled.done, handled.left, handled.after) == (229, 1, None)
    assert [id_ for id_, _ in handled.refused] == [letters[5].id]
    assert await store.read(lambda tx: tx.replays.waiting()) == {"detectors": 229}
    assert set(await left(store)) == {letters[5].id, *(letter.id for letter in others)}
    assert {entry.action for entry in await audit(store)} == {"dead_letter.replay_many"}
    assert sum(int(entry.detail.partition('"count": ')[2].partition(",")[0]) for entry in await audit(store)) == 229


async def test_very_many_are_handled_in_several_calls(store: Store, desk: Desk) -> None:
    count = A_CALL + 150
    await keep(store, *(a_letter(id=f"{number:032}", at=NOON) for number in range(count)))

    first = await desk.drop_many(Which(), actor=ME)
    second = await desk.drop_many(Which(), actor=ME, after=first.after)

    assert (first.done, second.done) == (A_CALL, 150)
    assert (first.after is None, second.after) == (False, None)
    assert await left(store) == []
