"""The machine's clock is set forward and back; ours goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, strategies as st

from tocsin.clock import SLEW, STEP_BEYOND_S, SystemClock

HOUR_S = 3600.0
START_S = 1_780_000_000.0


class Machine:
    """A machine whose wall clock anybody may set."""

    def __init__(self) -> None:
        self.steady = 100.0
        self.set_by = 0.0

    def clock(self) -> SystemClock:
        return SystemClock(of_machine=lambda: START_S + self.steady - 100.0 + self.set_by, passing=lambda: self.steady)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(START_S + seconds, UTC)


def test_undisturbed_it_is_the_machines_own() -> None:
    machine = Machine()
    clock = machine.clock()

    machine.steady += 12.5

    assert clock.now() == at(12.5)


def test_an_hour_set_back_keeps_nobody_waiting_for_an_hour() -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock.now()

    machine.set_by = -HOUR_S
    machine.steady += 60

    assert clock.now() - before == timedelta(seconds=60 * (1 - SLEW))


def test_an_hour_set_forward_leaps_over_nothing() -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock.now()

    machine.set_by = HOUR_S
    machine.steady += 60

    assert clock.now() - before == timedelta(seconds=60 * (1 + SLEW))


def test_in_the_end_both_agree() -> None:
    for set_by in (HOUR_S, -HOUR_S):
        machine = Machine()
        clock = machine.clock()
        machine.set_by = set_by

        for _ in range(20):
            machine.steady += HOUR_S / 2
            clock.now()

        assert clock.now() == at(machine.steady - 100 + set_by)


def test_a_clock_that_was_never_right_is_set_at_once() -> None:
    machine = Machine()
    clock = machine.clock()

    machine.set_by = 400 * 86_400.0

    assert clock.now() == at(400 * 86_400.0)


@given(
    st.lists(
        st.tuples(st.floats(0, 5_000), st.floats(-STEP_BEYOND_S / 40, STEP_BEYOND_S / 40)),
        max_size=30,
    )
)
def test_it_never_goes_back_and_never_runs_away(steps: list[tuple[float, float]]) -> None:
    machine = Machine()
    clock = machine.clock()
    last = clock.now()

    for passed, moved in steps:
        machine.steady += passed
        machine.set_by += moved
        now = clock.now()
        gone = (now - last).total_seconds()

        assert passed * (1 - SLEW) - 1e-3 <= gone <= passed * (1 + SLEW) + 1e-3
        last = now
