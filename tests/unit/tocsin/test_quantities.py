from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from tocsin.quantities import Rate, parse_duration, parse_rate, parse_size, write_duration, write_size


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("1w", timedelta(days=7)),
        ("250ms", timedelta(milliseconds=250)),
        ("1h30m", timedelta(minutes=90)),
        ("5m250ms", timedelta(minutes=5, milliseconds=250)),
        ("0s", timedelta(0)),
    ],
)
def test_a_duration_is_a_number_and_a_unit_the_larger_first(written: str, meant: timedelta) -> None:
    assert parse_duration(written) == meant


@pytest.mark.parametrize(
    "written", ["", "5", 5, 5.0, True, None, "m", "30m1h", "1h 30m", "-5m", "1.5h", "٥m", "5min", "9" * 99 + "d"]
)
def test_anything_else_is_no_duration(written: object) -> None:
    with pytest.raises(ValueError, match="is no duration: write a number and a unit"):
        parse_duration(written)


@given(milliseconds=st.integers(0, 10**12))
def test_a_duration_reads_again_as_it_is_written(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)

    assert parse_duration(write_duration(duration)) == duration


@pytest.mark.parametrize(
    ("written", "meant"),
    [("20GB", 20 * 10**9), ("500MB", 5 * 10**8), ("64KiB", 65536), ("1.5 GiB", 3 * 2**29), ("3kB", 3000), ("7B", 7)],
)
def test_a_size_is_a_number_and_a_unit(written: str, meant: int) -> None:
    assert parse_size(written) == meant


@pytest.mark.parametrize("written", ["", "20", 20, "20G", "-1GB", "1iB", "1e3GB", None, [1]])
def test_anything_else_is_no_size(written: object) -> None:
    with pytest.raises(ValueError, match="is no size: write a number and a unit"):
        parse_size(written)


@given(size=st.integers(0, 10**15 - 1))
def test_a_size_reads_again_as_it_is_written(size: int) -> None:
    assert parse_size(write_size(size)) == size


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("20/day", Rate(20, timedelta(days=1))),
        ("600/minute", Rate(600, timedelta(minutes=1))),
        ("5 / 15m", Rate(5, timedelta(minutes=15))),
        ("1/h", None),
        ("x/day", None),
        ("0/day", None),
        ("1/0s", None),
        (20, None),
    ],
)
def test_a_rate_is_so_many_in_so_long(written: object, meant: Rate | None) -> None:
    if meant is None:
        with pytest.raises(ValueError, match="is no rate"):
            parse_rate(written)
    else:
        assert parse_rate(written) == meant
        assert parse_rate(str(meant)) == meant
