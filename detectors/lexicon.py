"""One language's classes of words, and where they stand in a sentence.

Every entry hangs on its first word, so a sentence costs one look-up a word; what a word starts is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from detectors.entries import Entry, Part, joined_numbers, parts_of
from detectors.marks import Mark
from detectors.tokens import fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from detectors.settings import LexiconSettings
    from detectors.tokens import Sentence

REMEMBERED_WORDS: Final = 50_000
_CLAUSE_OPENERS: Final = frozenset(
    {"und", "oder", "sowie", "als", "wie", "weil", "dass", "nachdem", "bevor", "aber"}
)  # only German has them
NUMBERS: Final = ("number", "approximate", "vague", "range")
PSEUDO: Final = "pseudo"  # hides what stands inside it
SCOPE: Final = "scope:"  # classes made of scope cues: scope:negated:forward


# Classes of which only the longest phrase counts: `officials familiar with the talks` are no `officials`.
_FAMILY: Final = {
    name: place
    for place, names in enumerate(
        (
            NUMBERS,
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
class Begun:
    """Entries that may begin at a word, and the bits of the classes they are of."""

    entries: tuple[Entry, ...]
    bits: int


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What a word may begin: `following` by the word behind it, for words that alone decide; `others` before the rest.

    A common word begins hundreds of phrases, and the next word rules out nearly all of them.
    """

    others: Begun
    following: dict[str, Begun]


_NOTHING: Final = _Known(Begun((), 0), {})


