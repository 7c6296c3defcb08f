"""Looking at a topic from outside: its last records, those since an instant, several partitions, gaps, damage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from hypothesis import given, strategies as st

from tocsin.stream import looking
from tocsin.stream.codec import encode
from tocsin.stream.port import ARTICLES, Bounds, StreamRecord
from tocsin.testing import HOUR, MINUTE, NOON, an_article


@dataclass
class Shelf:
    """A stream that holds what it is given."""

    partitions: Mapping[int, Sequence[StreamRecord]]
    asked: int = 0

    async def bounds(self, topic: str) -> Mapping[int, Bounds]:
        assert topic == ARTICLES
        return {
            partition: Bounds(records[0].offset, records[-1].offset + 1) if records else Bounds(7, 7)
            for partition, records in self.partitions.items()
        }

    async def fetch(
        self, topic: str, *, start: int, most: int, timeout_s: float, partition: int = 0
    ) -> Sequence[StreamRecord]:
        assert (topic, timeout_s) == (ARTICLES, 0)
        self.asked += 1
        return [one for one in self.partitions[partition] if one.offset >= start][:most]


def a_record(offset: int, minutes: float, *, partition: int = 0, readable: bool = True) -> StreamRecord:
    article = an_article(id=f"{partition}/{offset}", seen_at=NOON + minutes * MINUTE)
    value = encode(article) if readable else b"{}"
    return StreamRecord(topic=ARTICLES, partition=partition, offset=offset, key="", id=article.id, value=value)


@st.composite
def shelves(draw: st.DrawFn) -> Shelf:
    """Some partitions with gaps between the offsets, times that rise, and here and there a record of no use."""
    partitions = {}
    for partition in range(draw(st.integers(1, 3))):
        steps = draw(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 3), st.booleans()), max_size=12))
        offset, minutes, records = draw(st.integers(0, 100)), 0, []
        for gap, minute, readable in steps:
            offset, minutes = offset + gap, minutes + minute
            records.append(a_record(offset, minutes, partition=partition, readable=readable or gap % 2 == 0))
        partitions[partition] = records
    return Shelf(partitions)


def every(shelf: Shelf) -> set[str]:
    return {one.id for records in shelf.partitions.values() for one in records}


def in_order(shown: Sequence[StreamRecord]) -> bool:
    return all(
        before.offset < after.offset
        for at, before in enumerate(shown)
        for after in shown[at + 1 :]
        if before.partition == after.partition
    )


@given(shelf=shelves(), most=st.integers(1, 40))
async def test_the_last_records_are_as_many_as_asked_for_and_end_each_partition(shelf: Shelf, most: int) -> None:
    shown, ends = await looking.last(shelf, ARTICLES, most)

    assert len(shown) == min(most, len(every(shelf)))
    assert in_order(shown)
    for partition, records in shelf.partitions.items():
        mine = [one for one in shown if one.partition == partition]
        assert mine == list(records)[len(records) - len(mine) :]
        assert ends[partition] == (records[-1].offset + 1 if records else 7)


async def test_the_last_of_all_partitions_are_the_latest_by_time() -> None:
    shelf = Shelf({0: [a_record(1, 0), a_record(2, 5)], 1: [a_record(1, 3, partition=1), a_record(9, 4, partition=1)]})

    shown, _ = await looking.last(shelf, ARTICLES, 3)

    assert [one.id for one in shown] == ["1/1", "1/9", "0/2"]


@given(shelf=shelves(), minutes=st.integers(-1, 40))
async def test_nothing_later_than_an_instant_lies_before_where_it_begins(shelf: Shelf, minutes: int) -> None:
    at = NOON + minutes * MINUTE

    starts = await looking.since(shelf, ARTICLES, at)

    for partition, records in shelf.partitions.items():
        before = [looking.moment(one) for one in records if one.offset < starts[partition]]
        assert all(when is None or when < at for when in before)
        behind = [one for one in records if one.offset >= starts[partition]]
        readable = [when for one in behind if (when := looking.moment(one))]
        if all(looking.moment(one) for one in records):
            assert all(when >= at for when in readable)


async def test_an_instant_is_found_in_few_looks() -> None:
    shelf = Shelf({0: [a_record(offset * 1_000, offset) for offset in range(2_000)]})

    starts = await looking.since(shelf, ARTICLES, NOON + 25 * HOUR)

    assert (25 * 60 - 1) * 1_000 < starts[0] <= 25 * 60 * 1_000
    assert shelf.asked < 30


@given(shelf=shelves())
async def test_all_records_of_all_partitions_come_once_and_in_the_order_of_each(shelf: Shelf) -> None:
    bounds = await shelf.bounds(ARTICLES)
    starts, ends = ({partition: getattr(one, end) for partition, one in bounds.items()} for end in ("first", "end"))

    shown = [one async for one in looking.between(shelf, ARTICLES, starts, ends)]

    assert {one.id for one in shown} == every(shelf)
    assert len(shown) == len(every(shelf))
    assert in_order(shown)


async def test_partitions_are_told_in_the_order_of_time() -> None:
    shelf = Shelf({0: [a_record(1, 0), a_record(2, 5)], 1: [a_record(1, 3, partition=1), a_record(2, 9, partition=1)]})

    shown = [one async for one in looking.between(shelf, ARTICLES, {0: 0, 1: 0}, {0: 3, 1: 2})]

    assert [one.id for one in shown] == ["0/1", "1/1", "0/2"]


async def test_more_than_a_page_is_read() -> None:
    shelf = Shelf({0: [a_record(offset, offset) for offset in range(2 * looking.PAGE + 5)]})

    shown = [one async for one in looking.between(shelf, ARTICLES, {0: 0}, {0: 10**6})]

    assert len(shown) == 2 * looking.PAGE + 5


def test_a_damaged_record_has_no_time_and_says_what_is_wrong_with_it() -> None:
    damaged = replace(a_record(1, 0), value=None, damage="checksum does not match")

    assert looking.moment(damaged) is None
    assert looking.moment(a_record(1, 5)) == NOON + timedelta(minutes=5)
