"""A look at the letters before anything is cut into words: which sentences can tell something at all.

A pattern can only match where each of its classes has a word. Every entry of such a class is looked for by its longest
word, all at once (Aho-Corasick), and the hits of a sentence are added up as bits. Nine of ten articles pass that, for
the longest word of `nahm ~6 das leben` is no rare one. So where the bits of a stretch suffice, an entry counts only if
its other words stand there, too; three of ten articles pass both.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Final

from ahocorasick_rs import AhoCorasick

from detectors.patterns import COMPUTED, OTHERS
from detectors.tokens import LETTERS, fold, folds_evenly

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from detectors.entries import Part
    from detectors.lexicon import Lexicon
    from detectors.patterns import Pattern
    from detectors.tokens import Sentence

MANY: Final = "#many"  # the class of numbers from `MANY_FROM` on, for patterns that take no smaller ones
MANY_FROM: Final = 10
_MANY_DIGITS: Final = re.compile(r"\d[\d.,'’\u00a0\u202f ]*\d")
_WORD: Final = re.compile(LETTERS)
_LETTERS: Final = re.compile(r"[^\W\d_]+")  # a combining mark parts a word; no entry that is looked for so has one
_DIGITS: Final = "\x00#"  # stands for them among the words looked for, and in no text
_TWO: Final = 2
REMEMBERED_BITS: Final = 10_000
_END: Final = re.compile(r"[.!?…]\s+|\n")


Hit = tuple[int, int, int]  # position in a folded text, bits of the classes that these letters may be of, their key


@dataclass(frozen=True, slots=True)
class _Other:
    """A further part of an entry: one of its words, or letters inside a word."""

    words: frozenset[str]
    letters: tuple[str, ...]

    def stands_among(self, words: set[str], text: str) -> bool:
        """Tell whether it is in *text*, whose words these are."""
        return not self.words.isdisjoint(words) or (bool(self.letters) and any(some in text for some in self.letters))

    def stands(self, stretch: str, words: list[frozenset[str]]) -> bool:
        """Tell whether it is in *stretch*, whose words are put into *words* when they are first needed."""
        if any(letters in stretch for letters in self.letters):
            return True
        if not any(word in stretch for word in self.words):
            return False  # as for most: none of its words is there even as a part of others
        if not words:
            words.append(frozenset(_WORD.findall(stretch)))
        return not self.words.isdisjoint(words[0])


def _seconds(entries: Iterable[tuple[_Other, ...]]) -> tuple[frozenset[str], tuple[tuple[_Other, ...], ...]]:
    """Return the words one of which is all that some of these still lack, and those that lack anything else."""
    short = {rest for rest in entries if len(rest) == 1 and not rest[0].letters}
    return frozenset().union(*(rest[0].words for rest in short)), tuple(rest for rest in entries if rest not in short)


def _stand_all(rest: Iterable[_Other], words: set[str], text: str) -> bool:
    return all(part.stands_among(words, text) for part in rest)


def _words(folded: str) -> set[str]:
    """Return all runs of letters; most stand between blanks, and need no expression to be cut out."""
    chunks = set(folded.split())
    words = set(filter(str.isalpha, chunks))
    words.update(_LETTERS.findall(" ".join(chunks - words)))
    return words


class Letters:
    """Many words looked for at once, wherever they stand, inside others too (Aho-Corasick)."""

    def __init__(self, words: Iterable[str]) -> None:
        self._automaton = AhoCorasick(list(words) or ["\x00"])

    def found(self, text: str) -> list[tuple[int, int, int]]:
        """Return (number of the word, start, end) of all that stand in *text*, by their ends."""
        return self._automaton.find_matches_as_indexes(text, overlapping=True)


class Prefilter:
    """Which of a language's sentences can match one of the patterns."""

    def __init__(self, lexicon: Lexicon, patterns: Iterable[Pattern]) -> None:
        whole: dict[tuple[frozenset[str], ...], None] = {}
        parts: dict[tuple[frozenset[str], ...], None] = {}
        for pattern in patterns:
            if pattern.means == OTHERS:
                continue
            if pattern.languages and lexicon.language not in pattern.languages:
                continue
            computed = {"count": frozenset({MANY})} if pattern.least >= MANY_FROM else {}
            groups = [
                computed.get(e.names[0], frozenset(e.names) - COMPUTED) for e in pattern.elements if not e.optional
            ]
            scopes = [frozenset(lexicon.scope_classes(pattern.needs))] if pattern.needs else []
            if all(groups) or any((*groups, *scopes)):
                whole[tuple(group for group in (*groups, *scopes) if group)] = None
                parts[tuple(group for group in groups if group)] = None
        classes = sorted({name for groups in whole for group in groups for name in group})
        bit = {name: 1 << place for place, name in enumerate(classes)}
        # A scope that a pattern needs may stand in the sentence beside, so it is asked for only to call one hot.
        self._needs = [tuple(sum(bit[name] for name in group) for group in groups) for groups in whole]
        self._elements = [tuple(sum(bit[name] for name in group) for group in groups) for groups in parts]
        self._language = lexicon.language
        self._abbreviations = lexicon.abbreviations
        self._abbreviated = frozenset(word[-_TWO:] for word in lexicon.abbreviations)
        self._sufficing: dict[int, bool] = {}
        self._known: dict[int, tuple[list[tuple[int, ...]], int]] = {}
        self._has_clitics = bool(lexicon.settings.clitics)
        borders: dict[str, dict[tuple[bool, bool], int]] = {}  # the bits of a word that must open and close one
        others: dict[str, dict[int, set[tuple[_Other, ...]]]] = {}
        for name, key, opens, closes, rest in lexicon.keys(classes):
            some = borders.setdefault(key, {})
            some[opens, closes] = some.get((opens, closes), 0) | bit[name]
            others.setdefault(key, {}).setdefault(bit[name], set()).add(tuple(map(self._other, rest)))
        self._many = bit.get(MANY, 0)
        if self._many:
            for key in (_DIGITS, *lexicon.numbers_from(MANY_FROM)):
                some = borders.setdefault(key, {})
                some[False, False] = some.get((False, False), 0) | self._many
                others.setdefault(key, {}).setdefault(self._many, set()).add(())
            self._digits = list(borders).index(_DIGITS)
        self._borders = [
            tuple((bits, opens, closes) for (opens, closes), bits in some.items()) for some in borders.values()
        ]
        self._others = [
            {place: () if () in entries else tuple(entries) for place, entries in some.items()}
            for some in others.values()
        ]
        # Of each word looked for: the classes it makes up by itself, and those that need a second word, or more.
        self._alone = [sum(bit for bit, entries in some.items() if not entries) for some in self._others]
        self._accompanied = [
            tuple((bit, *_seconds(entries)) for bit, entries in some.items() if entries) for some in self._others
        ]
        self._letters = Letters(borders)

    def hits(self, folded: str, text: str = "") -> list[Hit]:
        """Return every word that matters in a folded text; a capital in *text* may begin a word anywhere."""
        size = len(folded)
        found = []
        borders = self._borders
        for index, start, end in self._letters.found(folded):
            bits = 0
            for bit, must_open, must_close in borders[index]:
                if must_open and start and folded[start - 1].isalpha() and not text[start : start + 1].isupper():
                    continue
                if must_close and end < size and folded[end].isalpha() and not text[end : end + 1].isupper():
                    continue
                bits |= bit
            if bits:
                found.append((start, bits, index))
        if self._many:
            found += [(match.start(), self._many, self._digits) for match in _MANY_DIGITS.finditer(folded)]
            found.sort()
        return found

    def remaining(self, folded: str, hits: Sequence[Hit]) -> list[Hit]:
        """Return those of *hits* whose entries may stand somewhere in the whole text, each with the bits of these."""
        sure: dict[int, int] = {}
        words: set[str] | None = None
        kept = []
        for hit in hits:
            start, bits, key = hit
            known = sure.get(key)
            if known is None:
                known = self._alone[key]
                for bit, second, entries in self._accompanied[key]:
                    if words is None:
                        words = _words(folded)
                    if not second.isdisjoint(words) or any(_stand_all(rest, words, folded) for rest in entries):
                        known |= bit
                sure[key] = known
            if known == bits:
                kept.append(hit)
            elif known & bits:
                kept.append((start, known & bits, key))
        return kept

    def suffices(self, bits: int) -> bool:
        """Whether words with these bits can make up a whole pattern."""
        known = self._sufficing.get(bits)
        if known is None:
            if len(self._sufficing) >= REMEMBERED_BITS:
                self._sufficing.clear()
            known = any(all(bits & group for group in groups) for groups in self._needs)
            self._sufficing[bits] = known
        return known

    def hot(self, hits: Sequence[Hit], sentences: Sequence[Sentence]) -> list[int]:
        """Places (in the sequence) of the sentences of one field that can match."""
        starts = [sentence.starts[0] for sentence in sentences]
        bits = [0] * len(sentences)
        for position, bit, _ in hits:
            bits[max(bisect_right(starts, position) - 1, 0)] |= bit
        return [place for place, both in enumerate(bits) if both and self.suffices(both)]

    def promising(self, text: str, folded: str, hits: Sequence[Hit]) -> tuple[bool, list[tuple[int, int]]]:
        """Say of *text* whether one of its sentences may be hot, and in which parts a pattern's own classes may stand.

        Each part (start, end) holds whole sentences. Their ends are certain without cutting the text into words.
        """
        is_even = folds_evenly(text, folded, self._language)
        start = at = 0
        hot = False
        parts: list[tuple[int, int]] = []
        for end in (*self._ends(text), len(text)) if is_even else (len(folded),):
            first, bits = at, 0
            while at < len(hits) and hits[at][0] < end:
                bits |= hits[at][1]
                at += 1
            if bits:
                hot = hot or self.suffices(bits)
                if self._stands(folded[start:end], bits, hits[first:at]):
                    parts.append((start, end) if is_even else (0, len(text)))
            start = end
        return hot, parts

    def _ends(self, text: str) -> Iterator[int]:
        """Yield where sentences begin by any rule: behind a line, or a word that is no abbreviation and a full stop."""
        for match in _END.finditer(text):
            start, end = match.span()
            if text[start] == "\n":
                yield end
                continue
            if start < _TWO or not text[start - _TWO : start].isalpha() or not text[end : end + 1].isupper():
                continue
            if text[start] == "." and text[start - _TWO : start].lower() in self._abbreviated:
                first = start - 1
                while first and text[first - 1].isalpha():
                    first -= 1
                if text[first:start].lower() in self._abbreviations:
                    continue
            yield end

    def _stands(self, stretch: str, bits: int, hits: Sequence[Hit]) -> bool:
        """Whether whole entries, and not only the letters they are looked for by, can make up a pattern here."""
        able, wanted = self._able(bits)
        if not wanted:
            return bool(able)
        words: list[frozenset[str]] = []
        sure = 0
        for _, some, key in hits:
            if not some & wanted & ~sure:
                continue
            for bit, entries in self._others[key].items():
                if not bit & some & wanted & ~sure:
                    continue
                if not entries or any(all(part.stands(stretch, words) for part in rest) for rest in entries):
                    sure |= bit
                    if any(all(sure & group for group in groups) for groups in able):
                        return True
        return False

    def _able(self, bits: int) -> tuple[list[tuple[int, ...]], int]:
        """Return the patterns that have a bit for each class, and the bits that these need; 0 if they need none."""
        known = self._known.get(bits)
        if known is None:
            able = [groups for groups in self._elements if all(bits & group for group in groups)]
            wanted = 0 if () in able else reduce(or_, (group for groups in able for group in groups), 0)
            if len(self._known) >= REMEMBERED_BITS:
                self._known.clear()
            known = self._known[bits] = able, wanted
        return known

    def _other(self, part: Part) -> _Other:
        exact = {fold(word, self._language) for word in part.exact}
        words = frozenset(() if self._has_clitics else (word for word in exact if word.isalpha()))
        letters = (*exact - words, *part.starts, *part.endings)
        return _Other(words, tuple(fold(some, self._language) for some in letters))
