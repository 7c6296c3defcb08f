"""What cannot be read is doubted before it is believed, and where records are gone the oldest is next."""

from __future__ import annotations

from aiokafka.errors import CorruptRecordException
from hypothesis import given, strategies as st

from tocsin.stream.doubts import CORRUPT_READS, Doubts, partition_of
from tocsin.stream.gone import go_on_at

OFFSETS = st.dictionaries(st.integers(0, 3), st.integers(0, 100))


def test_a_batch_is_read_again_before_it_is_held_for_damaged() -> None:
    doubts = Doubts()

    reads = [doubts.is_damaged(0, 7) for _ in range(CORRUPT_READS)]

    assert reads == [False] * (CORRUPT_READS - 1) + [True]


def test_the_next_record_of_a_damaged_batch_is_not_doubted_for_long() -> None:
    doubts = Doubts()
    for _ in range(CORRUPT_READS):
        doubts.is_damaged(0, 7)

    assert doubts.is_damaged(0, 8)
    assert not doubts.is_damaged(1, 8)


def test_the_partition_is_found_in_what_the_client_says() -> None:
    error = CorruptRecordException("TopicPartition(topic='articles.v1', partition=11): bad checksum")

    assert partition_of(error) == 11
    assert partition_of(CorruptRecordException("bad checksum")) is None


@given(asked=OFFSETS, begins=OFFSETS, more=OFFSETS)
def test_only_what_is_not_there_is_gone_on_from_the_oldest_record(
    asked: dict[int, int], begins: dict[int, int], more: dict[int, int]
) -> None:
    ends = {one: begins.get(one, 0) + more.get(one, 0) for one in range(4)}

    anew = go_on_at(asked, begins=begins, ends=ends, group="g", topic="t")

    known = {one: at for one, at in asked.items() if one in begins}  # a partition without a leader tells nothing
    assert anew == {one: begins[one] for one, at in known.items() if not begins[one] <= at <= ends[one]}
