"""Countries by name, adjective, capital, town, region and institution; `detectors/data` holds them by language.

A small town counts only after a word like `in` or `bei`, because half of them are surnames.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from detectors.marks import PlaceMark
from detectors.placenames import ADJECTIVE, CAPITAL, CITY, COUNTRY, REGION, TOWN, Entry, shipped
from detectors.tokens import fold, words

if TYPE_CHECKING:
    from detectors.settings import LexiconSettings
    from detectors.tokens import Sentence

_LONGEST_ENDING: Final = 16
_SHORTEST_START: Final = 2
REMEMBERED_WORDS: Final = 50_000
_SKIPPED_WORDS: Final = 3
_APART: Final = 4
_SHORTEST_GENITIVE: Final = 4


class Gazetteer:
    """The places of one language."""

    def __init__(self, language: str, settings: LexiconSettings) -> None:
        self.language = language
        self._names = shipped(language)
        self._starts = self._names.starts
        self._own_names: dict[str, list[Entry]] = {}
        self._own_starts: dict[str, tuple[str, str]] = {}
        self._is_folded = language == "ar"  # without capitals, which tell names elsewhere, and with stray hamzas
        for code, entries in settings.places.items():
            for entry in entries:
                if entry.endswith("*"):
                    self._own_starts[fold(entry[:-1], language)] = (code, REGION)
                    continue
                texts = words(entry, language)[self._is_folded]
                self._own_names.setdefault(texts[0], []).append((tuple(texts[1:]), (code,), REGION))
        for code, entries in settings.adjectives.items():
            for entry in entries:
                if entry.endswith("*"):
                    self._own_starts[fold(entry[:-1], language)] = (code, ADJECTIVE)
                    continue
                texts = words(entry, language)[self._is_folded]
                for first in {texts[0], texts[0][0].upper() + texts[0][1:]}:
                    self._own_names.setdefault(first, []).append((tuple(texts[1:]), (code,), ADJECTIVE))
        self._genitive_s = language == "de"
        self._clitics = settings.clitics
        self._prefixes = settings.place_prefixes
        self._town_endings = settings.town_endings
        self._no_places: set[str] = set()

    def mark(self, sentence: Sentence) -> list[PlaceMark]:
        """Find the places of *sentence*, the longest name first."""
        found: list[PlaceMark] = []
        skipped = {i for mark in sentence.of("skip") for i in range(mark.start, mark.end)}
        into = _reached({mark.end for mark in sentence.of("into")}, skipped)
        near = _reached({mark.end for mark in sentence.of("located")}, skipped) | into
        into_after = {mark.start for mark in sentence.of("into_after")}
        near_after = {mark.start for mark in sentence.of("located_after")} | into_after
        actors = {
            i
            for name, marks in sentence.marks.items()
            if name.startswith("actor:")
            for m in marks
            for i in range(m.start, m.end)
        }
        # `Deutsche Presse-Agentur`, `ARD Kiew`, `nach russischen Angaben`, `zwischen Iran und Irak`: no scene, no actor
        hidden = {i for mark in sentence.of("byline") for i in range(mark.start, mark.end + 1)}
        hidden |= {
            i for mark in sentence.of("no_scene") for i in range(mark.start, mark.tail[1] if mark.tail else mark.end)
        }
        unknown, behind = self._no_places, 0
        for i in [i for i, text in enumerate(sentence.texts) if text not in unknown and text[0].isalpha()]:
            hit = self._at(sentence, i) if i >= behind and i not in hidden and i not in actors else None
            if hit is None:
                continue
            end, codes, kind = hit
            located = i in near or end in near_after
            if kind == TOWN and not located and not self._is_capped_headline(sentence, i, end):
                continue
            directed = end in into_after or i in into
            found.append(
                PlaceMark(i, end, codes, kind, " ".join(sentence.texts[i:end]), into=directed, located=located)
            )
            behind = end
        return _placed(sentence, found)

    @staticmethod
    def _is_capped_headline(sentence: Sentence, i: int, end: int) -> bool:
        """`Katowice: dwie osoby …`: a town that opens a sentence and is followed by a colon."""
        return i == 0 and end < len(sentence) and sentence.texts[end] in ":–—,"

    def _at(self, sentence: Sentence, i: int) -> tuple[int, tuple[str, ...], str] | None:
        text, low = sentence.texts[i], sentence.lows[i]
        forms = [text]
        if self._genitive_s and text.endswith("s") and len(text) > _SHORTEST_GENITIVE:
            forms.append(text[:-1])
        forms += self._without_clitics(text)
        own_forms = [low, *self._without_clitics(low)] if self._is_folded else forms
        entries = [entry for form in own_forms for entry in self._own_names.get(form, ())]
        own_texts = sentence.lows if self._is_folded else sentence.texts
        following = [entry for entry in entries if _follows(own_texts, i + 1, entry[0], genitive=self._genitive_s)]
        shipped_entries = [entry for form in forms for entry in self._names.get(form)]
        entries += shipped_entries
        following += [
            entry for entry in shipped_entries if _follows(sentence.texts, i + 1, entry[0], genitive=self._genitive_s)
        ]
        best = max(following, key=lambda entry: len(entry[0]), default=None)
        if best is not None and best[2] == TOWN and not best[0]:
            own = next((self._own_starts[low[:n]] for n in range(len(low), 2, -1) if low[:n] in self._own_starts), None)
            best = best if own is None else ((), (own[0],), own[1])  # the lexicon knows better than a list of towns
        if best is not None:
            return i + 1 + len(best[0]), best[1], best[2]
        start = self._by_start(own_forms if self._is_folded else [low], is_capital=text[0].isupper())
        if start is not None:
            return i + 1, (start[0],), start[1]
        part = self._by_part(text)
        if part is not None:
            return i + 1, part[0], part[1]
        if not entries:
            if len(self._no_places) >= REMEMBERED_WORDS:
                self._no_places.clear()
            self._no_places.add(text)
        return None

    def _without_clitics(self, text: str) -> list[str]:
        return [text[len(c) :] for c in self._clitics if text.startswith(c) and len(text) > len(c) + 1]

    def _by_part(self, text: str) -> tuple[tuple[str, ...], str] | None:
        """`Norditalien`, `ostukrainisch` are in the whole land; `Brüsseler` is an adjective made from a town."""
        for prefix in self._prefixes:
            if text.lower().startswith(prefix) and len(text) > len(prefix) + _SHORTEST_GENITIVE:
                rest = text[len(prefix) :]
                whole = self._of_kind({rest.capitalize(), rest.capitalize().removesuffix("s")}, {COUNTRY, REGION})
                if whole is not None:
                    return whole, REGION
                start = self._by_start([rest], is_capital=text[0].isupper())
                if start is not None and start[1] == ADJECTIVE:
                    return (start[0],), ADJECTIVE
        towns = {text.removesuffix(e) for e in self._town_endings if text[0].isupper() and text.endswith(e)}
        town = self._of_kind(towns, {CAPITAL, CITY})
        return (town, ADJECTIVE) if town is not None else None

    def _of_kind(self, names: set[str], kinds: set[str]) -> tuple[str, ...] | None:
        found = (entry for name in names for entry in self._names.get(name))
        return next((codes for rest, codes, kind in found if not rest and kind in kinds), None)

    def _by_start(self, forms: list[str], *, is_capital: bool) -> tuple[str, str] | None:
        """Find the longest start of a word that stands for a country; English adjectives are written with a capital."""
        for form in forms:
            for cut in range(min(len(form), _LONGEST_ENDING), _SHORTEST_START - 1, -1):
                start = self._own_starts.get(form[:cut]) or self._starts.get(form[:cut])
                if start is not None and (is_capital or (start[1] == ADJECTIVE and self.language != "en")):
                    return start
        return None


def _placed(sentence: Sentence, found: list[PlaceMark]) -> list[PlaceMark]:
    """`Kant air base near Bishkek`, `Paris, Texas`: a town is where the greater place behind it is."""
    borders = {mark.start for mark in sentence.of("range_to", "and", "origin")}
    for at, (town, place) in enumerate(pairwise(found)):
        between = range(town.end, place.start)
        texts = [sentence.texts[i] for i in between]
        beside = texts == [","] or (place.located and "," not in texts and len(texts) <= _APART)
        apposed = (
            texts == [","]
            and place.kind == COUNTRY
            and town.kind in {CAPITAL, CITY, REGION}
            and (place.end >= len(sentence) or not sentence.texts[place.end][0].isalnum())
        )  # `Mérida, Venezuela,`
        if (
            (apposed or (town.kind == TOWN and place.kind in {COUNTRY, CAPITAL, CITY, REGION}))
            and beside and not set(town.codes) & set(place.codes)
            and not any(i in borders for i in between) and all(text.isalpha() or text == "," for text in texts)
        ):  # fmt: skip
            found[at] = replace(town, codes=place.codes)
    return found


def _reached(ends: set[int], skipped: set[int]) -> set[int]:
    """Where a place may stand after a preposition: right behind it, or behind articles and words like `eastern`."""
    found = set(ends)
    for end in ends:
        at = end
        while at in skipped and at - end < _SKIPPED_WORDS:
            at += 1
            found.add(at)
    return found


def _follows(texts: list[str], at: int, rest: tuple[str, ...], *, genitive: bool) -> bool:
    if not rest:
        return True
    there = texts[at : at + len(rest)]
    if tuple(there) == rest:
        return True
    return genitive and tuple(there[:-1]) == rest[:-1] and there[-1:] == [rest[-1] + "s"]
