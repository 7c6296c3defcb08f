from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from bursts.baseline import Baseline, steady
from bursts.series import Numbers, Series, quarter_of
from tocsin.errors import RecordUnreadable
from tocsin.testing import NOON

HISTORY = timedelta(days=28)
counts = st.integers(0, 500)


@given(samples=st.lists(counts, min_size=1, max_size=40), alike=st.lists(counts, max_size=5), score=st.floats(2, 20))
def test_the_bar_is_the_smallest_count_of_that_score(samples: list[int], alike: list[int], score: float) -> None:
    baseline = Baseline.of(samples, alike)

    bar = baseline.bar(score)

    assert baseline.score(bar) >= score
    assert bar == 0 or baseline.score(bar - 1) < score


def test_what_is_usually_nothing_has_a_bar_all_the_same() -> None:
    baseline = Baseline.of([0] * 28)

    assert (baseline.usual, baseline.spread, baseline.bar(5.0)) == (0, 1.0, 10)


def test_bursts_among_the_samples_do_not_raise_the_bar() -> None:
    quiet = Baseline.of([4] * 28)

    after = Baseline.of([4] * 16 + [200] * 12)

    assert after.bar(5.0) == quiet.bar(5.0)


def test_what_scatters_much_must_stand_out_more() -> None:
    assert Baseline.of([0, 20] * 14).bar(5.0) > Baseline.of([10] * 28).bar(5.0)


def test_a_sunday_is_compared_with_sundays_where_those_are_louder() -> None:
    samples = [10, 10, 10, 10, 10, 10, 40] * 4

    assert Baseline.of(samples).score(40) > 5
    assert Baseline.of(samples, alike=[40] * 4).score(40) == pytest.approx(0)
    assert Baseline.of(samples, alike=[2] * 4) == Baseline.of(samples)


def test_a_steadied_poisson_count_scatters_by_about_one_whatever_its_mean() -> None:
    for mean in (9, 90, 900):
        deviation = mean**0.5
        assert steady(mean + deviation) - steady(mean - deviation) == pytest.approx(2, abs=0.04)


# ------------------------------------------------------------------------------------------------------- the counts


@given(places=st.lists(st.integers(1000, 1400), max_size=60), kept=st.integers(1, 200), data=st.data())
def test_numbers_count_what_is_not_too_old_in_whatever_order_it_comes(
    places: list[int], kept: int, data: st.DataObject
) -> None:
    numbers = Numbers(kept=kept)
    end = data.draw(st.integers(990, 1410))
    length = data.draw(st.integers(1, 250))

    for place in places:
        numbers.add(place)

    last = max(places, default=0)
    inside = [place for place in places if last - kept < place]
    assert len(numbers.values) <= kept
    # What came late and was too old then is not there; what was there at the end is.
    assert numbers.within(end, length) == sum(end - length < place <= end for place in inside)
    assert list(numbers.places(0)) == sorted(set(inside))


def test_a_long_silence_leaves_nothing_behind() -> None:
    numbers = Numbers(kept=100)
    numbers.add(5)

    numbers.add(50_000)

    assert (numbers.within(50_000, 100), numbers.within(5, 100), len(numbers.values)) == (1, 0, 100)


def test_a_series_comes_back_from_its_bytes() -> None:
    series = Series(history=HISTORY)
    quarter = quarter_of(NOON)
    for back in (0, 1, 90, 2000):
        series.add(quarter - back, counts=back < 50)

    again = Series.from_bytes(series.to_bytes(), history=HISTORY)

    assert again.to_bytes() == series.to_bytes()
    assert again.heard.within(quarter // 4, 25) == 3
    assert again.counted.within(quarter, 96) == 2


@pytest.mark.parametrize("raw", [b"", b"\x00", b"\x94\x01\xc4\x01a\x01\xc4\x00"])
def test_what_is_no_series_is_refused(raw: bytes) -> None:
    with pytest.raises(RecordUnreadable, match="counts of a topic"):
        Series.from_bytes(raw, history=HISTORY)
