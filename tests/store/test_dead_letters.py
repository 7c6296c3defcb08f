"""Dead letters in the store: found, paged, counted, bounded, and what is damaged is told from what is not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st
from sqlalchemy import create_engine, text, update

from tocsin.records import DeadLetter
from tocsin.store.dead_letters import MOST, Heap, Which, dead_letters, surplus
from tocsin.store.migrate import migrate
from tocsin.testing import HOUR, MINUTE, NOON, a_store

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.store.tx import Tx


def a_letter(
    number: int = 0, *, stage: str = "detectors", topic: str = "articles.v1", value: bytes = b"{}"
) -> DeadLetter:
    return DeadLetter(
        id=f"{number:032x}",
        stage=stage,
        topic=topic,
        record_id=f"record {number}",
        reason="poison",
        value=value,
        size=len(value),
        at=NOON + number * MINUTE,
    )


def fill(tx: Tx, *letters: DeadLetter) -> None:
    for letter in letters:
        tx.dead_letters.add(letter)


@pytest.mark.parametrize(
    ("which", "numbers"),
    [
        (Which(), [3, 2, 1, 0]),
        (Which(stage="archive"), [3]),
        (Which(topic="timers"), [1]),
        (Which(since=NOON + 2 * MINUTE), [3, 2]),
        (Which(until=NOON + MINUTE), [1, 0]),
        (Which(stage="detectors", since=NOON + MINUTE, until=NOON + 2 * MINUTE), [2, 1]),
        (Which(stage="nobody"), []),
    ],
)
def test_a_filter_means_what_all_of_it_holds_for(tx: Tx, which: Which, numbers: list[int]) -> None:
    fill(tx, a_letter(0), a_letter(1, topic="timers"), a_letter(2), a_letter(3, stage="archive"))

    listed = tx.dead_letters.list(which)

    assert [letter.id for letter in listed] == [a_letter(number).id for number in numbers]
    assert tx.dead_letters.count(which) == len(numbers)
    assert [id_ for _, id_ in tx.dead_letters.oldest(which)] == [letter.id for letter in reversed(listed)]


def test_pages_hold_each_letter_once_though_some_go_and_come_meanwhile(tx: Tx) -> None:
    fill(tx, *(a_letter(number) for number in range(7)))
    first = tx.dead_letters.headings(limit=3)
    tx.dead_letters.remove(first[0].id)
    fill(tx, a_letter(9))

    rest = tx.dead_letters.headings(limit=9, after=(first[-1].at, first[-1].id))

    assert [letter.id for letter in (*first, *rest)] == [a_letter(number).id for number in (6, 5, 4, 3, 2, 1, 0)]
    assert {letter.value for letter in rest} == {b""}
    assert {letter.size for letter in rest} == {2}


def test_a_letter_is_found_by_the_beginning_of_its_id_when_no_other_begins_so(tx: Tx) -> None:
    one, other = replace(a_letter(), id="abcdef1" + "0" * 25), replace(a_letter(), id="abcdef2" + "0" * 25)
    fill(tx, one, other)

    assert tx.dead_letters.find("abcdef1") == one
    assert tx.dead_letters.find(other.id) == other
    assert [tx.dead_letters.find(start) for start in ("abcdef", "abc", "%bcdef1", "")] == [None] * 4


def test_of_a_value_that_was_damaged_nothing_is_shown(tx: Tx) -> None:
    fill(tx, a_letter(value=b"whole"))
    tx.conn.execute(update(dead_letters).values(value=b"whale"))

    letter = tx.dead_letters.get(a_letter().id)

    assert letter is not None
    assert (letter.value, letter.size) == (b"", 5)
    assert letter.reason == "(damaged in the store) poison"


def test_letters_are_counted_by_stage_and_the_largest_heap_comes_first(tx: Tx) -> None:
    fill(tx, a_letter(0), a_letter(1, stage="archive"), a_letter(2, stage="archive", value=b"x" * 1_500_000))

    assert tx.dead_letters.heaps() == [
        Heap(stage="archive", count=2, size=1_000_002),
        Heap(stage="detectors", count=1, size=2),
    ]


def test_the_oldest_of_a_stage_go_first(tx: Tx) -> None:
    fill(tx, *(a_letter(number) for number in range(5)), a_letter(0, stage="archive"))
    fill(tx, a_letter(99, stage="archive"))

    shed = tx.dead_letters.shed("detectors", most=3)

    assert shed == 3
    assert [letter.record_id for letter in tx.dead_letters.list()] == ["record 99", "record 4", "record 3"]


def test_what_is_older_than_is_kept_goes(tx: Tx) -> None:
    fill(tx, a_letter(0), a_letter(90))
    tx.replays.add(a_letter(90), now=NOON)

    gone = tx.dead_letters.forget(before=NOON + HOUR), tx.replays.forget(before=NOON + HOUR)

    assert gone == (1, 1)
    assert tx.dead_letters.count() == 1


def test_a_flood_at_one_stage_takes_nothing_from_the_others() -> None:
    heaps = [Heap(stage="detectors", count=3 * MOST, size=3_000), Heap(stage="archive", count=7, size=7)]

    assert surplus(heaps) == {"detectors": 2 * MOST + 7}


def test_few_letters_with_much_in_them_are_bounded_as_well() -> None:
    heaps = [Heap(stage="detectors", count=1_000, size=1_000_000_000), Heap(stage="archive", count=9, size=9)]

    gone = surplus(heaps, most_bytes=500_000_009)

    assert gone == {"detectors": 500}


a_heap = st.builds(
    Heap, stage=st.uuids().map(str), count=st.integers(min_value=1, max_value=10**6), size=st.integers(0, 10**12)
)


@given(heaps=st.lists(a_heap, max_size=6), most=st.integers(0, 10**6), most_bytes=st.integers(0, 10**12))
def test_what_is_left_is_never_more_than_may_be(heaps: list[Heap], most: int, most_bytes: int) -> None:
    gone = surplus(heaps, most=most, most_bytes=most_bytes)

    left = {heap.stage: heap.count - gone.get(heap.stage, 0) for heap in heaps}
    assert all(count >= 0 for count in left.values())
    assert sum(left.values()) <= most
    assert sum(heap.size * left[heap.stage] // heap.count for heap in heaps) <= most_bytes


@given(heaps=st.lists(a_heap, max_size=6))
def test_nothing_goes_while_there_is_room(heaps: list[Heap]) -> None:
    most, most_bytes = sum(heap.count for heap in heaps), sum(heap.size for heap in heaps)

    assert surplus(heaps, most=most, most_bytes=most_bytes) == {}


async def test_letters_of_the_first_version_are_kept_and_can_be_replayed(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'tocsin.db'}", isolation_level="AUTOCOMMIT")
    migrate(engine, to="0001")
    with engine.connect() as conn:
        insert = """INSERT INTO dead_letters (id, stage, topic, record_id, reason, value, at)
            VALUES (:id, 'detectors', 'articles.v1', 'r', 'old', :value, 0)"""
        conn.execute(text(insert), {"id": "f" * 32, "value": b"{}"})
    engine.dispose()

    async with a_store(tmp_path) as store:
        (letter,) = await store.read(lambda tx: tx.dead_letters.list())
        given_back = await store.write(lambda tx: tx.replays.add(letter, now=NOON))

    assert (letter.value, letter.size, letter.times, letter.key) == (b"{}", 2, 1, "")
    assert given_back
