"""What every store adapter must do."""

from __future__ import annotations

import asyncio
import gc
from functools import partial
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from tocsin.errors import Fenced, RecordUnreadable, StoreUnavailable
from tocsin.records import DeadLetter
from tocsin.store.overlay import Change
from tocsin.store.schema import seal, unseal
from tocsin.testing import HOUR, MINUTE, NOON

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from tocsin.store.port import Store
    from tocsin.store.tx import Tx

TOPIC = "articles.v1"


def emit(tx: Tx, name: str) -> bool:
    return tx.emit(TOPIC, key=name, record_id=name, value=name.encode())


async def ids(store: Store) -> list[str]:
    return await store.read(lambda tx: [row.id for row in tx.topics.fetch(TOPIC, start=0, most=1000)])


async def test_what_a_unit_wrote_is_there_after_its_answer(store: Store) -> None:
    answer = await store.write(lambda tx: emit(tx, "a"))

    assert answer is True
    assert await ids(store) == ["a"]


async def test_a_unit_that_raises_undoes_itself_and_nobody_else(store: Store) -> None:
    def broken(tx: Tx) -> None:
        emit(tx, "broken")
        raise ZeroDivisionError

    outcomes = await asyncio.gather(
        store.write(lambda tx: emit(tx, "before")),
        store.write(broken),
        store.write(lambda tx: emit(tx, "after")),
        return_exceptions=True,
    )

    assert isinstance(outcomes[1], ZeroDivisionError)
    assert await ids(store) == ["before", "after"]


async def test_what_follows_a_unit_happens_once_and_before_its_answer(store: Store) -> None:
    told: list[str] = []

    def unit(tx: Tx) -> None:
        tx.after(lambda: told.append("first"))
        tx.after(lambda: told.append("second"))

    await store.write(unit)

    assert told == ["first", "second"]


async def test_what_was_to_follow_a_unit_that_is_undone_never_happens(store: Store) -> None:
    told: list[str] = []

    def unit(tx: Tx, name: str) -> None:
        tx.after(lambda: told.append(name))
        if name == "broken":
            raise ZeroDivisionError

    names = ("before", "broken", "behind")
    await asyncio.gather(*(store.write(partial(unit, name=name)) for name in names), return_exceptions=True)

    assert told == ["before", "behind"]


async def test_what_fails_after_a_commit_hurts_nobody(store: Store) -> None:
    told: list[str] = []

    def unit(tx: Tx) -> bool:
        tx.after(lambda: told.append(str(1 / 0)))
        tx.after(lambda: told.append("next"))
        return emit(tx, "a")

    with capture_logs() as lines:
        answers = await asyncio.gather(store.write(unit), store.write(lambda tx: emit(tx, "b")))

    assert all(answers)
    assert told == ["next"]
    assert [line["event"] for line in lines] == ["commit not followed up"]


async def test_a_record_id_seen_before_is_ignored(store: Store) -> None:
    await store.write(lambda tx: emit(tx, "a"))

    again = await store.write(lambda tx: emit(tx, "a"))

    assert again is False
    assert await ids(store) == ["a"]


async def test_a_cursor_moves_only_from_where_it_is_expected(store: Store) -> None:
    await store.write(lambda tx: tx.advance("g", TOPIC, 0, expect=0, to=5))

    with pytest.raises(Fenced):
        await store.write(lambda tx: tx.advance("g", TOPIC, 0, expect=0, to=9))

    assert await store.read(lambda tx: tx.topics.position("g", TOPIC)) == 5


async def test_a_fenced_unit_leaves_no_output(store: Store) -> None:
    await store.write(lambda tx: tx.advance("g", TOPIC, 0, expect=0, to=5))

    def zombie(tx: Tx) -> None:
        emit(tx, "from a zombie")
        tx.advance("g", TOPIC, 0, expect=3, to=6)

    with pytest.raises(Fenced):
        await store.write(zombie)

    assert await ids(store) == []


async def test_attempts_are_counted_for_one_offset_at_a_time(store: Store) -> None:
    counts = [
        await store.write(lambda tx, at=at: tx.topics.attempt("g", TOPIC, 0, position=at))  # type: ignore[misc]  # mypy infers no lambda with defaults
        for at in (0, 0, 7, 7, 7, 8)
    ]

    assert counts == [1, 2, 1, 2, 3, 1]


async def test_an_attempt_does_not_move_the_cursor(store: Store) -> None:
    await store.write(lambda tx: tx.topics.attempt("g", TOPIC, 0, position=0))

    await store.write(lambda tx: tx.advance("g", TOPIC, 0, expect=0, to=2))

    assert await store.read(lambda tx: tx.topics.position("g", TOPIC)) == 2