class Lexicon:
    """Compiled from one language's file."""

    def __init__(self, settings: LexiconSettings) -> None:
        self.settings = settings
        self.language = settings.language
        self.abbreviations = frozenset(settings.abbreviations)
        self.numbers: frozenset[str] = frozenset()
        self._exact: dict[str, list[Entry]] = {}
        self._starts: dict[str, list[Entry]] = {}
        self._endings: dict[str, list[Entry]] = {}
        self._any_number: list[Entry] = []
        self._entries: dict[str, list[Entry]] = {}
        self._known: dict[str, _Known] = {}
        self._bit: dict[str, int] = {}
        numbers = _number_words(settings)
        self.numbers = frozenset(fold(word, self.language) for word in numbers if " " not in word)
        for name, text, value in _lines(settings, numbers):
            self._add(name, text, value)

    def scope_classes(self, scopes: Iterable[str]) -> list[str]:
        """Return the classes of all cues of these scopes."""
        wanted = set(scopes)
        return [name for name in self._entries if name.startswith(SCOPE) and name.split(":")[1] in wanted]

    def numbers_from(self, least: int) -> list[str]:
        """Return every word that says a number, from this one on."""
        entries = (entry for name in NUMBERS for entry in self._entries.get(name, ()))
        some = [entry for entry in entries if entry.value and (entry.value[-1] or 0) >= least]
        return sorted({fold(word, self.language) for entry in some for word in _longest(entry).exact})

    def keys(self, names: Iterable[str]) -> Iterator[tuple[str, str, bool, bool, tuple[Part, ...]]]:
        """Yield (class, letters that every such entry contains, must open a word, must close one, other parts)."""
        for name in names:
            for entry in self._entries.get(name, ()):
                longest = _longest(entry)
                if longest.number:
                    continue
                others = tuple(part for part in (entry.first, *entry.rest) if part is not longest and not part.number)
                for word in longest.exact:
                    yield name, fold(word, self.language), not self.settings.clitics, True, others
                for word in longest.starts:
                    yield name, fold(word, self.language), not self.settings.clitics, False, others
                for word in longest.endings:
                    yield name, fold(word, self.language), False, True, others

    def begun(self, sentence: Sentence) -> tuple[list[tuple[int, Begun]], int]:
        """Return what may begin at which words of *sentence*, and the bits of all classes of these entries."""
        texts, lows = sentence.texts, sentence.lows
        last = len(texts) - 1
        found: list[tuple[int, Begun]] = []
        bits = 0
        looked_up = enumerate(map(self._known.get, texts))
        for i, one in [(i, one) for i, one in looked_up if one is not _NOTHING]:
            known = self._look_up(texts[i], lows[i]) if one is None else one
            begun = known.following.get(lows[i + 1], known.others) if known.following and i < last else known.others
            if begun.entries:
                found.append((i, begun))
                bits |= begun.bits
        return found, bits

    def mark(self, sentence: Sentence, found: Iterable[tuple[int, Begun]] | None = None) -> None:
        """Put down every class of *sentence*, of whose words *found* says what they begin.

        A longer phrase hides a scope cue inside it, `pseudo` hides everything.
        """
        texts, lows = sentence.texts, sentence.lows
        marks: list[Mark] = []
        holes: list[Mark] = []  # `!peine de mort` keeps `mort` out of its class there
        words: set[str] = set()
        for i, begun in self.begun(sentence)[0] if found is None else found:
            for entry in begun.entries:
                if not entry.rest:
                    marks.append(Mark(entry.name, i, i + 1, None, entry.value))
                    continue
                if entry.must:
                    words = words or {*lows, *texts}
                    if entry.must.isdisjoint(words):
                        continue
                mark = self._follow(entry, texts, lows, i)
                if mark is not None:
                    (holes if entry.bars else marks).append(mark)
        sentence_marks = sentence.marks
        for mark in _standing(marks, holes):
            if mark.name in sentence_marks:
                sentence_marks[mark.name].append(mark)
            else:
                sentence_marks[mark.name] = [mark]

    def _follow(self, entry: Entry, texts: list[str], lows: list[str], start: int) -> Mark | None:
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

    def _look_up(self, text: str, low: str) -> _Known:
        forms = [(text, low)]
        forms += [
            (text[len(clitic) :], low[len(clitic) :])
            for clitic in self.settings.clitics
            if low.startswith(clitic) and len(low) > len(clitic) + 2
        ]
        # As a list of unlike forms and not as a set: the order decides which of two classes a word is of first.
        keys = (key for text_, low_ in forms for key in dict.fromkeys((low_, text_)))
        found = {id(entry): entry for key in keys for entry in self._hanging_on(key)}
        if any(folded[:1].isdigit() for _, folded in forms):
            found |= {id(entry): entry for entry in self._any_number}
        fitting = [e for e in found.values() if any(e.first.fits(form, folded, self.numbers) for form, folded in forms)]
        barred = {entry.name for entry in fitting if entry.bars and not entry.rest}
        kept = [e for e in fitting if e.rest or not (e.bars or e.name in barred)]
        result = self._by_following(kept) if kept else _NOTHING
        if len(self._known) >= REMEMBERED_WORDS:
            self._known.clear()
        self._known[text] = result
        return result

    def _by_following(self, entries: list[Entry]) -> _Known:
        others = [entry for entry in entries if entry.adjacent is None]
        nexts = {word for entry in entries if entry.adjacent is not None for word in entry.adjacent}
        behind = {word: [e for e in entries if e.adjacent is None or word in e.adjacent] for word in nexts}
        return _Known(self._begun(others), {word: self._begun(some) for word, some in behind.items()})

    def _begun(self, entries: list[Entry]) -> Begun:
        return Begun(tuple(entries), self.bits({entry.name for entry in entries if not entry.bars}))

    def bits(self, names: Iterable[str]) -> int:
        """Return the bits of these classes; scopes and actors have none, for no pattern names them."""
        found = 0
        for name in names:
            if ":" not in name:
                found |= self._bit.setdefault(name, 1 << len(self._bit))
        return found

    def _hanging_on(self, key: str) -> Iterator[Entry]:
        yield from self._exact.get(key, ())
        for cut in range(1, len(key) + 1):
            yield from self._starts.get(key[:cut], ())
        for cut in range(1, len(key)):
            yield from self._endings.get(key[-cut:], ())

    def _add(self, name: str, text: str, value: tuple[int | None, ...] | None = None) -> None:
        bars = text.startswith("!")
        parts = parts_of(text.removeprefix("!"), self.language)
        entry = Entry.of(name, parts, value, bars=bars)
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


