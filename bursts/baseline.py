"""What is usual: a robust baseline of counts, and how far a count stands out from it.

Counts of news scatter with their own size, so they are first made steady: 2·√(n + ⅜) of a Poisson count has a standard
deviation of about 1 whatever its mean (F. J. Anscombe, The transformation of Poisson, binomial and negative-binomial
data, Biometrika 35, 1948). Of those, the median and 1.4826 times the median absolute deviation stand for mean and
standard deviation, so that a burst among the samples, up to nearly half of them, does not raise the bar for the next
one (F. R. Hampel, The influence curve and its role in robust estimation, JASA 69, 1974; B. Iglewicz and D. C. Hoaglin,
How to Detect and Handle Outliers, ASQC 1993). The spread is never taken for less than 1, that of a Poisson count: what
is usually 0 has no deviation at all, and its first article would be a sensation.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MAD_TO_DEVIATION: Final = 1.4826  # 1/Φ⁻¹(¾): makes it the standard deviation of what is normally distributed
LEAST_SPREAD: Final = 1.0  # of a steadied Poisson count


def steady(count: float) -> float:
    """Return the count on a scale on which chance scatters it by about 1 whatever its size."""
    return 2 * sqrt(count + 0.375)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What counts usually are. `level` and `spread` are steadied, `usual` is the median of the counts themselves."""

    level: float
    spread: float
    usual: float

    @staticmethod
    def of(samples: Sequence[int], alike: Sequence[int] = ()) -> Baseline:
        """Return that of at least one sample; *alike* are those of the same day of the week.

        Where those are usually higher they are the level: a Sunday is compared with Sundays. They are too few to
        tell how they scatter.
        """
        steadied = [steady(count) for count in samples]
        middle = median(steadied)
        spread = MAD_TO_DEVIATION * median(abs(one - middle) for one in steadied)
        usual, level = median(samples), middle
        if alike:
            usual = max(usual, median(alike))
            level = max(level, median(steady(count) for count in alike))
        return Baseline(level=level, spread=max(LEAST_SPREAD, spread), usual=usual)

    def score(self, count: int) -> float:
        """Return by how many robust standard deviations *count* is above what is usual."""
        return (steady(count) - self.level) / self.spread

    def bar(self, score: float) -> int:
        """Return the smallest count that has at least *score*."""
        least = ceil(max(0.0, ((self.level + score * self.spread) / 2) ** 2 - 0.375) - 1e-9)
        # What rounding took away: the same comparison must hold here and in `score`.
        while self.score(least) < score:
            least += 1
        return least
