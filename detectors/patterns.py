"""Orders of lexicon classes with gaps: `count ~3 dead`, `killing ~5 count`, `forces|troops ~10 arriving place?`.

A match costs the words in its gaps, a comma more, a semicolon much more; what is nearest wins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from detectors.tokens import Sentence

_ELEMENT: Final = re.compile(r"([a-z_]+(?:\|[a-z_]+)*)(\?)?")
_GAP: Final = re.compile(r"~(\d+)")
OTHERS: Final = "others"  # what a pattern means that only takes counts away
COMPUTED: Final = frozenset({"count", "place"})  # classes that no word gives
COMMA_COST: Final = 4.0
BORDER_COST: Final = 25.0
_BORDERS: Final = frozenset(";()!?")


class Span(Protocol):
    """Anything that stands on words of a sentence."""

    @property
    def start(self) -> int:
        """Its first word."""
        ...

    @property
    def end(self) -> int:
        """The word behind its last."""
        ...


@dataclass(frozen=True, slots=True)
class Element:
    """One class (or several to choose from), with at most `gap` words before it."""

    names: tuple[str, ...]
    optional: bool
    gap: int


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled `find:` line."""

    elements: tuple[Element, ...]
    cost: float
    means: str
    languages: tuple[str, ...]
    needs: tuple[str, ...] = ()
    least: int = 0
    required: tuple[tuple[str, ...], ...] = ()  # the classes of each element that must be there


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """Where a pattern stands: a (class, span) pair for each element that was there."""

    pattern: Pattern
    parts: tuple[tuple[str, Span], ...]
    cost: float

    def part(self, *names: str) -> Span | None:
        """Return the first span whose class is among *names*."""
        return next((span for name, span in self.parts if name in names), None)


def parse(
    text: str,
    *,
    cost: float = 0,
    means: str,
    languages: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    least: int = 0,
    own: Mapping[str, str] = {},
) -> Pattern:
    """Compile one `find:` line; *own* says what classes of the rule's own are called inside.

    Raises:
        ValueError: with the position of what is no part of the grammar.
    """
    elements: list[Element] = []
    gap = 0
    for word in re.finditer(r"\S+", text):
        between = _GAP.fullmatch(word.group())
        if between:
            if not elements:
                raise ValueError(f"column {word.start() + 1}: a gap needs a class before it")
            gap = int(between[1])
            continue
        element = _ELEMENT.fullmatch(word.group())
        if element is None:
            raise ValueError(f"column {word.start() + 1}: {word.group()!r} is neither a class nor a gap like ~3")
        names = tuple(own.get(name, name) for name in element[1].split("|"))
        elements.append(Element(names, bool(element[2]), gap))
        gap = 0
    if not elements or gap:
        raise ValueError(f"column {len(text) + 1}: a class is missing at the end")
    required = tuple(e.names for e in elements if not e.optional and COMPUTED.isdisjoint(e.names))
    return Pattern(tuple(elements), cost, means, languages, needs, least, required)


def matches(pattern: Pattern, sentence: Sentence) -> Iterator[Match]:
    """All places of *pattern* in *sentence*, unordered."""
    for name, span in _spans(sentence, pattern.elements[0].names):
        yield from _extend(pattern, sentence, 1, ((name, span),), pattern.cost)


def all_matches(patterns: Iterable[Pattern], sentence: Sentence, language: str) -> Iterator[Match]:
    """Yield all places of all *patterns* of the language; most lack a class that they need, and are not tried."""
    classes = sentence.marks.keys()
    if not classes and not sentence.quantities and not sentence.places:
        return
    for pattern in patterns:
        if pattern.languages and language not in pattern.languages:
            continue
        for names in pattern.required:
            if classes.isdisjoint(names):
                break
        else:
            yield from matches(pattern, sentence)


def required(patterns: Iterable[Pattern], language: str) -> list[tuple[tuple[str, ...], ...]]:
    """Return of each pattern of *language* that finds something itself the classes that its elements choose from."""
    own = [p for p in patterns if p.means != OTHERS and (not p.languages or language in p.languages)]
    return [pattern.required for pattern in own]


def _extend(
    pattern: Pattern, sentence: Sentence, place: int, parts: tuple[tuple[str, Span], ...], cost: float
) -> Iterator[Match]:
    if place == len(pattern.elements):
        yield Match(pattern, parts, cost)
        return
    element = pattern.elements[place]
    end = parts[-1][1].end
    hit = False
    for name, span in _spans(sentence, element.names):
        if end <= span.start <= end + element.gap:
            hit = True
            yield from _extend(
                pattern, sentence, place + 1, (*parts, (name, span)), cost + gap_cost(sentence, end, span.start)
            )
    if element.optional and not hit:
        yield from _extend(pattern, sentence, place + 1, parts, cost)


def _spans(sentence: Sentence, names: Sequence[str]) -> Iterator[tuple[str, Span]]:
    for name in names:
        if name == "count":
            for quantity in sentence.quantities:
                yield name, quantity
        elif name == "place":
            for place in sentence.places:
                yield name, place
        else:
            for mark in sentence.of(name):
                yield name, mark


def gap_cost(sentence: Sentence, start: int, end: int) -> float:
    """Return what it costs that these words stand between."""
    cost = 0.0
    for text in sentence.texts[start:end]:
        cost += BORDER_COST if text in _BORDERS else COMMA_COST if text in ",:–—" else 1.0
    return cost
