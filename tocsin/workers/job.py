"""What a worker child is asked and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

A = TypeVar("A")
C = TypeVar("C")
T = TypeVar("T")
R = TypeVar("R")


class FailureKind(StrEnum):
    """What became of a record that has no result."""

    RAISED = "raised"
    DEADLINE = "deadline"
    MEMORY = "memory"
    DIED = "died"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Generic[A, C, T, R]):
    """A pure function for records, with what it needs to know before the first one.

    `function` and `prepare` are top-level functions that a child can import. A child calls `prepare` once for each
    `key` (a content digest of `argument`) and keeps the result for `function`; without `prepare` the function is
    given `argument` itself. Both deadlines are wall-clock; preparing is not charged to the first record.
    """

    function: Callable[[C, T], R]
    prepare: Callable[[A], C] | None = None
    argument: A
    key: str
    deadline_s: float
    prepare_deadline_s: float = 60.0

    @property
    def name(self) -> str:
        """The function alone: what logs show and what the pace is remembered under."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    @property
    def context(self) -> str:
        """The name under which a child keeps what it has prepared."""
        preparation = f"{self.prepare.__module__}.{self.prepare.__qualname__}" if self.prepare else ""
        return f"{self.name}:{preparation}:{self.key}"


@dataclass(frozen=True, slots=True)
class Done(Generic[R]):
    """The function's own result for one record."""

    value: R


@dataclass(frozen=True, slots=True)
class Failed:
    """One record that will never have a result. `reason` is for people, at most about a thousand characters."""

    reason: str
    kind: FailureKind
