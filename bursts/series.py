"""Counts of one topic by time: what was heard, by the hour, and what may ring, by the quarter of an hour."""

from __future__ import annotations

import sys
from array import array
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.errors import RecordUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
QUARTER: Final = timedelta(minutes=15)
IN_AN_HOUR: Final = 4
IN_A_DAY: Final = 96
HOURS_A_DAY: Final = 24
COUNTED_DAYS: Final = 3  # the longest window, the look-back and the day that is not over
SPARE_DAYS: Final = 3  # beyond the history: the longest window, the look-back and the day that is not over
_MOST: Final = 65_535  # what 16 bits hold


def quarter_of(instant: datetime) -> int:
    """Return the number of the quarter in which *instant* lies, counted since 1970."""
    return (instant - EPOCH) // QUARTER


class Numbers:
    """Small numbers one after the other, the last `kept` of them: what lies before is forgotten, and so is 0."""

    __slots__ = ("first", "kept", "values")

    def __init__(self, *, kept: int, first: int = 0, values: array[int] | None = None) -> None:
        self.kept = kept
        self.first = first
        self.values = array("H") if values is None else values

    @property
    def end(self) -> int:
        """The place behind the last number."""
        return self.first + len(self.values)

    def add(self, place: int) -> None:
        """Count one more at *place*, unless that is forgotten already."""
        if not self.values:
            self.first = place
        if place >= self.end:
            gone = min(max(0, place + 1 - self.kept - self.first), len(self.values))
            del self.values[:gone]
            self.first = max(self.first + gone, place + 1 - self.kept) if not self.values else self.first + gone
            self.values.extend([0] * (place + 1 - self.end))
        elif place < self.first:
            if place < self.end - self.kept:
                return
            self.values = array("H", [0] * (self.first - place)) + self.values
            self.first = place
        self.values[place - self.first] = min(_MOST, self.values[place - self.first] + 1)

    def within(self, end: int, length: int) -> int:
        """Return the sum of *length* numbers, of which that at *end* is the last."""
        return sum(self.values[max(0, end - length + 1 - self.first) : max(0, end + 1 - self.first)])

    def places(self, first: int) -> Iterator[int]:
        """Yield from *first* on where there is anything."""
        for place in range(max(first, self.first), self.end):
            if self.values[place - self.first]:
                yield place


class _Stored(msgspec.Struct, array_like=True):
    first_hour: int
    heard: bytes
    first_quarter: int
    counted: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Stored)


class Series:
    """The articles of one topic: all that were `heard`, by the hour; those that may ring, `counted` by the quarter."""

    __slots__ = ("counted", "heard")

    def __init__(self, *, history: timedelta) -> None:
        self.heard = Numbers(kept=(history.days + SPARE_DAYS) * HOURS_A_DAY)
        self.counted = Numbers(kept=COUNTED_DAYS * IN_A_DAY)

    def add(self, quarter: int, *, counts: bool) -> None:
        """Take in one article."""
        self.heard.add(quarter // IN_AN_HOUR)
        if counts:
            self.counted.add(quarter)

    def to_bytes(self) -> bytes:
        """Return what `from_bytes` reads."""
        return _encoder.encode(
            _Stored(
                self.heard.first,
                _little(self.heard.values).tobytes(),
                self.counted.first,
                _little(self.counted.values).tobytes(),
            )
        )

    @staticmethod
    def from_bytes(raw: bytes | None, *, history: timedelta) -> Series:
        """Return the series again; an empty one of nothing.

        Raises:
            RecordUnreadable: the bytes are no series of this version.
        """
        series = Series(history=history)
        if raw is not None:
            try:
                stored = _decoder.decode(raw)
                heard, counted = array("H", stored.heard), array("H", stored.counted)
            except (msgspec.MsgspecError, ValueError) as error:
                raise RecordUnreadable(f"stored counts of a topic: {error}") from error
            series.heard.first, series.heard.values = stored.first_hour, _little(heard)
            series.counted.first, series.counted.values = stored.first_quarter, _little(counted)
        return series


def _little(numbers: array[int]) -> array[int]:
    """Turn the bytes of each number round where they do not lie in that order anyway."""
    if sys.byteorder == "big":
        numbers = array("H", numbers)
        numbers.byteswap()
    return numbers
