"""The board on which every stage's state hangs: what `/healthz` and `/readyz` read."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tocsin.clock import Clock

CRASHES_ALLOWED = 5
CRASH_WINDOW = timedelta(minutes=10)
SILENCES_UNTIL_DEAD = 3  # a stage this many times longer silent than it promised will not come back by itself
ERROR_LIMIT = 300


class StageState(StrEnum):
    """Where a stage is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing off"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Condition:
    """A yes, or a no with its reasons in an operator's words."""

    reasons: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing speaks against it."""
        return not self.reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReport:
    """One stage as it is now. `since` is when it came into this state, `crashes` counts since the start."""

    name: str
    state: StageState
    since: datetime
    crashes: int
    last_error: str | None
    last_beat: datetime | None


@dataclass(slots=True)
class _Entry:
    state: StageState
    since: datetime
    silent_after: timedelta | None
    crashes: int = 0
    last_error: str | None = None
    last_beat: datetime | None = None
    recent: deque[datetime] = field(default_factory=lambda: deque(maxlen=CRASHES_ALLOWED))
    troubled: bool = False


class Health:
    """What every stage is doing, and whether that is good enough.

    Stages beat (`beat`) when they make progress. Five crashes in ten minutes make a stage troubled until it has run
    for ten minutes on end.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._draining = False

    def add(self, stage: str, *, silent_after: timedelta | None = None) -> None:
        """Expect *stage*; with *silent_after*, also expect it to beat that often while it runs."""
        self._entries[stage] = _Entry(StageState.STARTING, self._clock.now(), silent_after)

    def forget(self, stage: str) -> None:
        """Take *stage* off the board."""
        self._entries.pop(stage, None)

    def running(self, stage: str) -> None:
        """Note that *stage* has been started."""
        self._turn(stage, StageState.RUNNING)

    def crashed(self, stage: str, error: BaseException) -> None:
        """Note that *stage* ended by *error* and waits for its next start."""
        entry = self._turn(stage, StageState.BACKING_OFF)
        entry.crashes += 1
        entry.last_error = f"{type(error).__name__}: {error}"[:ERROR_LIMIT]
        entry.recent.append(entry.since)
        if len(entry.recent) == CRASHES_ALLOWED and entry.since - entry.recent[0] <= CRASH_WINDOW:
            entry.troubled = True

    def stopped(self, stage: str) -> None:
        """Note that *stage* was ended on purpose."""
        if stage in self._entries:
            self._turn(stage, StageState.STOPPED)

    def beat(self, stage: str) -> None:
        """Note progress of *stage*; a name that is not on the board is ignored."""
        entry = self._entries.get(stage)
        if entry is not None:
            entry.last_beat = self._clock.now()

    def drain(self) -> None:
        """Note that the service is going down: not ready any more, but alive."""
        self._draining = True

    def stages(self) -> tuple[StageReport, ...]:
        """Return every stage's state, in the order of their adding."""
        return tuple(
            StageReport(
                name=name,
                state=entry.state,
                since=entry.since,
                crashes=entry.crashes,
                last_error=entry.last_error,
                last_beat=entry.last_beat,
            )
            for name, entry in self._entries.items()
        )

    def ready(self) -> Condition:
        """Say whether the service does its work now."""
        now = self._clock.now()
        reasons = ["the service is going down"] if self._draining else []
        for name, entry in self._entries.items():
            if entry.troubled and entry.state is StageState.RUNNING and now - entry.since >= CRASH_WINDOW:
                entry.troubled = False
            if entry.state in (StageState.STARTING, StageState.STOPPED):
                reasons.append(f"stage {name!r} is {entry.state}")
            elif entry.troubled:
                reasons.append(
                    f"stage {name!r} crashed {CRASHES_ALLOWED} times within "
                    f"{CRASH_WINDOW.total_seconds() / 60:g} minutes, last by {entry.last_error}"
                )
            elif (silence := _overlong_silence(entry, now)) is not None:
                reasons.append(f"stage {name!r} has made no progress for {silence.total_seconds():.0f} s")
        return Condition(tuple(reasons))

    def live(self) -> Condition:
        """Say whether the process can still help itself; when not, only a restart will."""
        now = self._clock.now()
        reasons = []
        for name, entry in self._entries.items():
            silence = _overlong_silence(entry, now, times=SILENCES_UNTIL_DEAD)
            if silence is not None:
                reasons.append(f"stage {name!r} has made no progress for {silence.total_seconds():.0f} s")
        return Condition(tuple(reasons))

    def _turn(self, stage: str, state: StageState) -> _Entry:
        entry = self._entries[stage]
        entry.state = state
        entry.since = self._clock.now()
        return entry


def _overlong_silence(entry: _Entry, now: datetime, *, times: int = 1) -> timedelta | None:
    if entry.silent_after is None or entry.state is not StageState.RUNNING:
        return None
    heard = entry.since if entry.last_beat is None else max(entry.since, entry.last_beat)
    return now - heard if now - heard > entry.silent_after * times else None
