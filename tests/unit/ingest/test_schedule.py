from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from ingest.schedule import (
    Bounds,
    Rhythm,
    first_poll,
    first_rate,
    interval,
    is_late,
    is_mostly_new,
    is_our_outage,
    learnt,
    next_due,
    next_try,
    scale,
)
from tocsin.testing import HOUR, MINUTE, NOON

BOUNDS = Bounds(floor=MINUTE, ceiling=24 * HOUR, scale=600.0)
CHANCE = st.floats(0, 1)
RATES = st.none() | st.floats(0, 1e5)


@given(
    rate=RATES,
    weight=st.floats(0.01, 1000),
    hint=st.none() | st.timedeltas(timedelta(0), timedelta(days=400)),
    c=st.floats(0, 1e9),
)
def test_an_interval_stays_between_floor_and_ceiling(
    rate: float | None, weight: float, hint: timedelta | None, c: float
) -> None:
    pause = interval(
        Rhythm(rate_per_h=rate, weight=weight, hint=hint), Bounds(floor=MINUTE, ceiling=24 * HOUR, scale=c)
    )

    assert MINUTE <= pause <= 24 * HOUR


def test_four_times_the_news_is_asked_twice_as_often() -> None:
    slow, quick = (interval(Rhythm(rate_per_h=rate), BOUNDS) for rate in (1.0, 4.0))

    assert slow == 2 * quick == 10 * MINUTE


def test_the_operator_is_obeyed() -> None:
    assert interval(Rhythm(every=10 * MINUTE, rate_per_h=100, hint=HOUR), BOUNDS) == 10 * MINUTE


@given(st.lists(st.tuples(RATES, st.floats(0.1, 100)), min_size=1, max_size=50), st.integers(1, 10_000))
def test_all_feeds_together_keep_the_budget(feeds: list[tuple[float | None, float]], budget: int) -> None:
    bounds = Bounds(floor=timedelta(0), ceiling=timedelta(days=36_500), scale=scale(feeds, requests_per_minute=budget))

    pauses = [interval(Rhythm(rate_per_h=rate, weight=weight), bounds) for rate, weight in feeds]

    per_minute = sum(60 / max(pause.total_seconds(), 1e-6) for pause in pauses)
    assert per_minute <= budget * 1.05


@given(failures=st.integers(1, 10_000), chance=CHANCE, rate=RATES)
def test_a_failing_feed_is_never_dead(failures: int, chance: float, rate: float | None) -> None:
    due = next_try(NOON, Rhythm(rate_per_h=rate), BOUNDS, failures=failures, chance=chance)

    assert NOON < due <= NOON + 24 * HOUR


def test_failures_back_off_with_full_jitter() -> None:
    rhythm = Rhythm(every=MINUTE)

    latest = [next_try(NOON, rhythm, BOUNDS, failures=n, chance=1.0) - NOON for n in (1, 2, 3, 20)]

    assert latest == [2 * MINUTE, 4 * MINUTE, 8 * MINUTE, HOUR]
    assert next_try(NOON, rhythm, BOUNDS, failures=20, chance=0.0) - NOON == MINUTE / 2


@given(chance=CHANCE)
def test_a_wish_for_silence_is_kept(chance: float) -> None:
    due = next_try(NOON, Rhythm(), BOUNDS, failures=1, chance=chance, retry_after=3 * HOUR)

    assert due >= NOON + 3 * HOUR


@given(chance=CHANCE)
def test_a_feed_that_is_gone_is_looked_after_once_a_day(chance: float) -> None:
    due = next_try(NOON, Rhythm(), BOUNDS, failures=1, chance=chance, gone=True)

    assert timedelta(hours=24) <= due - NOON <= timedelta(hours=27)


@given(chance=CHANCE)
def test_an_answer_that_is_mostly_new_halves_the_wait(chance: float) -> None:
    rhythm = Rhythm(every=10 * MINUTE)

    usual = next_due(NOON, rhythm, BOUNDS, mostly_new=False, chance=chance)
    halved = next_due(NOON, rhythm, BOUNDS, mostly_new=True, chance=chance)

    assert (halved - NOON) * 2 == pytest.approx(usual - NOON, abs=timedelta(milliseconds=1))


@given(chance=CHANCE, feeds=st.integers(1, 10_000))
def test_a_cold_start_takes_seconds(chance: float, feeds: int) -> None:
    assert timedelta(0) <= first_poll(NOON, feeds=feeds, chance=chance) - NOON <= timedelta(seconds=4)


@given(rate=RATES, new=st.integers(0, 1000), since=st.timedeltas(timedelta(0), timedelta(days=30)))
def test_a_learnt_rate_lies_between_what_was_and_what_is(rate: float | None, new: int, since: timedelta) -> None:
    told = new / max(since.total_seconds(), 1) * 3600

    got = learnt(rate, new=new, since=since)

    before = told if rate is None else rate
    assert min(before, told) * 0.999 <= got <= max(before, told) * 1.001 + 1e-9


def test_the_first_document_tells_a_rate() -> None:
    assert first_rate([NOON - 10 * HOUR, NOON - HOUR, NOON + HOUR], NOON) == pytest.approx(0.2)
    assert first_rate([NOON - HOUR], NOON) is None


def test_late_is_more_than_half_an_hour_after_the_plan() -> None:
    assert not is_late(NOON, None)
    assert not is_late(NOON, NOON - 30 * MINUTE)
    assert is_late(NOON, NOON - 31 * MINUTE)


@pytest.mark.parametrize(("new", "entries", "verdict"), [(2, 2, False), (15, 30, True), (14, 30, False), (0, 0, False)])
def test_mostly_new_is_half_and_more_than_two(new: int, entries: int, *, verdict: bool) -> None:
    assert is_mostly_new(new=new, entries=entries) is verdict


def test_when_most_hosts_fail_at_once_it_is_our_line() -> None:
    silent = [(f"h{number}", False) for number in range(8)]

    assert is_our_outage(silent)
    assert is_our_outage([*silent, ("fine", True)])
    assert not is_our_outage([*silent, *((f"f{number}", True) for number in range(4))])
    assert not is_our_outage(silent[:4])
    assert not is_our_outage([("one", False)] * 50)
