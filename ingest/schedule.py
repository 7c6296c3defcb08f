"""When a feed is asked next. Pure: the instant, the state and the chance (0 to 1) come from outside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HINT_CAP = timedelta(minutes=5)  # a publisher's ttl of an hour is for readers, not for alarms; it is not ignored either
BACKOFF_CAP = timedelta(hours=1)
GONE = timedelta(hours=24)
JITTER = 0.1
RATE_MEMORY = timedelta(days=2)
UNKNOWN_RATE_PER_H = 1.0
SLOWEST_RATE_PER_H = 1 / (24 * 14)
LATE = timedelta(minutes=30)

OUTAGE_HOSTS = 5
OUTAGE_SHARE = 0.8
OUTAGE_RETRY = timedelta(seconds=30)

COLD_START = timedelta(seconds=4)
COLD_START_EACH = timedelta(milliseconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """What bears on a feed's interval. `rate_per_h` is new articles an hour, learnt; None before the first poll."""

    every: timedelta | None = None
    rate_per_h: float | None = None
    weight: float = 1.0
    hint: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The operator's limits, and what the budget leaves: `scale` is the c of interval = c / √(rate · weight)."""

    floor: timedelta
    ceiling: timedelta
    scale: float = 0.0


def interval(rhythm: Rhythm, bounds: Bounds) -> timedelta:
    """Return how long to leave a feed alone after a success, between floor and ceiling.

    An operator's own `every` is obeyed. Otherwise the √-law (Sia, Cho & Cho 2007) shares the request budget; the
    publisher's hint may lengthen that, within `HINT_CAP`.
    """
    if rhythm.every is not None:
        return max(rhythm.every, bounds.floor)
    rate = UNKNOWN_RATE_PER_H if rhythm.rate_per_h is None else max(rhythm.rate_per_h, SLOWEST_RATE_PER_H)
    seconds = bounds.scale / math.sqrt(rate * rhythm.weight)
    wanted = timedelta(seconds=min(seconds, bounds.ceiling.total_seconds()))
    if rhythm.hint is not None:
        wanted = max(wanted, min(rhythm.hint, HINT_CAP))
    return min(max(wanted, bounds.floor), bounds.ceiling)


def scale(feeds: Iterable[tuple[float | None, float]], *, requests_per_minute: float) -> float:
    """Return the c at which all feeds, given as (rate per hour, weight), together use the budget."""
    total = sum(
        math.sqrt(max(UNKNOWN_RATE_PER_H if rate is None else rate, SLOWEST_RATE_PER_H) * weight)
        for rate, weight in feeds
    )
    return total * 60 / requests_per_minute


def next_due(now: datetime, rhythm: Rhythm, bounds: Bounds, *, mostly_new: bool, chance: float) -> datetime:
    """Return when to ask again after a success; at half the interval when the last answer was mostly new."""
    pause = interval(rhythm, bounds)
    if mostly_new:
        pause = max(pause / 2, bounds.floor)
    return now + pause * (1 + JITTER * (2 * chance - 1))


def next_try(
    now: datetime,
    rhythm: Rhythm,
    bounds: Bounds,
    *,
    failures: int,
    chance: float,
    retry_after: timedelta | None = None,
    gone: bool = False,
) -> datetime:
    """Return when to ask again after the *failures*-th failure in a row: full jitter, and never "never"."""
    if gone:
        return now + GONE * (1 + JITTER * chance)
    usual = interval(rhythm, bounds)
    cap = min(max(BACKOFF_CAP, usual), bounds.ceiling)
    most = min(usual * float(1 << min(failures, 20)), cap)
    pause = max(bounds.floor / 2, most * chance)
    if retry_after is not None:
        pause = max(pause, retry_after + bounds.floor * JITTER * chance)
    return now + pause


def first_poll(now: datetime, *, feeds: int, chance: float) -> datetime:
    """Return when a feed that was never asked is due: all of them within a few seconds, not in one instant."""
    return now + min(COLD_START, COLD_START_EACH * feeds) * chance


def learnt(rate_per_h: float | None, *, new: int, since: timedelta) -> float:
    """Return the rate after *new* articles appeared in the time *since* the last look; old times count ever less."""
    hours = max(since.total_seconds(), 1.0) / 3600
    told = new / hours
    if rate_per_h is None:
        return told
    share = 1 - math.exp(-since / RATE_MEMORY)
    return rate_per_h * (1 - share) + told * share


def first_rate(published: Sequence[datetime], now: datetime) -> float | None:
    """Return the rate that a first document's dates tell; None when they tell none."""
    past = sorted(moment for moment in published if moment <= now)
    if len(past) < 2:  # noqa: PLR2004 — two dates make an interval
        return None
    hours = max((now - past[0]).total_seconds(), 60.0) / 3600
    return len(past) / hours


def is_mostly_new(*, new: int, entries: int) -> bool:
    """Tell whether so much of a document was new that something may have slid out of it unseen."""
    return new >= 3 and new * 2 >= entries  # noqa: PLR2004 — one or two new ones are the normal case of a short feed


def is_late(now: datetime, planned: datetime | None) -> bool:
    """Tell whether a feed is read so long after it should have been that its news is no longer news."""
    return planned is not None and now - planned > LATE


def is_our_outage(outcomes: Sequence[tuple[str, bool]]) -> bool:
    """Tell whether most hosts failed at once, given (host, answered at all): then it is our line that is down."""
    answered = {host for host, ok in outcomes if ok}
    silent = {host for host, _ in outcomes} - answered
    return len(silent) >= OUTAGE_HOSTS and len(silent) >= OUTAGE_SHARE * (len(silent) + len(answered))
