"""The shipped names of places, found by their first word; a line is read when somebody asks for its word.

Half a million names, made into objects, would take a second of every start and a hundred megabytes of every child.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from functools import lru_cache
from importlib import resources
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from detectors.tokens import fold, words

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNTRY, CAPITAL, CITY, TOWN, REGION, ADJECTIVE, INSTITUTION = "ckmtrai"
REMEMBERED_WORDS: Final = 50_000
_OPEN_END: Final = b"*\t"
_ASCII_END: Final = b"\x80"
_DOTLESS: Final = "ı"  # which is a capital I as well

Entry = tuple[tuple[str, ...], tuple[str, ...], str]  # the words behind the first, countries, kind


class Names:
    """One file, whose lines must be in the order of their bytes, as `bench/places/build.py` writes them.

    `starts` are the beginnings of words that stand for a country, with its code and a kind.
    """

    def __init__(self, data: bytes, language: str) -> None:
        self.starts: dict[str, tuple[str, str]] = {}
        self._data = data
        self._at = array("I", accumulate(map(len, data.splitlines(keepends=True)), initial=0))[:-1]
        self._known: dict[str, tuple[Entry, ...]] = {}
        at = data.find(_OPEN_END)
        while at >= 0:
            name, codes, kind = self._line(data.rfind(b"\n", 0, at) + 1)
            if " " not in name:
                self.starts[fold(name[:-1], language)] = (codes[:2], kind)
            at = data.find(_OPEN_END, at + 1)

    def get(self, word: str) -> tuple[Entry, ...]:
        """Return what begins with *word*: the words behind it, the countries, the kind."""
        known = self._known.get(word)
        if known is None:
            found = list(self._entries(word, word)) if word else []
            for first in (word[0].lower(), _DOTLESS) if word[:1].isupper() else ():
                if first.upper() == word[0]:
                    found += self._entries(first + word[1:], word)
            if len(self._known) >= REMEMBERED_WORDS:
                self._known.clear()
            known = self._known[word] = tuple(found)
        return known

    def _entries(self, start: str, word: str) -> Iterator[Entry]:
        """Read the lines that begin with *start*: *word*, or an adjective that is not written with a capital."""
        key = start.encode()
        place = self._place(key)
        while place < len(self._at) and self._data.startswith(key, self._at[place]):
            longer = self._longer(key, self._at[place]) if start[-1].isalpha() else None
            if longer is not None:
                place = self._place(longer, place)
                continue
            name, codes, kind = self._line(self._at[place])
            place += 1
            if start != word and kind != ADJECTIVE:
                continue
            if not name.endswith("*"):
                texts = words(name)[0] if name != start else [name]
                if texts[0] == start:
                    yield tuple(texts[1:]), tuple(codes.split(",")), kind
            elif " " in name and start == word:  # `South African*`: a start would never see the second word
                for texts in (name[:-1].split(), f"{name[:-1]}s".split()):
                    if texts[0] == word:
                        yield tuple(texts[1:]), tuple(codes.split(",")), kind

    def _longer(self, key: bytes, at: int) -> bytes | None:
        """Return what sorts behind all words that are longer than *key* and go on as the one at *at* does."""
        end = at + len(key)
        if self._data[end] < _ASCII_END[0]:
            return key + _ASCII_END if self._data[end : end + 1].isalpha() else None
        letter = self._data[end : end + 4].decode(errors="ignore")[:1]
        return key + chr(ord(letter) + 1).encode() if letter.isalpha() else None

    def _place(self, key: bytes, low: int = 0) -> int:
        """Return the number of the first line that does not sort before *key*."""
        size = len(key)
        return bisect_left(self._at, key, low, key=lambda at: self._data[at : at + size])

    def _line(self, at: int) -> tuple[str, str, str]:
        name, codes, kind = self._data[at : self._data.index(b"\n", at)].decode().split("\t")
        return name, codes, kind


@lru_cache(maxsize=16)
def shipped(language: str) -> Names:
    """Return what `detectors/data` knows in *language*."""
    source = resources.files("detectors") / "data" / f"places.{language}.tsv"
    return Names(source.read_bytes() if source.is_file() else b"", language)
