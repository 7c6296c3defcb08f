"""Words with their places in the text, gathered into sentences.

A hyphen inside a word parts it (`UN-Sicherheitsrat` is two words), an apostrophe too (`l'Intérieur`, `İdlib'deki`),
so that lexicons and place names see the parts that languages glue together.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detectors.marks import Mark, PlaceMark, Quantity

if TYPE_CHECKING:
    from collections.abc import Iterator


_MARKS: Final = "\u0300-\u036f\u064b-\u0652\u0670"
_TOKEN: Final = re.compile(
    r"(?:[A-Z]\.){2,}"
    r"|\d{1,3}(?:[.,'’\u00a0\u202f ]\d{3})+(?!\d)(?:[.,]\d+)?"
    r"|\d+(?:[.,]\d+)?"
    rf"|(?:[^\W\d_]|[{_MARKS}])+"
    r"|[^\w\s]"
    r"|\n"
)
_ENDS: Final = frozenset(".!?…؟")
_CLOSERS: Final = frozenset("\"'”“’»)]›")
_DROPPED: Final = {ord("ё"): "е", ord("ـ"): None} | {
    code: None for span in ((0x064B, 0x0653), (0x0670, 0x0671)) for code in range(*span)
}
_HYPHENS: Final = frozenset("-‐‑'’")
_DAY_DIGITS: Final = 2
_DOTTED_ORDINALS: Final = frozenset({"de", "pl", "tr"})  # `am 6. Mai`
TOKENS_A_SENTENCE: Final = 160  # longer "sentences" are tables and lists


def fold(text: str, language: str = "") -> str:
    """Return the form under which words are compared: lower case, Russian ё as е, no Arabic vowel signs."""
    if language == "tr":
        text = text.replace("İ", "i").replace("I", "ı")
    return text.lower().translate(_DROPPED)


@dataclass(slots=True, eq=False)
class Sentence:
    """One sentence of one field, as parallel lists of words; what stands on them is filled in by others."""

    field: str
    index: int
    texts: list[str]
    lows: list[str]
    starts: list[int]
    ends: list[int]
    paragraph: int = 0
    glued: frozenset[int] = frozenset()  # words that hang on the one before without a space: the 19 of COVID-19
    marks: dict[str, list[Mark]] = dataclasses.field(default_factory=dict)
    places: list[PlaceMark] = dataclasses.field(default_factory=list)
    quantities: list[Quantity] = dataclasses.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def is_question(self) -> bool:
        """The sentence ends in a question mark, quotation marks aside."""
        return any(text in "?؟" for text in self.texts[-3:])

    def of(self, *names: str) -> list[Mark]:
        """All marks of these classes, in the order of the text."""
        if len(names) == 1:
            return self.marks.get(names[0], [])
        return sorted((mark for name in names for mark in self.marks.get(name, ())), key=lambda mark: mark.start)


def split(text: str, *, field: str, language: str, abbreviations: frozenset[str]) -> Iterator[Sentence]:
    """Cut *text* into sentences; a line break always ends one."""
    index = paragraph = 0
    found = list(_TOKEN.finditer(text))
    run: list[re.Match[str]] = []
    for place, match in enumerate(found):
        word = match.group()
        if word == "\n":
            if run:
                yield _sentence(run, field, index, paragraph, language)
                index, run = index + 1, []
            paragraph += 1
            continue
        if word in _HYPHENS and _is_glued(found, place):
            continue
        run.append(match)
        if len(run) >= TOKENS_A_SENTENCE or _ends_here(found, place, run, abbreviations, language in _DOTTED_ORDINALS):
            yield _sentence(run, field, index, paragraph, language)
            index, run = index + 1, []
    if run:
        yield _sentence(run, field, index, paragraph, language)


def words(text: str, language: str = "") -> tuple[list[str], list[str]]:
    """Return the words of a short text, as written and folded; the same cutting as in articles."""
    found = list(_TOKEN.finditer(text))
    kept = [m.group() for i, m in enumerate(found) if m.group() not in _HYPHENS or not _is_glued(found, i)]
    return kept, [fold(word, language) for word in kept]


def _is_glued(found: list[re.Match[str]], place: int) -> bool:
    here = found[place]
    before = place > 0 and found[place - 1].end() == here.start() and found[place - 1].group()[-1:].isalnum()
    after = place + 1 < len(found) and found[place + 1].start() == here.end() and found[place + 1].group()[:1].isalnum()
    return before and after


def _ends_here(
    found: list[re.Match[str]], place: int, run: list[re.Match[str]], abbreviations: frozenset[str], ordinals: bool
) -> bool:
    sign = found[place].group()
    closing = sign in _CLOSERS and len(run) > 1 and run[-2].group() in _ENDS
    if sign not in _ENDS and not closing:
        return False
    if place + 1 >= len(found):
        return True
    following = found[place + 1]
    if following.start() == found[place].end() or not _opens(following.group()[:1]):
        return False
    if sign != "." or closing or len(run) == 1:
        return True
    previous = run[-2].group()
    if (len(previous) == 1 and previous.isupper()) or previous.lower() in abbreviations:
        return False
    is_day = previous.isdigit() and len(previous) <= _DAY_DIGITS and run[-2].end() == found[place].start()
    return not (ordinals and is_day and following.group()[:1].isalpha())


def _opens(letter: str) -> bool:
    """Tell whether a sentence may begin with it; Arabic has no capitals."""
    return letter.isupper() or letter.isdigit() or letter in "\"'„“«»‹(¿¡–—" or "\u0600" <= letter <= "\u06ff"


def _sentence(run: list[re.Match[str]], field_: str, index: int, paragraph: int, language: str) -> Sentence:
    texts = [match.group() for match in run]
    return Sentence(
        field=field_,
        index=index,
        texts=texts,
        lows=[fold(text, language) for text in texts],
        starts=[match.start() for match in run],
        ends=[match.end() for match in run],
        paragraph=paragraph,
        glued=frozenset(
            i
            for i in range(1, len(run))
            if run[i].start() - run[i - 1].end() <= 1 and not run[i].string[run[i - 1].end() : run[i].start()].isspace()
        ),
    )
