"""How alike two short texts are, by their words: the same story in one language, and the copy of an agency's text."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WORDS_LIMIT: Final = 80
STEM: Final = 6  # letters that survive most inflection in the eleven languages
SHORTEST: Final = 4
NAME_WEIGHT: Final = 3
NAME: Final = 1  # the lowest bit of a word's number says that it was written like a name
FEWEST: Final = 5  # texts with fewer words are like nothing

BANDS: Final = 6
_ROWS: Final = 2
_MIX: Final = tuple(0x9E3779B1 * (2 * i + 1) & 0xFFFFFFFF for i in range(BANDS * _ROWS))

_WORD = re.compile(r"[^\W\d_]{2,}")
_SENTENCE_END = ".!?:–—«»\"'“”„("


def plain(word: str) -> str:
    """Return *word* without case and accents, so that `Córdoba` is `cordoba`."""
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def words_of(title: str, lead: str) -> tuple[int, ...]:
    """Return the distinct word stems as sorted numbers; names (capitals within a sentence) carry the lowest bit."""
    found: dict[int, int] = {}
    for text in (title, lead):
        for hit in _WORD.finditer(text):
            word = hit[0]
            is_name = word[0].isupper() and not _opens_sentence(text, hit.start())
            if len(word) < SHORTEST and not is_name:
                continue
            number = crc32(plain(word)[:STEM].encode()) & ~NAME
            found[number] = found.get(number, 0) | is_name
            if len(found) >= WORDS_LIMIT:
                break
    return tuple(sorted(number | is_name for number, is_name in found.items()))


def _opens_sentence(text: str, start: int) -> bool:
    before = text[max(0, start - 3) : start].rstrip()
    return not before or before[-1] in _SENTENCE_END


def likeness(a: Sequence[int], b: Sequence[int]) -> float:
    """Return 0 (nothing shared) to 1 (the shorter is contained in the longer); names weigh more than other words."""
    if len(a) < FEWEST or len(b) < FEWEST:
        return 0.0
    of_b = {number & ~NAME: number & NAME for number in b}
    shared = 0
    for number in a:
        is_name = of_b.get(number & ~NAME)
        if is_name is not None:
            shared += NAME_WEIGHT if (number & NAME and is_name) else 1
    return min(1.0, shared / min(_weight(a), _weight(b)))


def _weight(words: Iterable[int]) -> int:
    return sum(NAME_WEIGHT if number & NAME else 1 for number in words)


def bands_of(words: Sequence[int]) -> tuple[str, ...]:
    """Return the buckets (MinHash, locality-sensitive) in which a text with nearly the same words lies, too."""
    if len(words) < FEWEST:
        return ()
    bare = [number & ~NAME for number in words]
    least = [min((number ^ mix) * 0x85EBCA6B & 0xFFFFFFFF for number in bare) for mix in _MIX]
    return tuple(f"b{i}:{least[i * _ROWS]:08x}{least[i * _ROWS + 1]:08x}" for i in range(BANDS))
