"""One language's classes of words, and where they stand in a sentence.

Every entry hangs on its first word, so a sentence costs one look-up a word; what a word starts is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from detectors.tokens import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from detectors.settings import LexiconSettings
    from detectors.tokens import Sentence

REMEMBERED_WORDS: Final = 50_000
_CLAUSE_OPENERS: Final = frozenset(
    {"und", "oder", "sowie", "als", "wie", "weil", "dass", "nachdem", "bevor", "aber"}
)  # only German has them
SCOPE: Final = "scope:"  # classes made of scope cues: scope:negated:forward


# Classes of which only the longest phrase counts: `officials familiar with the talks` are no `officials`.
_FAMILY: Final = {
    name: place
    for place, names in enumerate(
        (
            ("number", "vague", "approximate", "range"),
            ("authority", "media", "witness", "unnamed", "party"),
            ("government", "head", "office", "sport_office"),
            ("dismissing", "resigning", "toppling", "no_confidence"),
            (
                "dead",
                "dead_many",
                "toll",
                "dying",
                "dying_plain",
                "killing",
                "slaying",
                "corpses",
                "injured",
                "missing",
            ),
        )
    )
    for name in names
}


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """Words `start`..`end` (exclusive) are of class `name`; `tail` is the far part of a split entry (`brachten … um`)."""

    name: str
    start: int
    end: int
    tail: tuple[int, int] | None = None
    value: tuple[int | None, ...] | None = None
    words: int = 1


@dataclass(frozen=True, slots=True)
class _Part:
    """One word of an entry: literal forms, word starts, word endings; `gap` words may stand before it."""

    exact: frozenset[str]
    starts: tuple[str, ...]
    endings: tuple[str, ...]
    cased: bool
    number: bool
    gap: int
    final: bool = False

    def fits(self, text: str, low: str, numbers: frozenset[str]) -> bool:
        word = text if self.cased else low
        if word in self.exact or (self.starts and word.startswith(self.starts)):
            return True
        if self.endings and word.endswith(self.endings):
            return True
        return self.number and (low in numbers or low[:1].isdigit())


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    first: _Part
    rest: tuple[_Part, ...]
    value: tuple[int | None, ...] | None
    bars: bool


class Lexicon:
    """Compiled from one language's file."""

    def __init__(self, settings: LexiconSettings) -> None:
        self.settings = settings
        self.language = settings.language
        self.abbreviations = frozenset(settings.abbreviations)
        self.numbers: frozenset[str] = frozenset()
        self._exact: dict[str, list[_Entry]] = {}
        self._starts: dict[str, list[_Entry]] = {}
        self._endings: dict[str, list[_Entry]] = {}
        self._any_number: list[_Entry] = []
        self._entries: dict[str, list[_Entry]] = {}
        self._known: dict[str, tuple[tuple[_Entry, ...], frozenset[str]]] = {}
        numbers = dict(settings.numbers)
        if settings.tens_and_units:
            numbers |= _joined(settings.numbers, settings.tens_and_units)
        self.numbers = frozenset(word.lower() for word in numbers if " " not in word)
        for text, value in numbers.items():
            self._add("number", text, (value,))
        for text, value in settings.approximate.items():
            self._add("approximate", text, (value,))
        for text, value in settings.vague.items():
            self._add("vague", text, (value,))
        for text, (low, high) in settings.ranges.items():
            self._add("range", text, (low, high))
        for name, entries in settings.classes.items():
            for entry in entries:
                self._add(name, entry)
        for name, reaches in settings.scopes.items():
            for reach, entries in reaches.items():
                for entry in entries:
                    self._add(f"{SCOPE}{name}:{reach}", entry)
        for code, entries in settings.actors.items():
            for entry in entries:
                self._add(f"actor:{code}", entry)

    def scope_classes(self, scopes: Iterable[str]) -> list[str]:
        """The classes of all cues of these scopes."""
        wanted = set(scopes)
        return [name for name in self._entries if name.startswith(SCOPE) and name.split(":")[1] in wanted]

    def keys(self, names: Iterable[str]) -> Iterator[tuple[str, str, bool, bool]]:
        """(class, letters, must open a word, must close a word): what every text with an entry of these classes contains."""
        for name in names:
            for entry in self._entries.get(name, ()):
                parts = [part for part in (entry.first, *entry.rest) if not part.number]
                longest = max(parts, key=_shortest_option, default=None)
                if longest is None:
                    continue
                for word in longest.exact:
                    yield name, word.lower(), not self.settings.clitics, True
                for word in longest.starts:
                    yield name, word.lower(), not self.settings.clitics, False
                for word in longest.endings:
                    yield name, word.lower(), False, True

    def mark(self, sentence: Sentence) -> None:
        """Find every class in *sentence*. A longer scope phrase hides the shorter one inside it; `pseudo` hides everything."""
        texts, lows, size = sentence.texts, sentence.lows, len(sentence)
        marks: list[Mark] = []
        holes: list[Mark] = []  # `!peine de mort` keeps `mort` out of its class there
        for i in range(size):
            text = texts[i]
            known = self._known.get(text)
            if known is None:
                known = self._look_up(text, lows[i])
            entries, barred = known
            for entry in entries:
                if not entry.rest:
                    if entry.name not in barred:
                        marks.append(Mark(entry.name, i, i + 1, None, entry.value))
                    continue
                mark = self._follow(entry, texts, lows, i)
                if mark is not None:
                    (holes if entry.bars else marks).append(mark)
        long = [mark for mark in marks if mark.words > 1 and mark.tail is None]
        for mark in marks:
            if any(_hides(other, mark) for other in long):
                continue
            if holes and any(h.name == mark.name and h.start < mark.end and mark.start < h.end for h in holes):
                continue
            sentence.marks.setdefault(mark.name, []).append(mark)

    def _follow(self, entry: _Entry, texts: list[str], lows: list[str], start: int) -> Mark | None:
        at = end = start + 1
        tail: tuple[int, int] | None = None
        for part in entry.rest:
            stop = min(at + part.gap + 1, len(texts))
            place = at
            while place < stop and not (
                part.fits(texts[place], lows[place], self.numbers)
                and (not part.final or _ends_clause(texts, lows, place))
            ):
                if part.gap and lows[place] in ";:":
                    return None
                place += 1
            if place >= stop:
                return None
            if place == at and tail is None:
                end = place + 1
            else:
                tail = (tail[0] if tail and place == at else place, place + 1)
            at = place + 1
        return Mark(entry.name, start, end, tail, entry.value, 1 + len(entry.rest))

    def _look_up(self, text: str, low: str) -> tuple[tuple[_Entry, ...], frozenset[str]]:
        forms = [(text, low)]
        for clitic in self.settings.clitics:
            if low.startswith(clitic) and len(low) > len(clitic) + 2:
                forms.append((text[len(clitic) :], low[len(clitic) :]))
        found: dict[int, _Entry] = {}
        for form, folded in forms:
            for key in {form, folded}:
                for entry in self._exact.get(key, ()):
                    found[id(entry)] = entry
                for cut in range(1, len(key) + 1):
                    for entry in self._starts.get(key[:cut], ()):
                        found[id(entry)] = entry
                    for entry in self._endings.get(key[-cut:], ()):
                        if cut < len(key):
                            found[id(entry)] = entry
            if folded[:1].isdigit():
                found |= {id(entry): entry for entry in self._any_number}
        fitting = [e for e in found.values() if any(e.first.fits(form, folded, self.numbers) for form, folded in forms)]
        barred = frozenset(entry.name for entry in fitting if entry.bars and not entry.rest)
        result = tuple(entry for entry in fitting if entry.rest or not entry.bars), barred
        if len(self._known) >= REMEMBERED_WORDS:
            self._known.clear()
        self._known[text] = result
        return result

    def _add(self, name: str, text: str, value: tuple[int | None, ...] | None = None) -> None:
        bars = text.startswith("!")
        parts = _parts(text.removeprefix("!"), self.language)
        entry = _Entry(name, parts[0], tuple(parts[1:]), value, bars)
        if not bars:
            self._entries.setdefault(name, []).append(entry)
        for key in parts[0].exact:
            self._exact.setdefault(key, []).append(entry)
        for key in parts[0].starts:
            self._starts.setdefault(key, []).append(entry)
        for key in parts[0].endings:
            self._endings.setdefault(key, []).append(entry)
        if parts[0].number:
            self._any_number.append(entry)
            for key in self.numbers:
                self._exact.setdefault(key, []).append(entry)


