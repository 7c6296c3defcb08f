"""How often noise is taken for a burst, and how large one must be to be found.

python -m bench.bursts [--years N]    judged without a store
python -m bench.bursts --replay       a year of twelve countries through the store, with four bursts planted in it

Articles come by chance (Poisson) at a rate that is even, or that has seasons: 60 % louder in the afternoon than on
average, half as loud on two days of the week. Every hour in which one comes is judged; owners are taken for many.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import time
from datetime import timedelta
from functools import partial
from math import exp, pi, sin
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import structlog
from rich.console import Console
from rich.table import Table

from bursts.engine import take_in
from bursts.series import IN_AN_HOUR, Numbers, Series
from bursts.settings import BurstsSettings
from bursts.verdict import awake_days, judge
from tocsin.records import Source, digest
from tocsin.testing import NOON, a_detection, a_reading, a_store, an_article

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from tocsin.records import Reading
    from tocsin.store.tx import Tx

SETTINGS: Final = BurstsSettings()
RATES: Final = (0.05, 0.3, 1.0, 4.0, 15.0)  # articles an hour
BEGIN: Final = 2_000_000  # a quarter of an hour, at midnight
HOURS_A_DAY: Final = 24
PLANTED: Final = 60  # bursts of each size
COUNTRIES: Final = {
    "UA": 4.0,
    "PS": 2.0,
    "US": 1.0,
    "IN": 0.8,
    "IR": 0.5,
    "DE": 0.4,
    "FR": 0.3,
    "BR": 0.3,
    "SD": 0.2,
    "KZ": 0.08,
    "EE": 0.03,
    "LV": 0.01,
}
REPLAYED: Final = {  # further articles by country and hour
    **{("KZ", 4813 + hour): 4 for hour in range(6)},
    **{("US", 6000 + hour): 10 for hour in range(3)},
    **{("EE", 7205 + hour): 7 for hour in range(2)},
    **{("UA", 7700 + hour): 15 for hour in range(6)},
}


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


def told(number: int, country: str, at: datetime, chance: Random) -> Reading:
    """Return what one article states."""
    article = an_article(
        id=digest("article", str(number)),
        url=f"https://news.example/{number}",
        title=f"The report of correspondent number {number} from there",
        seen_at=at,
        published_at=at,
        source=Source(owner=f"Owner {chance.randrange(40)}"),
    )
    return a_reading(a_detection(country=country), article=article)


async def replay(console: Console) -> None:
    """Play a year through the store, and print what rang, how long it took, and what is kept."""
    chance = Random(5)  # noqa: S311 — the same year each time
    number, spent = 0, 0.0
    found: list[Reading] = []
    with TemporaryDirectory() as folder:
        async with a_store(Path(folder)) as store:
            for day in range(365):
                some = []
                for hour in range(day * HOURS_A_DAY, (day + 1) * HOURS_A_DAY):
                    for country, mean in COUNTRIES.items():
                        count = poisson(chance, seasonal(mean)(hour)) + REPLAYED.get((country, hour), 0)
                        minutes = (timedelta(hours=hour, minutes=60 * chance.random()) for _ in range(count))
                        some += [(NOON + minute, country) for minute in minutes]
                readings = [
                    told(number + place, country, at, chance) for place, (at, country) in enumerate(sorted(some))
                ]
                number += len(readings)
                begun = time.process_time()
                found += await store.write(partial(_take_in, readings=readings))
                spent += time.process_time() - begun
                if day % 90 == 89:
                    console.print(f"after {day + 1} days {store.bytes_on_disk():,} bytes")
    console.print(f"{number:,} readings, {spent / number * 1e6:.0f} µs each")
    for burst in found:
        console.print(f"hour {(burst.mention.seen_at - NOON) // timedelta(hours=1)}: {burst.mention.title}")


def _take_in(tx: Tx, *, readings: Sequence[Reading]) -> list[Reading]:
    return [burst for reading in readings for burst in take_in(tx, reading, settings=SETTINGS)]


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--replay", action="store_true")
    arguments = parser.parse_args()
    years, console = arguments.years, Console()
    if arguments.replay:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        asyncio.run(replay(console))
        return
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
