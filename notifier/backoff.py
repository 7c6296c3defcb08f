"""When to try again: plain functions of what has failed so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

RETRY_AFTER_CAP: Final = timedelta(hours=1)  # RFC 9110, 10.2.3 sets no limit, and a server may ask for days
DOUBLINGS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a lane comes back. `first` and `cap` bound one message's pauses, the others the whole receiver's."""

    first: timedelta = timedelta(seconds=1)
    cap: timedelta = timedelta(minutes=10)
    failures: int = 5
    rest: timedelta = timedelta(seconds=5)
    rest_cap: timedelta = timedelta(minutes=2)


def pause(attempts: int, *, first: timedelta, cap: timedelta, random: Random) -> timedelta:
    """Return a wait before the next try, anywhere between nothing and the doubled bound ("full jitter").

    So the many that failed together do not come back together
    (aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter).
    """
    share: float = random.random()
    return min(cap, first * 2.0 ** min(attempts, DOUBLINGS)) * share


def wished(retry_after_s: float | None) -> timedelta:
    """Return the receiver's own wish, as far as we follow it."""
    return min(RETRY_AFTER_CAP, timedelta(seconds=min(retry_after_s or 0.0, RETRY_AFTER_CAP.total_seconds())))


@dataclass(slots=True, kw_only=True)
class Breaker:
    """Rests a receiver that fails again and again, then lets one message through to see.

    Closed: all go. After `pace.failures` failures in a row it is open until `rests_until`; then one goes, and its
    success closes it, its failure opens it for longer.
    """

    pace: Pace
    failed: int = 0
    rests_until: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether the receiver has failed so often that only one message at a time may try."""
        return self.failed >= self.pace.failures

    def succeed(self) -> None:
        """Note that the receiver has taken or judged a message: it is there."""
        self.failed = 0
        self.rests_until = None

    def fail(self, now: datetime, *, random: Random) -> None:
        """Note that the receiver did not answer, or says that it cannot now."""
        self.failed += 1
        if self.is_open:
            rest = pause(
                self.failed - self.pace.failures + 1, first=self.pace.rest, cap=self.pace.rest_cap, random=random
            )
            self.rests_until = now + self.pace.rest / 2 + rest / 2

    def ask_for(self, wait: timedelta, now: datetime) -> None:
        """Hold the whole receiver back because it said when to come again."""
        until = now + wait
        if self.rests_until is None or until > self.rests_until:
            self.rests_until = until

    def left(self, now: datetime) -> timedelta:
        """Return how long nothing may go."""
        return max(timedelta(0), self.rests_until - now) if self.rests_until is not None else timedelta(0)
