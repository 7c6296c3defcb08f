"""Words with their places in the text, gathered into sentences.

A hyphen inside a word parts it (`UN-Sicherheitsrat` is two words), an apostrophe too (`l'Intérieur`, `İdlib'deki`),
so that lexicons and place names see the parts that languages glue together.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, compress, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from detectors.marks import Mark, PlaceMark, Quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


_MARKS: Final = "\u0300-\u036f\u064b-\u0652\u0670"
_LETTER: Final = r"[^\W\d_ʼ]"  # ʼ is the Ukrainian apostrophe, which counts as a letter
_RUN: Final = rf"{_LETTER}++(?:[{_MARKS}]{_LETTER}*+)*+"  # possessive: a run of letters is one step, never gone back
_MARKED: Final = rf"(?:[{_MARKS}]{_LETTER}*+)++"
LETTERS: Final = rf"(?:{_RUN}|{_MARKED})"
_TOKEN: Final = re.compile(  # each way begins with a single class, so that most are ruled out by one letter
    r"([A-Z]\.(?:[A-Z]\.)+"
    rf"|{_RUN}"
    r"|\d\d?\d?(?:[.,'’\u00a0\u202f ]\d{3})+(?!\d)(?:[.,]\d+)?"
    r"|\d\d*(?:[.,]\d+)?"
    rf"|{_MARKED}"
    r"|[^\w\s]"
    r"|\n|ʼ)"
)
_ENDS: Final = frozenset(".!?…؟")
_CLOSERS: Final = frozenset("\"'”“’»)]›")
_DROPPED: Final = {ord("ё"): "е", ord("ـ"): None} | {
    code: None for span in ((0x064B, 0x0653), (0x0670, 0x0671)) for code in range(*span)
}
_DROPPED_LETTERS: Final = tuple(map(chr, _DROPPED))
_FOLDED_OTHERWISE: Final = frozenset({"tr", "ar"})
# The press leaves out hamza, and in Egypt the dots of a last ya.
_ARABIC: Final = str.maketrans("أإآٱى", "ااااي") | _DROPPED
_HYPHENS: Final = frozenset("-‐‑'’ʼ")
_SIGNS: Final = _ENDS | _CLOSERS | _HYPHENS | {"\n"}  # what needs a second look when a text is cut
_DAY_DIGITS: Final = 2
_SHORTEST_BEFORE_A_SEAM: Final = 3
_DOTTED_ORDINALS: Final = frozenset({"de", "pl", "tr"})  # `am 6. Mai`
# `den FrontDer Gouverneur`, `im Überblick:Kiew meldet`: what was cut out of a page lost the space between two blocks.
# The capital comes first: what begins with a look back is tried at every letter, and takes as long as all the rest.
_SMALL: Final = "[a-zß-ÿа-яё]"
_CAPITAL: Final = "[A-ZÀ-ÞА-ЯЁ]"
_SEAM: Final = re.compile(rf"{_CAPITAL}(?:(?<={_SMALL}{{3}}{_CAPITAL})|(?<={_SMALL}{{3}}:{_CAPITAL}))(?={_SMALL}{{2}})")
_CAPPED_NAMES: Final = (("WhatsApp", 5), ("DeutschlandTrend", 11), ("PlayStation", 4), ("AstraZeneca", 5))
TOKENS_A_SENTENCE: Final = 160  # longer "sentences" are tables and lists


def fold(text: str, language: str = "") -> str:
    """Return the form under which words are compared: lower case, Russian ё as е, no Arabic vowel signs or hamza."""
    if language == "tr":
        text = text.replace("İ", "i").replace("I", "ı")
    elif language == "ar":
        return text.lower().translate(_ARABIC)
    low = text.lower()
    if low.isascii():
        return low
    for letter in _DROPPED_LETTERS:  # a search each is a tenth of translating what holds none of them
        if letter in low:
            return low.translate(_DROPPED)
    return low


def folds_evenly(text: str, folded: str, language: str = "") -> bool:
    """Tell whether every letter stands in *folded* where it stands in *text*, and folds alike in a word by itself."""
    # İ becomes two letters, of which a dropped one may hide the second; Σ folds by what stands behind it.
    return len(text) == len(folded) and (language == "tr" or "İ" not in text) and "Σ" not in text


@dataclass(slots=True, eq=False)
class Sentence:
    """One sentence of one field, as parallel lists of words; what stands on them is filled in by others."""

    field: str
    source: str
    texts: list[str]
    lows: list[str]
    starts: list[int]
    ends: list[int]
    marks: dict[str, list[Mark]] = dataclasses.field(default_factory=dict)
    read_places: Callable[[Sentence], list[PlaceMark]] | None = None
    read_quantities: Callable[[Sentence], list[Quantity]] | None = None
    _places: list[PlaceMark] | None = None
    _quantities: list[Quantity] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def places(self) -> list[PlaceMark]:
        """The places that are named, read when they are first asked for: most sentences are never asked."""
        if self._places is None:
            self._places = self.read_places(self) if self.read_places is not None else []
        return self._places

    @property
    def quantities(self) -> list[Quantity]:
        """The counts that stand in it, read when they are first asked for."""
        if self._quantities is None:
            self._quantities = self.read_quantities(self) if self.read_quantities is not None else []
        return self._quantities

    @quantities.setter
    def quantities(self, counts: list[Quantity]) -> None:
        self._quantities = counts

    @property
    def is_question(self) -> bool:
        """The sentence ends in a question mark, quotation marks aside."""
        return any(text in "?؟" for text in self.texts[-3:])

    def is_glued(self, at: int) -> bool:
        """Tell whether word *at* hangs on the one before without a space: the 19 of COVID-19."""
        if not 0 < at < len(self.texts):
            return False
        between = self.source[self.ends[at - 1] : self.starts[at]]
        return len(between) <= 1 and not between.isspace()

    def of(self, *names: str) -> list[Mark]:
        """All marks of these classes, in the order of the text."""
        marks = self.marks
        if len(names) == 1:
            return marks.get(names[0], [])
        found = [mark for name in names if name in marks for mark in marks[name]]
        if len(found) > 1:
            found.sort(key=_start)
        return found


_start: Final = attrgetter("start")


def split(text: str, *, field: str, language: str, abbreviations: frozenset[str]) -> Iterator[Sentence]:
    """Cut *text* into sentences; a line break always ends one, and so does a heading that was glued to what follows."""
    seams = [match.start() for match in _SEAM.finditer(text) if not _is_name(text, match.start())]
    if not seams:
        yield from _split(text, field=field, language=language, abbreviations=abbreviations)
        return
    for start, end in pairwise((0, *seams, len(text))):
        for sentence in _split(text[start:end], field=field, language=language, abbreviations=abbreviations):
            sentence.source = text
            sentence.starts = [at + start for at in sentence.starts]
            sentence.ends = [at + start for at in sentence.ends]
            yield sentence


def _is_name(text: str, at: int) -> bool:
    """Tell whether the capital inside a word belongs to a name: `WhatsApp`."""
    return any(text.startswith(name, at - cut) for name, cut in _CAPPED_NAMES)


def _split(text: str, *, field: str, language: str, abbreviations: frozenset[str]) -> Iterator[Sentence]:
    tokens = _Tokens.of(text)
    found = tokens.texts
    lows = tokens.folded(text, language)
    ordinals = language in _DOTTED_ORDINALS
    first = 0  # token of the sentence that is being read
    hidden: list[int] = []  # its glued hyphens
    length = seen = 0  # its words up to token `seen`, exclusive

    def sentence(end: int) -> Sentence:
        columns = found[first:end], lows[first:end], tokens.starts[first:end], tokens.ends[first:end]
        return Sentence(field, text, *(columns if not hidden else _without(columns, first, hidden)))

    for place in [i for i, word in enumerate(found) if word in _SIGNS]:
        while length + place - seen >= TOKENS_A_SENTENCE:
            end = seen + TOKENS_A_SENTENCE - length
            yield sentence(end)
            first = seen = end
            hidden, length = [], 0
        length, seen = length + place - seen, place + 1
        sign = found[place]
        if sign == "\n":
            if length:
                yield sentence(place)
            first, hidden, length = seen, [], 0
            continue
        if sign in _HYPHENS and tokens.is_glued(place):
            hidden.append(place)
            continue
        length += 1
        if length >= TOKENS_A_SENTENCE or _ends_here(tokens, place, length, abbreviations, ordinals=ordinals):
            yield sentence(seen)
            first, hidden, length = seen, [], 0
    while length + len(found) - seen >= TOKENS_A_SENTENCE:
        end = seen + TOKENS_A_SENTENCE - length
        yield sentence(end)
        first = seen = end
        hidden, length = [], 0
    if length + len(found) - seen:
        yield sentence(len(found))


def words(text: str, language: str = "") -> tuple[list[str], list[str]]:
    """Return the words of a short text, as written and folded; the same cutting as in articles."""
    if text.isalpha():  # most lines of a lexicon
        return [text], [fold(text, language)]
    tokens = _Tokens.of(text)
    kept = [word for i, word in enumerate(tokens.texts) if word not in _HYPHENS or not tokens.is_glued(i)]
    return kept, [fold(word, language) for word in kept]


_Columns = tuple[list[str], list[str], list[int], list[int]]


def _without(columns: _Columns, first: int, hidden: Iterable[int]) -> _Columns:
    """Return the columns of a sentence, that begins with token *first*, but for what is *hidden*."""
    texts, lows, starts, ends = columns
    shown = [True] * len(texts)
    for place in hidden:
        shown[place - first] = False
    return (
        list(compress(texts, shown)), list(compress(lows, shown)), list(compress(starts, shown)),
        list(compress(ends, shown)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Tokens:
    """All words and signs of a text, and where they start and end."""

    texts: list[str]
    starts: list[int]
    ends: list[int]

    @classmethod
    def of(cls, text: str) -> _Tokens:
        """Cut *text*; no match is made into an object, which would take half of the time."""
        pieces = _TOKEN.split(text)  # what stands between tokens, a token, what stands between …
        bounds = list(accumulate(map(len, pieces)))
        return cls(pieces[1::2], bounds[:-1:2], bounds[1::2])

    def folded(self, text: str, language: str) -> list[str]:
        """Return the form of each under which words are compared."""
        low = text.lower()
        if language not in _FOLDED_OTHERWISE and (
            low.isascii() or not any(letter in low for letter in _DROPPED_LETTERS)
        ):
            return list(map(str.lower, self.texts))
        whole = fold(text, language)
        if folds_evenly(text, whole, language):
            return [whole[start:end] for start, end in zip(self.starts, self.ends, strict=True)]
        return [fold(word, language) for word in self.texts]

    def is_glued(self, place: int) -> bool:
        """Tell whether a sign hangs on words on both sides."""
        texts, starts, ends = self.texts, self.starts, self.ends
        before = place > 0 and ends[place - 1] == starts[place] and texts[place - 1][-1:].isalnum()
        return before and place + 1 < len(texts) and starts[place + 1] == ends[place] and texts[place + 1][:1].isalnum()


def _ends_here(tokens: _Tokens, place: int, length: int, abbreviations: frozenset[str], *, ordinals: bool) -> bool:
    """Tell whether a sentence of *length* words so far ends with the sign at *place*."""
    found = tokens.texts
    sign = found[place]
    closing = sign in _CLOSERS and length > 1 and found[place - 1] in _ENDS
    if sign not in _ENDS and not closing:
        return False
    if place + 1 >= len(found):
        return True
    following = found[place + 1]
    glued = tokens.starts[place + 1] == tokens.ends[place]
    if not (_opens_glued(found, place) if glued else _opens(following[:1])):
        return False
    if sign != "." or closing or glued or length == 1:
        return True
    previous = found[place - 1]
    if (len(previous) == 1 and previous.isupper()) or previous.lower() in abbreviations:
        return False
    is_day = previous.isdigit() and len(previous) <= _DAY_DIGITS and tokens.ends[place - 1] == tokens.starts[place]
    return not (ordinals and is_day and following[:1].isalpha())


def _opens_glued(found: list[str], place: int) -> bool:
    """Tell whether a sentence begins right behind the sign at *place*: `… gestorben.Der …`, not `lemonde.fr`."""
    following = found[place + 1]
    if not (following[:1].isupper() and following[1:2].islower()):
        return False  # before looking back, which a text of full stops alone would make long
    before = place - 1
    while before > 0 and found[before] in _ENDS:
        before -= 1
    previous = found[before]
    return len(previous) >= _SHORTEST_BEFORE_A_SEAM and previous[-1].islower()


def _opens(letter: str) -> bool:
    """Tell whether a sentence may begin with it; Arabic has no capitals."""
    return letter.isupper() or letter.isdigit() or letter in "\"'„“«»‹(¿¡–—" or "\u0600" <= letter <= "\u06ff"