def check(settings: LexiconSettings) -> None:
    """Find out whether a lexicon can be compiled, in a tenth of the time.

    Raises:
        ValueError: an entry names no word.
    """
    for _, text, _ in _lines(settings, settings.numbers):
        if not text[:1].isalpha():  # a letter at the start begins a word
            parts_of(text.removeprefix("!"), settings.language)


def _number_words(settings: LexiconSettings) -> dict[str, int]:
    joined = joined_numbers(settings.numbers, settings.tens_and_units) if settings.tens_and_units else {}
    return settings.numbers | joined


def _lines(
    settings: LexiconSettings, numbers: dict[str, int]
) -> Iterator[tuple[str, str, tuple[int | None, ...] | None]]:
    """Yield every line of the file as (class, entry, value)."""
    for name, table in (("number", numbers), ("approximate", settings.approximate), ("vague", settings.vague)):
        yield from ((name, text, (value,)) for text, value in table.items())
    yield from (("range", text, bounds) for text, bounds in settings.ranges.items())
    for number, entry in enumerate(settings.months, 1):
        yield "month", entry, (number,)
    for name, entries in settings.classes.items():
        yield from ((name, entry, None) for entry in entries)
    for name, reaches in settings.scopes.items():
        for reach, entries in reaches.items():
            yield from ((f"{SCOPE}{name}:{reach}", entry, None) for entry in entries)
    for code, entries in settings.actors.items():
        yield from ((f"actor:{code}", entry, None) for entry in entries)


def _longest(entry: Entry) -> Part:
    """Return the part by whose letters an entry is looked for; a number only where it has no other."""
    parts = entry.first, *entry.rest
    return max((part for part in parts if not part.number), key=_shortest_option, default=entry.first)


def _shortest_option(part: Part) -> int:
    return min((len(word) for word in (*part.exact, *part.starts, *part.endings)), default=0)


def _ends_clause(texts: list[str], lows: list[str], place: int) -> bool:
    """Return a separated prefix stands at the end of its clause: `brachten … um, bestätigte`."""
    return place + 1 >= len(texts) or not texts[place + 1][0].isalnum() or lows[place + 1] in _CLAUSE_OPENERS


def _standing(marks: list[Mark], holes: list[Mark]) -> Iterable[Mark]:
    """Return the marks that no longer phrase hides and no hole takes."""
    long = [mark for mark in marks if mark.words > 1 and mark.tail is None]
    for mark in marks:
        if mark.tail is not None and mark.name == PSEUDO:  # `after … debate` hides both ends, and nothing between
            long += [replace(mark, tail=None), replace(mark, start=mark.tail[0], end=mark.tail[1], tail=None)]
    if not long and not holes:
        return marks
    over: dict[int, list[Mark]] = {}
    for phrase in long:
        for at in range(phrase.start, phrase.end):
            over.setdefault(at, []).append(phrase)
    kept = []
    for mark in marks:
        others = over.get(mark.start)
        if mark.end > mark.start + 1:
            others = [phrase for at in range(mark.start, mark.end) for phrase in over.get(at, ())]
        if others and any(_hides(phrase, mark) for phrase in others):
            continue
        if holes and any(h.name == mark.name and h.start < mark.end and mark.start < h.end for h in holes):
            continue
        kept.append(mark)
    return kept


def _hides(longer: Mark, mark: Mark) -> bool:
    if mark is longer or mark.end <= longer.start or longer.end <= mark.start:
        return False
    family = _FAMILY.get(mark.name)
    if family is not None and _FAMILY.get(longer.name) == family:
        return (longer.words, longer.end) > (mark.words, mark.end)  # `shot dead` over `were shot`
    if mark.words >= longer.words or mark.start < longer.start or mark.end > longer.end:
        return False
    if longer.name in {PSEUDO, mark.name}:
        return True
    return family is None and mark.name.startswith(SCOPE) and not longer.name.startswith("actor:")
