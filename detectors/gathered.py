"""What the sentences of one article say together, gathered once: each of a thousand candidates would ask it anew."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from detectors.lexicon import SCOPE
from detectors.marks import Mark, PlaceMark

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from detectors.tokens import Sentence

_What = TypeVar("_What")


class Said(Generic[_What]):
    """What some of the sentences say, by where they stand."""

    def __init__(self, said: Iterable[tuple[int, _What]]) -> None:
        """Take pairs in the order of the text."""
        some = list(said)
        self._places = [at for at, _ in some]
        self._what = [what for _, what in some]

    def at(self, place: int) -> _What | None:
        """Return what this one says."""
        found = bisect_left(self._places, place)
        return self._what[found] if self._places[found : found + 1] == [place] else None

    def before(self, place: int) -> tuple[int, _What] | None:
        """Return what the nearest one before says, and where it stands."""
        found = bisect_left(self._places, place) - 1
        return (self._places[found], self._what[found]) if found >= 0 else None

    def behind(self, place: int) -> tuple[int, _What] | None:
        """Return what the nearest one behind says, and where it stands."""
        found = bisect_right(self._places, place)
        return (self._places[found], self._what[found]) if found < len(self._places) else None


@dataclass(frozen=True, slots=True, eq=False)
class Cues:
    """Cues of scopes that reach other sentences, the first of each scope.

    By scope, those of the title and the opening that reach all, with where they stand; by position, those that reach
    the sentences beside.
    """

    opening: dict[str, tuple[int, Mark]]
    near: dict[int, dict[str, Mark]]

    @classmethod
    def of(cls, sentences: Sequence[Sentence]) -> Cues:
        """Collect those of a whole article."""
        opening: dict[str, tuple[int, Mark]] = {}
        near: dict[int, dict[str, Mark]] = {}
        for at, sentence in enumerate(sentences):
            opens = at == 0 or (at == 1 and sentences[0].field == "title") or sentence.field == "title"
            for name, marks in sentence.marks.items():
                if name.startswith(SCOPE):
                    _, scope, reach = name.split(":")
                    if reach == "document" and opens:
                        opening.setdefault(scope, (at, marks[0]))
                    if reach in {"around", "document"}:
                        near.setdefault(at, {}).setdefault(scope, marks[0])
        return cls(opening, near)


@dataclass(slots=True, eq=False)
class Gathered:
    """All of it; what is None was not asked for yet. `positions` is by the identity of a sentence.

    `scenes` has the places that sentences offer to others, the surest kind first.
    """

    positions: dict[int, int]
    causes: Said[str] | None = None
    scenes: tuple[Said[PlaceMark], ...] | None = None
    countries: dict[bool, Counter[str]] = field(default_factory=dict)
    sure_codes: frozenset[str] | None = None
    cues: Cues | None = None