def _shortest_option(part: _Part) -> int:
    return min((len(word) for word in (*part.exact, *part.starts, *part.endings)), default=0)


def _ends_clause(texts: list[str], lows: list[str], place: int) -> bool:
    """A separated prefix stands at the end of its clause: `brachten … um, bestätigte`."""
    return place + 1 >= len(texts) or not texts[place + 1][0].isalnum() or lows[place + 1] in _CLAUSE_OPENERS


def _hides(longer: Mark, mark: Mark) -> bool:
    if mark is longer or mark.end <= longer.start or longer.end <= mark.start:
        return False
    family = _FAMILY.get(mark.name)
    if family is not None and _FAMILY.get(longer.name) == family:
        return (longer.words, longer.end) > (mark.words, mark.end)  # `shot dead` over `were shot`
    if mark.words >= longer.words:
        return False
    if mark.start < longer.start or mark.end > longer.end:
        return False
    if longer.name == "pseudo":
        return True
    if mark.name == longer.name:
        return True
    if family is not None:
        return False
    return mark.name.startswith(SCOPE) and not longer.name.startswith("actor:")


def _parts(text: str, language: str) -> list[_Part]:
    parts: list[_Part] = []
    gap = 0
    for chunk in text.split():
        if chunk[0] == "~" and chunk[1:].isdigit():
            gap = int(chunk[1:])
            continue
        final, chunk = chunk.endswith("$"), chunk.removesuffix("$")
        options = chunk.split("|")
        if len(options) == 1 and "*" not in chunk and chunk[0] != "=" and chunk != "#":
            for low in words(chunk, language)[1]:
                parts.append(_Part(frozenset({low}), (), (), cased=False, number=False, gap=gap))
                gap = 0
            if final:
                parts[-1] = replace(parts[-1], final=True)
            continue
        cased = options[0].startswith("=")
        exact, starts, endings, number = set(), [], [], False
        for option in options:
            plain = option.removeprefix("=")
            folded = plain if cased else words(plain.strip("*"), language)[1]
            word = plain.strip("*") if cased else "".join(folded)
            if plain == "#":
                number = True
            elif plain.startswith("*"):
                endings.append(word)
            elif plain.endswith("*"):
                starts.append(word)
            else:
                exact.add(word)
        parts.append(_Part(frozenset(exact), tuple(starts), tuple(endings), cased=cased, number=number, gap=gap))
        if final:
            parts[-1] = replace(parts[-1], final=True)
        gap = 0
    if not parts:
        raise ValueError(f"lexicon {language!r}: the entry {text!r} names no word")
    return parts


def _joined(numbers: dict[str, int], joint: str) -> dict[str, int]:
    """German writes 41 as one word, unit first: einundvierzig; and 200, 3000 too."""
    units = {word: value for word, value in numbers.items() if 1 <= value <= 9}
    tens = {word: value for word, value in numbers.items() if 20 <= value <= 90 and value % 10 == 0}
    both = {f"{u}{joint}{t}": a + b for u, a in units.items() for t, b in tens.items()}
    hundreds = {f"{u}hundert": a * 100 for u, a in units.items()}
    thousands = {f"{u}tausend": a * 1000 for u, a in {**units, **tens, **both}.items()}
    return both | hundreds | thousands