async def test_a_waiter_wakes_when_what_it_waits_for_is_committed(store: Store) -> None:
    mark = store.mark(TOPIC)
    waiting = asyncio.ensure_future(store.wait(TOPIC, mark, timeout_s=20))

    await store.write(lambda tx: emit(tx, "a"))

    async with asyncio.timeout(5):
        await waiting


async def test_a_wake_between_mark_and_wait_is_not_lost(store: Store) -> None:
    mark = store.mark(TOPIC)
    await store.write(lambda tx: emit(tx, "a"))

    async with asyncio.timeout(5):
        await store.wait(TOPIC, mark, timeout_s=20)


async def test_a_query_cannot_write(store: Store) -> None:
    with pytest.raises(StoreUnavailable):
        await store.read(lambda tx: emit(tx, "a"))


async def test_timers_are_due_in_order_and_a_new_one_replaces_the_old(store: Store) -> None:
    def setting(tx: Tx) -> None:
        tx.timers.set("incidents", "close", "a", due=NOON + HOUR)
        tx.timers.set("incidents", "close", "b", due=NOON)
        tx.timers.set("incidents", "close", "a", due=NOON - HOUR, payload="sooner")
        tx.timers.set("notifier", "digest", "c", due=NOON - HOUR)

    await store.write(setting)

    due = await store.read(lambda tx: tx.timers.due("incidents", NOON))
    assert [(timer.key, timer.payload) for timer in due] == [("a", "sooner"), ("b", "")]
    assert await store.read(lambda tx: tx.timers.next_due("notifier")) == NOON - HOUR


async def test_a_timer_set_anew_is_not_removed_by_its_older_self(store: Store) -> None:
    await store.write(lambda tx: tx.timers.set("r", "k", "a", due=NOON))
    (old,) = await store.read(lambda tx: tx.timers.due("r", NOON))
    await store.write(lambda tx: tx.timers.set("r", "k", "a", due=NOON + MINUTE))

    removed = await store.write(lambda tx: tx.timers.remove(old))

    assert removed is False
    assert await store.read(lambda tx: tx.timers.next_due("r")) == NOON + MINUTE


async def test_dead_letters_are_kept_once_and_can_be_removed(store: Store) -> None:
    letter = DeadLetter(id="1", stage="s", topic=TOPIC, record_id="r", reason="why", value=b"\x00", size=1, at=NOON)

    added = [await store.write(lambda tx: tx.dead_letters.add(letter)) for _ in range(2)]

    assert added == [True, False]
    assert await store.read(lambda tx: tx.dead_letters.list()) == [letter]
    assert await store.write(lambda tx: tx.dead_letters.remove("1"))
    assert await store.read(lambda tx: tx.dead_letters.count()) == 0


async def test_a_change_has_an_actor_and_a_time(store: Store) -> None:
    change = Change(kind="feed_pause", id="wire", value="{}", actor="local:0", at=NOON)

    await store.write(lambda tx: tx.overlay.put(change))

    assert await store.read(lambda tx: tx.overlay.all("feed_pause")) == [change]
    assert await store.read(lambda tx: tx.overlay.get("feed_pause", "wire")) == change


async def test_what_was_written_survives_closing(open_store: Callable[[], AbstractAsyncContextManager[Store]]) -> None:
    async with open_store() as store:
        await store.write(lambda tx: emit(tx, "a"))

    async with open_store() as store:
        assert await ids(store) == ["a"]


async def test_a_caller_that_gives_up_does_not_tear_the_others(store: Store) -> None:
    impatient = asyncio.ensure_future(store.write(lambda tx: emit(tx, "a")))
    await asyncio.sleep(0)
    impatient.cancel()

    await store.write(lambda tx: emit(tx, "b"))

    assert "b" in await ids(store)


async def test_what_went_wrong_for_a_caller_that_gave_up_is_no_alarm(store: Store) -> None:
    alarms: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: alarms.append(context))
    impatient = asyncio.ensure_future(store.write(refused))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait([impatient])

    await store.write(lambda tx: emit(tx, "b"))
    del impatient
    gc.collect()

    assert alarms == []


def refused(tx: Tx) -> None:
    tx.advance("g", TOPIC, 0, expect=7, to=8)


def test_a_flipped_bit_is_noticed() -> None:
    stored = bytearray(seal(b"three killed"))
    stored[6] ^= 1

    with pytest.raises(RecordUnreadable):
        unseal(bytes(stored), what="record")
