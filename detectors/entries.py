"""What one line of a lexicon means: forms of words, alternatives, gaps, numbers, what is kept out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from detectors.tokens import words

_UNITS: Final = range(1, 10)
_TENS: Final = range(20, 100, 10)
REMEMBERED_CHUNKS: Final = 4096  # the words of one language that phrases have in common


# Neither is frozen, which would make each of a hundred thousand take three times as long to make; nobody changes one.
@dataclass(slots=True, eq=False)
class Part:
    """One word of an entry: literal forms, word starts, word endings; `gap` words may stand before it."""

    exact: frozenset[str] = frozenset()
    starts: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    cased: bool = False
    number: bool = False
    gap: int = 0
    final: bool = False

    @property
    def is_literal(self) -> bool:
        """It is one of some words, and no start, ending or number."""
        return bool(self.exact) and not (self.starts or self.endings or self.number)

    def fits(self, text: str, low: str, numbers: frozenset[str]) -> bool:
        """Whether a word of a sentence is one of its forms."""
        word = text if self.cased else low
        if word in self.exact or (self.starts and word.startswith(self.starts)):
            return True
        if self.endings and word.endswith(self.endings):
            return True
        return self.number and (low in numbers or low[:1].isdigit())


@dataclass(slots=True, eq=False)
class Entry:
    """One line of a class: its first word, and those that must follow; `bars` keeps its words out of the class.

    The word right behind the first must be one of `adjacent`, and one of `must` has to stand somewhere in the
    sentence, as written or folded; empty or None where no plain words can be named.
    """

    name: str
    first: Part
    rest: tuple[Part, ...]
    value: tuple[int | None, ...] | None
    bars: bool
    adjacent: frozenset[str] | None = None
    must: frozenset[str] = frozenset()

    @classmethod
    def of(cls, name: str, parts: tuple[Part, ...], value: tuple[int | None, ...] | None, *, bars: bool) -> Entry:
        """Make one of its parts, and note which words tell at once that it cannot stand somewhere."""
        first, rest = parts[0], parts[1:]
        if not rest:
            return cls(name, first, rest, value, bars)
        literal = [part for part in rest if part.is_literal]
        must = max(literal, key=lambda part: min(map(len, part.exact)), default=Part()).exact
        adjacent = rest[0].exact if rest[0].is_literal and not rest[0].gap and not rest[0].cased else None
        return cls(name, first, rest, value, bars, adjacent, must)


def parts_of(text: str, language: str) -> tuple[Part, ...]:
    """Read one entry.

    Raises:
        ValueError: it names no word.
    """
    parts: list[Part] = []
    gap = 0
    for chunk in text.split():
        if chunk[0] == "~" and chunk[1:].isdigit():
            gap = int(chunk[1:])
            continue
        found = _parts(chunk.removesuffix("$"), language)
        if found and (gap or chunk[-1] == "$"):
            some = [*found]
            some[0] = replace(some[0], gap=gap)
            some[-1] = replace(some[-1], final=chunk[-1] == "$")
            parts += some
            gap = 0
        else:
            parts += found
    if not parts:
        raise ValueError(f"lexicon {language!r}: the entry {text!r} names no word")
    return tuple(parts)


@lru_cache(maxsize=REMEMBERED_CHUNKS)
def _parts(word: str, language: str) -> tuple[Part, ...]:
    """Return what stands for one word of an entry; many entries share theirs."""
    if not word.isalpha() and ("|" in word or "*" in word or word[:1] == "=" or word == "#"):
        return (_options(word, language),)
    return tuple(Part(exact=frozenset({low})) for low in words(word, language)[1])


def _options(chunk: str, language: str) -> Part:
    cased = chunk.startswith("=")
    exact, starts, endings = set(), [], []
    for option in chunk.split("|"):
        plain = option.removeprefix("=")
        bare = plain.strip("*")
        word = bare if cased else "".join(words(bare, language)[1])
        if plain.startswith("*"):
            endings.append(word)
        elif plain.endswith("*"):
            starts.append(word)
        elif plain != "#":
            exact.add(word)
    return Part(frozenset(exact), tuple(starts), tuple(endings), cased=cased, number="#" in chunk.split("|"))


def joined_numbers(numbers: dict[str, int], joint: str) -> dict[str, int]:
    """German writes 41 as one word, unit first: einundvierzig; and 200, 3000 too."""
    units = {word: value for word, value in numbers.items() if value in _UNITS}
    tens = {word: value for word, value in numbers.items() if value in _TENS}
    both = {f"{u}{joint}{t}": a + b for u, a in units.items() for t, b in tens.items()}
    hundreds = {f"{u}hundert": a * 100 for u, a in units.items()}
    thousands = {f"{u}tausend": a * 1000 for u, a in {**units, **tens, **both}.items()}
    return both | hundreds | thousands
