"""How alike two short texts are, by their words: the same story in one language, and the copy of an agency's text."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from zlib import crc32

WORDS_LIMIT: Final = 80
STEM: Final = 6  # letters that survive most inflection in the eleven languages
SHORTEST: Final = 4
NAME_WEIGHT: Final = 3  # a name stands in the set as itself and twice more, so that sizes of sets are weights
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


def words_of(title: str, lead: str) -> frozenset[int]:
    """Return the word stems as multiples of 4, and two numbers more beside each name (a capital within a sentence)."""
    found: dict[int, bool] = {}
    for text in (title, lead):
        for hit in _WORD.finditer(text):
            word = hit[0]
            is_name = word[0].isupper() and not _opens_sentence(text, hit.start())
            if len(word) < SHORTEST and not is_name:
                continue
            number = crc32(plain(word)[:STEM].encode()) & ~3
            found[number] = found.get(number, False) or is_name
            if len(found) >= WORDS_LIMIT:
                break
    return frozenset(
        number + further for number, is_name in found.items() for further in range(NAME_WEIGHT if is_name else 1)
    )


def _opens_sentence(text: str, start: int) -> bool:
    before = text[max(0, start - 3) : start].rstrip()
    return not before or before[-1] in _SENTENCE_END


def likeness(a: frozenset[int], b: frozenset[int]) -> float:
    """Return 0 (nothing shared) to 1 (the shorter is contained in the longer); names weigh more than other words."""
    if len(a) < FEWEST or len(b) < FEWEST:
        return 0.0
    return len(a & b) / min(len(a), len(b))


def bands_of(words: frozenset[int]) -> tuple[str, ...]:
    """Return the buckets (MinHash, locality-sensitive) in which a text with nearly the same words lies, too."""
    if len(words) < FEWEST:
        return ()
    bare = [number for number in words if not number & 3]
    least = [min((number ^ mix) * 0x85EBCA6B & 0xFFFFFFFF for number in bare) for mix in _MIX]
    return tuple(f"b{i}:{least[i * _ROWS]:08x}{least[i * _ROWS + 1]:08x}" for i in range(BANDS))
