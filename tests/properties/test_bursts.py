"""What must hold of bursts whatever is told and in which order, and how often noise is taken for one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from bench.bursts import RATES, alarms, even, seasonal
from bursts.series import IN_AN_HOUR, Series, quarter_of
from bursts.verdict import LOOK_BACK, judge
from tests.unit.bursts.histories import DEATHS, SETTINGS, a_month, play, told_by, volumes
from tocsin.testing import HOUR, NOON, a_transaction

if TYPE_CHECKING:
    from tocsin.records import Reading

FEW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WITHIN = (LOOK_BACK // IN_AN_HOUR - 1) * 60  # minutes

# When articles come, in minutes, from which owner; many near one another and some apart.
arrivals = st.lists(
    st.tuples(st.one_of(st.integers(0, 90), st.integers(0, WITHIN)), st.integers(0, 5)), min_size=1, max_size=50
)


def told(minutes: list[tuple[int, int]], *, since: timedelta = timedelta(0)) -> list[Reading]:
    return [
        told_by(number, at=NOON + since + timedelta(minutes=minute), owner=f"Owner {owner}")
        for number, (minute, owner) in enumerate(minutes)
    ]


def rung(readings: list[Reading], *, since: timedelta = timedelta(0), daily: int = 4) -> tuple[list[Reading], int]:
    """Return what rang, and the level that the burst has in the end; -1 without any."""
    with a_transaction() as tx:
        a_month(tx, daily=daily, until=NOON + since)
        found = play(tx, readings)
        last = tx.bursts.latest(DEATHS)
        return found, -1 if last is None else last.level


@FEW
@given(minutes=arrivals, data=st.data())
def test_the_order_of_arrival_does_not_change_the_verdict(minutes: list[tuple[int, int]], data: st.DataObject) -> None:
    readings = sorted(told(minutes), key=lambda one: one.mention.seen_at)
    shuffled = data.draw(st.permutations(readings))

    in_order, level = rung(readings)
    otherwise, level_otherwise = rung(shuffled)

    assert level == level_otherwise
    assert bool(in_order) == bool(otherwise)
    assert len({one.article for one in in_order}) == len({one.article for one in otherwise}) <= 1


@FEW
@given(minutes=arrivals, hours=st.integers(-20_000, 20_000))
def test_the_same_story_at_another_time_gets_the_same_verdict(minutes: list[tuple[int, int]], hours: int) -> None:
    since = hours * HOUR

    here, level = rung(told(minutes))
    there, level_there = rung(told(minutes, since=since), since=since)

    assert level == level_there
    assert [replace(one, sources=(), articles=()) for one in volumes(here)] == [
        replace(one, sources=(), articles=()) for one in volumes(there)
    ]


@FEW
@given(minutes=arrivals)
def test_what_comes_twice_is_as_good_as_once(minutes: list[tuple[int, int]]) -> None:
    readings = told(minutes)

    once, level = rung(readings)
    twice, level_twice = rung([one for reading in readings for one in (reading, reading)] + readings)

    assert (once, level) == (twice, level_twice)


# ------------------------------------------------------------------------------------------- noise, without a store


@given(each=st.integers(0, 40))
@settings(max_examples=8, deadline=None)
def test_what_is_always_the_same_never_rings(each: int) -> None:
    series = Series(history=SETTINGS.history)
    begin = quarter_of(NOON)
    for quarter in range(begin, begin + 40 * 96):
        for _ in range(each if quarter % 4 == 0 else 0):
            series.add(quarter, counts=True)

    verdicts = [
        verdict
        for end in range(begin + 30 * 96, begin + 40 * 96, 7)
        for verdict in judge(series, end, awake=tuple(range(1, 29)), settings=SETTINGS)
    ]

    assert [verdict for verdict in verdicts if verdict.level >= 0] == []


@pytest.mark.parametrize("mean", RATES)
def test_chance_alone_hardly_ever_rings(mean: float) -> None:
    days = 90

    quiet = alarms(even(mean), days=days, seed=int(mean * 100))
    by_season = alarms(seasonal(mean), days=days, seed=int(mean * 100) + 1)

    # docs/bursts.md has the rate over years: `python -m bench.bursts`.
    assert max(len(quiet), len(by_season)) <= 1


@pytest.mark.parametrize("mean", RATES)
def test_a_planted_burst_is_found(mean: float) -> None:
    at = 50 * 24 + 7
    height = int(mean * 2 + 6 * mean**0.5 + 14)

    found = alarms(seasonal(mean), days=52, seed=int(mean * 100) + 2, spikes={at: height, at + 1: height})

    assert found
    assert at <= found[0] <= at + 1


def test_what_was_always_loud_at_this_hour_of_the_week_is_no_burst() -> None:
    def rate(hour: int) -> float:
        return 30.0 if hour % (24 * 7) == 20 else 0.5

    assert alarms(rate, days=70, seed=7)[:1] == []


def test_what_stays_louder_becomes_usual_within_two_weeks() -> None:
    found = alarms(lambda hour: 1.0 if hour < 40 * 24 else 8.0, days=75, seed=8)

    assert found
    assert min(found) < 41 * 24
    assert max(found) < (40 + 16) * 24
