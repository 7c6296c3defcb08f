from __future__ import annotations

from itertools import pairwise

from hypothesis import given, strategies as st

from tocsin.stream.standstill import LOOK_IN_FLOW_S, LOOK_S, PATIENCE_CAP_S, STALL_S, STUCK_S, Standstill

offsets = st.dictionaries(st.integers(0, 5), st.integers(0, 50), max_size=6)


@given(
    positions=offsets, looks=st.lists(st.dictionaries(st.integers(0, 5), st.integers(0, 60)) | st.none(), max_size=6)
)
def test_only_what_waits_at_two_looks_in_a_row_is_stuck(
    positions: dict[int, int], looks: list[dict[int, int] | None]
) -> None:
    standstill = Standstill()
    before: dict[int, int] = {}

    for ends in looks:
        stuck = standstill.stuck(positions, ends)

        waiting = {one: ends[one] - at for one, at in positions.items() if ends and ends.get(one, 0) > at}
        assert stuck == {one: count for one, count in waiting.items() if one in before}
        before = waiting


@given(steps=st.lists(st.integers(1, 9), min_size=2, max_size=10))
def test_who_moves_between_two_looks_is_never_stuck(steps: list[int]) -> None:
    standstill, at = Standstill(), 0

    for step in steps:
        assert standstill.stuck({0: at}, {0: at + 100}) == {}
        at += step


def test_an_idle_reader_asks_soon_and_then_each_second() -> None:
    standstill = Standstill()
    standstill.moved([0], now=0.0)

    assert standstill.quiet([0], now=STALL_S - 0.1, idle=True) == []
    assert standstill.quiet([0], now=STALL_S + LOOK_S, idle=True) == [0]
    assert standstill.quiet([0], now=STALL_S + LOOK_S + 0.5, idle=True) == []
    assert standstill.quiet([0], now=STALL_S + 2 * LOOK_S, idle=True) == [0]


def test_in_the_flow_a_partition_may_wait_its_turn() -> None:
    standstill = Standstill()
    standstill.moved([0, 1], now=0.0)
    standstill.moved([1], now=50.0)

    assert standstill.quiet([0, 1], now=STUCK_S - 1, idle=False) == []
    assert standstill.quiet([0, 1], now=STUCK_S - 1 + LOOK_IN_FLOW_S, idle=False) == [0]


def test_the_end_of_a_flow_is_looked_at_soon() -> None:
    standstill = Standstill()
    standstill.moved([0], now=100.0)
    standstill.quiet([0], now=100.0, idle=False)

    assert standstill.quiet([0], now=102.0, idle=True) == [0]


def test_replacing_a_client_that_does_not_help_is_done_ever_more_rarely() -> None:
    standstill = Standstill()
    standstill.moved([0], now=0.0)
    now, replaced = 0.0, []

    while now < 4 * PATIENCE_CAP_S:
        now += 1.0
        if standstill.quiet([0], now=now, idle=True) and standstill.stuck({0: 5}, {0: 6}):
            standstill.replaced()
            standstill.moved([0], now=now)
            replaced.append(now)

    gaps = [after - before for before, after in pairwise(replaced)]
    assert gaps[:3] == sorted(gaps[:3])
    assert gaps[-1] >= PATIENCE_CAP_S
    assert len(replaced) < 15
