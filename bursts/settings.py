"""What an operator decides about bursts: the `bursts:` key."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tocsin.matcher import EventType
from tocsin.quantities import Wrong
from tocsin.records import Severity
from tocsin.yamlfile import Duration

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
WINDOWS_MOST = 6  # each is judged for each article


def _whole_hours(window: timedelta) -> timedelta:
    if window % HOUR or not HOUR <= window <= DAY:
        raise ValueError("a window is of whole hours, from 1h to 24h")
    return window


def _whole_days(time: timedelta) -> timedelta:
    if time % DAY or not timedelta(days=7) <= time <= timedelta(days=91):
        raise ValueError("expected whole days, from 7d to 91d")
    return time


def _a_few(windows: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    if not 1 <= len(set(windows)) <= WINDOWS_MOST:
        raise ValueError(f"expected 1 to {WINDOWS_MOST} windows")
    return tuple(sorted(set(windows)))


Window = Annotated[Duration, AfterValidator(_whole_hours)]
Days = Annotated[Duration, AfterValidator(_whole_days)]


class BurstsSettings(BaseModel):
    """When so many articles are unusual.

    A window is compared with those that ended at the same time of day within `history`. Nothing rings before that many
    days were listened to as `warm_up` says, and a feed's articles count only once it has been read for so long. It
    rings when a window's robust score is at least `score`, with at least `articles` of at least `owners` owners.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    windows: Annotated[tuple[Window, ...], AfterValidator(_a_few)] = (HOUR, 6 * HOUR, DAY)
    history: Days = timedelta(days=28)
    warm_up: Days = timedelta(days=14)
    score: Annotated[float, Field(ge=2, le=100)] = 5.0
    articles: Annotated[int, Field(ge=3, le=10_000)] = 8
    owners: Annotated[int, Field(ge=1, le=100)] = 3
    topics: tuple[EventType, ...] | None = None
    severity: Severity = Severity.MODERATE

    @model_validator(mode="after")
    def _is_long_enough(self) -> Self:
        # A median moves only when half of what it is taken from has moved: until then a new feed would stand out.
        if not self.history / 2 <= self.warm_up <= self.history:
            raise Wrong("warm_up must be at least half of history, and not more", "warm_up")
        return self
