"""Tells by a month or a day that a text names whether it speaks of what happened before this news."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from detectors.marks import Mark
    from detectors.tokens import Sentence

FRESH_DAYS: Final = 6  # an article may still bring what is so old
_AHEAD_MONTHS: Final = 7  # a month that is nearer ahead than behind is meant as one to come
_YEAR_MONTHS: Final = 12
_LAST_DAY: Final = 31


def is_past(sentence: Sentence, month: Mark, published: date) -> bool:
    """Tell whether *month*, with the day beside it if there is one, lies more than `FRESH_DAYS` before *published*."""
    number = month.value[0] if month.value else None
    if number is None:
        return False
    behind = (published.month - number) % _YEAR_MONTHS
    if behind >= _AHEAD_MONTHS:
        return False
    day = _day(sentence, month)
    if day is None:
        return behind > 1 or (behind == 1 and published.day > FRESH_DAYS)
    year = published.year - (number > published.month)
    try:
        return (published - date(year, number, day)).days > FRESH_DAYS
    except ValueError:  # 31 February
        return False


def _day(sentence: Sentence, month: Mark) -> int | None:
    """Return the day that stands before the month (`am 5. Mai`, `el 5 de mayo`) or behind it (`May 5`)."""
    for at in (month.start - 1, month.start - 2, month.end):
        if 0 <= at < len(sentence) and sentence.texts[at].isdigit() and 1 <= int(sentence.texts[at]) <= _LAST_DAY:
            return int(sentence.texts[at])
    return None
