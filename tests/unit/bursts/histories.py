"""What was heard before a test begins, and articles that come then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from bursts.engine import take_in
from bursts.series import Series, quarter_of
from bursts.settings import BurstsSettings
from tocsin.records import Reading, Source, Volume
from tocsin.store.bursts import EVERYTHING, Topic
from tocsin.store.tx import Tx
from tocsin.testing import DAY, HOUR, MINUTE, NOON, a_detection, a_reading, an_article

SETTINGS: Final = BurstsSettings()
DEATHS: Final = ("EE", "deaths")


def a_month(tx: Tx, topic: Topic = DEATHS, *, daily: int = 4, until: datetime = NOON, days: int = 30) -> None:
    """Let *daily* articles on *topic* have been heard each day, evenly over it, and a few on something else."""
    for about, number in ((topic, daily), (EVERYTHING, daily + 5)):
        series = Series(history=SETTINGS.history)
        for day in range(days, 0, -1):
            for one in range(number):
                series.add(quarter_of(until - day * DAY + one * DAY / number), counts=about != EVERYTHING)
        quarter = quarter_of(until - MINUTE)
        tx.bursts.put_series(about, quarter=quarter, counts=series.to_bytes())


def told_by(
    number: int, *, at: datetime = NOON, owner: str | None = None, topic: Topic = DEATHS, title: str = ""
) -> Reading:
    """Return what article *number* states."""
    country, about = topic
    article = an_article(
        id=f"article-{number}",
        url=f"https://news.example/{number}",
        source=Source(owner=owner or f"Owner {number % 7}"),
        title=title or f"The report of correspondent number {number} from the country",
        published_at=at,
        seen_at=at,
    )
    return a_reading(a_detection(type=about, country=country), article=article)


def spike(count: int, *, at: datetime = NOON, within: timedelta = HOUR / 2, first: int = 0) -> list[Reading]:
    """Return *count* articles that come one after the other."""
    return [told_by(first + number, at=at + number * within / count) for number in range(count)]


def play(tx: Tx, readings: Iterable[Reading], *, settings: BurstsSettings = SETTINGS) -> list[Reading]:
    return [burst for reading in readings for burst in take_in(tx, reading, settings=settings)]


def volumes(told: Sequence[Reading]) -> list[Volume]:
    return [one.volume for reading in told for one in reading.detections if one.volume is not None]
