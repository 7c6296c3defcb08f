"""What stands on which words of a sentence: classes of the lexicon, places, counts."""

from __future__ import annotations

from dataclasses import dataclass


# Not frozen, which would make each of some hundred thousand a second take three times as long to make.
@dataclass(slots=True, eq=False)
class Mark:
    """Words `start`..`end` (exclusive) are of class `name`; `tail` is the far part of a split one (`brachten … um`)."""

    name: str
    start: int
    end: int
    tail: tuple[int, int] | None = None
    value: tuple[int | None, ...] | None = None
    words: int = 1

    def covers(self, at: int) -> bool:
        """Word *at* belongs to it, the far part included."""
        return self.start <= at < self.end or (self.tail is not None and self.tail[0] <= at < self.tail[1])


@dataclass(slots=True, eq=False)
class PlaceMark:
    """Words `start`..`end` name a place in one of `codes`, the likeliest first.

    `into` says that a preposition of direction stands before, `located` that any preposition of place does.
    """

    start: int
    end: int
    codes: tuple[str, ...]
    kind: str
    name: str
    into: bool = False
    located: bool = False

    @property
    def code(self) -> str:
        """The likeliest country."""
        return self.codes[0]


@dataclass(slots=True, eq=False)
class Quantity:
    """Words `start`..`end` say a number of something; an open end is None.

    `article` is a mere `ein`, `a`, `un`; `bare` the number itself, without `more than` and the like.
    `head` is the class of what is counted, at word `head_at`.
    """

    start: int
    end: int
    min: int | None
    max: int | None
    approx: bool = False
    vague: bool = False
    article: bool = False
    bare: int = 0
    head: str | None = None
    head_at: int = 0

    @property
    def is_exact(self) -> bool:
        """A plain number that may be added to another."""
        return self.min == self.max and not self.approx and not self.vague

    @property
    def rank(self) -> int:
        """By which the higher of two figures is told."""
        return self.min if self.min is not None else self.max or 0
