"""Every error of the house; the branch says what becomes of the work.

TocsinError
├── TryLater                 wait and retry
│   ├── FeedUnreachable        no usable answer from a feed
│   ├── DeliveryDeferred       a receiver could not take a message now
│   ├── Fenced                 another worker has moved our cursor
│   ├── JobUnprepared          no worker child can be made ready for a job
│   ├── StreamUnavailable      no broker answers as it should
│   └── StoreUnavailable       the store cannot take a write now
│       └── StoreFull            its quota or its disk is used up
├── SetAside                 goes to the dead letters
│   ├── FeedUnreadable         bytes that are no feed
│   ├── DeliveryRefused        a receiver will never take this message
│   ├── RecordUnreadable       a record whose checksum or schema is wrong
│   └── JobFailed              a worker child failed on one record
└── Stop                     ends the process with exit code 2
    ├── SettingsInvalid        a file that an operator wrote is wrong
    ├── AlreadyRunning         another process holds the data directory
    ├── TopicsWrong            topics on the brokers are not as they must be
    └── StoreDamaged           the database file cannot be trusted
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Sequence


class TocsinError(Exception):
    """Anything this house raises on purpose."""


class TryLater(TocsinError):
    """The same work may succeed later."""


class SetAside(TocsinError):
    """This one piece of work will never succeed; the others go on."""


class Stop(TocsinError):
    """The process cannot do its work and says why."""


class FeedUnreachable(TryLater):
    """No answer in time, or a status that is neither 200 nor 304."""

    def __init__(
        self,
        feed: str,
        reason: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"feed {feed!r}: {reason}")
        self.feed = feed
        self.reason = reason
        self.status = status
        self.retry_after_s = retry_after_s


class DeliveryDeferred(TryLater):
    """A receiver could not take a message now; `retry_after_s` is its own wish, if it had one.

    `accepted` are those of its addresses that have the message and must not get it again.
    """

    def __init__(self, reason: str, *, retry_after_s: float | None = None, accepted: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.accepted = tuple(accepted)


class Fenced(TryLater):
    """Another worker has moved this cursor; what we did was undone."""


class JobUnprepared(TryLater):
    """No worker child can be made ready for a job (its rules do not compile, say), so no record can be judged."""


class StreamUnavailable(TryLater):
    """No broker answers as it should now; names the brokers and what each of them said."""


class StoreUnavailable(TryLater):
    """The store cannot take a write now."""


class StoreFull(StoreUnavailable):
    """The quota or the disk is used up; nothing new is accepted until something is trimmed."""


class FeedUnreadable(SetAside):
    """Bytes that are no feed in any form we know."""


class DeliveryRefused(SetAside):
    """A receiver will never take this message."""


class RecordUnreadable(SetAside):
    """A record whose checksum or schema is wrong."""


class JobFailed(SetAside):
    """A worker child raised, overran its deadline, took too much memory or died on one record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in a file, where it stands and what was probably meant. Lines and columns start at 1."""

    file: str
    line: int
    column: int
    message: str

    @override
    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class SettingsInvalid(Stop):
    """Files that an operator wrote are wrong; each mistake has its place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class AlreadyRunning(Stop):
    """Another process holds the data directory."""


class TopicsWrong(Stop):
    """Topics on the brokers are not as they must be; the message says what is, what should be and what to run."""


class StoreDamaged(Stop):
    """The database file cannot be trusted."""
