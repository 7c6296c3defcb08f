"""One call of `Pool.map`, cut into pieces; plain bookkeeping without processes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tocsin.workers.job import Done, Failed, FailureKind, Job

# Work for one trip to a child: long against the trip (0.2 ms, and some 5 ms while our threads are busy), short against
# somebody else's wait.
PIECE_S = 0.06
PIECE_RECORDS = 256
FIRST_PIECE_RECORDS = 8  # while a job's pace is unknown


@dataclass(slots=True, eq=False)
class Order:
    """What is still to be handed out for one caller, and what has come back."""

    job: Job[Any, Any, Any, Any]
    items: Sequence[Any]
    done: asyncio.Future[None]
    waiting: deque[tuple[int, int]] = field(default_factory=deque)
    suspects: deque[tuple[int, FailureKind]] = field(default_factory=deque)
    answers: dict[int, Done[Any] | Failed] = field(default_factory=dict)
    preparations_failed: int = 0
    beat: Callable[[], None] | None = None

    @property
    def has_work(self) -> bool:
        """Something can be handed out, and somebody still wants it."""
        return not self.done.done() and bool(self.waiting or self.suspects)

    def cut(self, *, idle: int, pace_s: float | None) -> Piece:
        """Take about `PIECE_S` of work at *pace_s* a record, and leave a share for each of *idle* children."""
        if not self.waiting:
            index, kind = self.suspects.popleft()
            return Piece(self, index, index + 1, suspected=kind)
        start, stop = self.waiting.popleft()
        share = -(-(stop - start) // idle)
        fitting = FIRST_PIECE_RECORDS if pace_s is None else int(PIECE_S / max(pace_s, 1e-9))
        cut = start + max(1, min(share, fitting, PIECE_RECORDS))
        self.give_back(cut, stop)
        return Piece(self, start, min(cut, stop))

    def give_back(self, start: int, stop: int) -> None:
        """Hand out these records once more, before all others."""
        if start < stop:
            self.waiting.appendleft((start, stop))

    def settle(self, index: int, answer: Done[Any] | Failed) -> None:
        """Note one record's answer; the last one wakes the caller."""
        self.answers[index] = answer
        if self.beat is not None:
            self.beat()
        if len(self.answers) == len(self.items) and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        """Tell the caller that no record can be judged."""
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of records for one trip to a child. `suspected`: its only record has brought a child down in this way."""

    order: Order
    start: int
    stop: int
    suspected: FailureKind | None = None

    def give_back(self) -> None:
        """Hand it out once more, for no fault of its records."""
        if self.suspected is not None:
            self.order.suspects.appendleft((self.start, self.suspected))
        else:
            self.order.give_back(self.start, self.stop)

    def blame(self, index: int, failed: Failed) -> None:
        """Have the record that brought a child down tried alone; the second time it is set aside."""
        if self.suspected is not None:
            self.order.settle(index, failed)
        else:
            self.order.suspects.append((index, failed.kind))
