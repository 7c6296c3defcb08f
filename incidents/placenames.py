"""One key for a place's names in several languages: `Osch`, `Osh` and `Ош` are one town.

The consonants carry a name through transliteration; vowels, doubled letters and *h* do not. Keys are only compared
within one country, where few of them clash.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from tocsin.countries import country_name

from .likeness import plain

_CYRILLIC: Final = str.maketrans(
    {
        "а": "a", "б": "b", "в": "v", "г": "g", "ґ": "g", "д": "d", "е": "e", "ё": "e", "є": "e", "ж": "z", "з": "s",
        "и": "i", "й": "i", "і": "i", "ї": "i", "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r",
        "с": "s", "т": "t", "у": "u", "ф": "f", "х": "k", "ц": "s", "ч": "c", "ш": "s", "щ": "s", "ъ": "", "ы": "i",
        "ь": "", "э": "e", "ю": "u", "я": "a",
    }
)  # fmt: skip
# Longest first: an alternation takes the first branch that matches.
_SPELLINGS: Final = (
    ("tsch", "c"), ("tch", "c"), ("dsch", "z"), ("sch", "s"), ("sh", "s"), ("ch", "c"), ("zh", "z"), ("kh", "k"),
    ("ts", "s"), ("tz", "s"), ("dj", "z"), ("dzh", "z"), ("ph", "f"), ("qu", "k"), ("q", "k"), ("ck", "k"),
    ("w", "v"), ("x", "ks"), ("j", "i"), ("y", "i"), ("z", "s"), ("c", "k"), ("ß", "s"),
)  # fmt: skip
_VOWELS: Final = frozenset("aeiouh'’- ")
_DOUBLED: Final = re.compile(r"(.)\1+")


@lru_cache(maxsize=8192)
def place_key(name: str) -> str:
    """Return the consonants of *name* behind its first letter, in one spelling."""
    latin = plain(name).translate(_CYRILLIC)
    for written, meant in _SPELLINGS:
        latin = latin.replace(written, meant)
    kept = latin[:1] + "".join(letter for letter in latin[1:] if letter not in _VOWELS)
    return _DOUBLED.sub(r"\1", kept)


def place_keys(names: tuple[str, ...], country: str | None) -> frozenset[str]:
    """Return the keys of *names*, without that of the country itself."""
    itself = place_key(country_name(country)) if country else ""
    return frozenset(key for key in map(place_key, names) if key and key != itself)
