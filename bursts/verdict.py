"""Whether a window holds unusually many articles: a function of the counts, of nothing else.

Time is the quarter of an hour in which the window ends. Within the look-back a further article only ever raises what
may ring: what it is compared with lies further back. So the order of arrival does not matter there.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import TYPE_CHECKING, Final

from .baseline import Baseline
from .series import HOURS_A_DAY, IN_AN_HOUR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .series import Numbers, Series
    from .settings import BurstsSettings

ASLEEP_BELOW: Final = 0.25  # of the usual: on such a day most feeds, or we, were away, and it says nothing
WEEK: Final = 7  # days
LOOK_BACK: Final = 92  # quarters, an hour less than a day: the window of the day before ends with a whole hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How one window stands. `bar` is the smallest count that rings; each `level` is twice the one before, from 0 on.

    Below the bar `level` is -1; from half the bar on the window `is_hot` all the same and keeps a burst alive that has
    begun. `first` and `end` are its quarters.
    """

    end: int
    hours: int
    count: int
    usual: int
    score: float
    bar: int
    level: int

    @property
    def first(self) -> int:
        """Its first quarter."""
        return self.end - self.hours * IN_AN_HOUR + 1

    @property
    def is_hot(self) -> bool:
        """Whether it keeps a burst alive."""
        return 2 * self.count >= self.bar


def awake_days(everything: Numbers, end: int, settings: BurstsSettings) -> tuple[int, ...]:
    """Return how many days before *end* those days lie on which we listened.

    *everything* counts all articles by the hour, whatever they tell of. A day with a small part of what is usual is one
    on which the service, its network or most feeds were away.
    """
    hour = end // IN_AN_HOUR
    days = range(1, settings.history.days + 1)
    heard = {back: everything.within(hour - back * HOURS_A_DAY, HOURS_A_DAY) for back in days}
    least = ASLEEP_BELOW * median([count for count in heard.values() if count] or [0])
    return tuple(back for back, count in heard.items() if count and count >= least)


def judge(series: Series, end: int, *, awake: tuple[int, ...], settings: BurstsSettings) -> Iterator[Verdict]:
    """Yield a verdict on each window that ends with the quarter *end* and is hot or nearly so; none in the warm-up.

    What may ring is compared with all that was heard, in windows that ended with the same hour of earlier days.
    """
    if len(awake) < settings.warm_up.days:
        return
    hour = end // IN_AN_HOUR
    for window in settings.windows:
        hours = int(window.total_seconds()) // 3600
        quarters = hours * IN_AN_HOUR
        count = series.counted.within(end, quarters)
        if 2 * count < settings.articles:
            continue
        samples = {back: series.heard.within(hour - back * HOURS_A_DAY, hours) for back in awake}
        baseline = Baseline.of(
            tuple(samples.values()), tuple(number for back, number in samples.items() if back % WEEK == 0)
        )
        bar = max(settings.articles, baseline.bar(settings.score))
        yield Verdict(
            end=end,
            hours=hours,
            count=count,
            usual=ceil(baseline.usual),
            score=baseline.score(count),
            bar=bar,
            level=(count // bar).bit_length() - 1,
        )
