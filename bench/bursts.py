"""How often noise is taken for a burst, and how large one must be to be found.

python -m bench.bursts [--years N]

Articles come by chance (Poisson) at a rate that is even, or that has seasons: 60 % louder in the afternoon than on
average, half as loud on two days of the week. Every hour in which one comes is judged; owners are taken for many.
"""

from __future__ import annotations

import argparse
import time
from math import exp, pi, sin
from random import Random
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from bursts.series import IN_AN_HOUR, Numbers, Series
from bursts.settings import BurstsSettings
from bursts.verdict import awake_days, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SETTINGS: Final = BurstsSettings()
RATES: Final = (0.05, 0.3, 1.0, 4.0, 15.0)  # articles an hour
BEGIN: Final = 2_000_000  # a quarter of an hour, at midnight
HOURS_A_DAY: Final = 24
PLANTED: Final = 60  # bursts of each size


def poisson(chance: Random, mean: float) -> int:
    """Return a number drawn from a Poisson distribution (D. E. Knuth, The Art of Computer Programming 2, 3.4.1)."""
    if mean > 30:  # two of half the mean: the product below would vanish
        return poisson(chance, mean / 2) + poisson(chance, mean / 2)
    least, product, number = exp(-mean), chance.random(), 0
    while product > least:
        product *= chance.random()
        number += 1
    return number


def even(mean: float) -> Callable[[int], float]:
    """Return a rate that is always the same."""
    return lambda _hour: mean


def seasonal(mean: float) -> Callable[[int], float]:
    """Return a rate that is high in the afternoon and half as high on two days of the week."""

    def rate(hour: int) -> float:
        weekend = 0.5 if hour // HOURS_A_DAY % 7 >= 5 else 1.0
        return mean * weekend * (1 + 0.6 * sin(2 * pi * hour / HOURS_A_DAY))

    return rate


def alarms(rate: Callable[[int], float], *, days: int, seed: int, spikes: Mapping[int, int] | None = None) -> list[int]:
    """Return the hours in which some window rings. *spikes* are further articles, by the hour in which they come."""
    chance = Random(seed)  # noqa: S311 — noise that must be the same each time
    series = Series(history=SETTINGS.history)
    everything = Numbers(kept=series.heard.kept)
    found = []
    for hour in range(days * HOURS_A_DAY):
        number = poisson(chance, rate(hour)) + (spikes or {}).get(hour, 0)
        end = BEGIN + hour * IN_AN_HOUR + IN_AN_HOUR - 1
        everything.add(end // IN_AN_HOUR)  # somebody always tells something
        for _ in range(number):
            series.add(end, counts=True)
        if number and hour >= SETTINGS.warm_up.days * HOURS_A_DAY:
            awake = awake_days(everything, end, SETTINGS)
            verdicts = judge(series, end, awake=awake, settings=SETTINGS)
            if any(verdict.level >= 0 for verdict in verdicts):
                found.append(hour)
    return found


def bursts_of(hours: list[int]) -> int:
    """Return how many bursts the ringing *hours* are: what follows within a day belongs to one."""
    return sum(not index or hour - hours[index - 1] > 2 * HOURS_A_DAY for index, hour in enumerate(hours))


def found_of(mean: float, extra: int) -> float:
    """Return the share of planted bursts of *extra* articles within an hour that are found in that hour or the next."""
    every = 11 * HOURS_A_DAY + 5  # at another time of day each
    planted = {35 * HOURS_A_DAY + number * every: extra for number in range(PLANTED)}
    days = (max(planted) + 2 * HOURS_A_DAY) // HOURS_A_DAY
    rung = set(alarms(seasonal(mean), days=days, seed=round(mean * 1000), spikes=planted))
    return sum(bool({hour, hour + 1} & rung) for hour in planted) / len(planted)


def main() -> None:
    """Print both tables as Markdown rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=10)
    years = parser.parse_args().years
    console = Console()
    begun = time.perf_counter()
    table = Table(title=f"false bursts a year in {years} years of chance; share of planted bursts found")
    sizes = (10, 15, 20, 30, 50)
    for name in ("articles an hour", "even", "by season", *(f"+{size} in an hour" for size in sizes)):
        table.add_column(name)
    for mean in RATES:
        seed = round(mean * 100)
        quiet = bursts_of(alarms(even(mean), days=365 * years, seed=seed)) / years
        by_season = bursts_of(alarms(seasonal(mean), days=365 * years, seed=seed + 1)) / years
        shares = [found_of(mean, size) for size in sizes]
        table.add_row(f"{mean:g}", f"{quiet:g}", f"{by_season:g}", *(f"{share:.0%}" for share in shares))
    console.print(table)
    console.print(f"[dim]{time.perf_counter() - begun:.0f} s[/]")


if __name__ == "__main__":
    main()
