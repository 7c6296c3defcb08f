"""Whether a statement is asserted at all: negated, feared, denied, long ago, a film … in the manner of ConText.

A cue of a scope reaches forward or backward a few words, over its clause, its sentence, the sentences around or the
document. Terminators (but, sondern, а) and clause borders end the first two; `pseudo` phrases hide cues inside them.
Source: Harkema et al., ConText, J. Biomed. Inform. 42(5), 2009.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detectors.dates import is_past
from detectors.lexicon import SCOPE
from detectors.marks import Mark
from detectors.quantities import YEARS
from detectors.tokens import Sentence

if TYPE_CHECKING:
    from detectors.document import Document

WORDS_AHEAD: Final = 9
OPENING_WORDS: Final = 6
MONTH_REACH: Final = 12
MONTH_OPENS: Final = 2
_YEAR_DIGITS: Final = 4
# `the attack that killed twelve`: whoever says `the` takes it for known. At the top it may all the same be the news.
RECALLED: Final = "recalled"
NEGATED: Final = "negated"
RECALLED_FROM: Final = 3  # sentences, the title among them
# `not ruled out` holds a `ruled out` and a `not` that mean nothing by themselves.
LIFTS: Final = {"open_option": ("ruled_out", "negated", "rejected", "denied")}
_BORDERS: Final = frozenset(",;:!?()–—")
_BREAKS: Final = frozenset(";؛")  # headlines join two statements with it
_HARD_BORDERS: Final = frozenset(";!?()")


@dataclass(frozen=True, slots=True, eq=False)
class Cue:
    """The words that put a statement into a scope."""

    scope: str
    sentence: Sentence
    mark: Mark | None


def scopes_of(document: Document, sentence: Sentence, points: list[int]) -> dict[str, Cue]:
    """Every scope that covers one of the words *points* of *sentence*, with its cue."""
    found: dict[str, Cue] = {}
    _from_here(sentence, points, found)
    _from_elsewhere(document, sentence, found)
    if sentence.is_question:
        found.setdefault("question", Cue("question", sentence, None))
    if _is_bracketed(sentence, points):
        found.setdefault(RECALLED, Cue(RECALLED, sentence, None))
    if RECALLED in found and document.position(sentence) < RECALLED_FROM:
        del found[RECALLED]
    for lifting, lifted in LIFTS.items():
        if lifting in found:
            for scope in lifted:
                found.pop(scope, None)
    if _past_year(document, sentence, points) is not None or _is_past_month(document, sentence, points):
        found.setdefault("background", Cue("background", sentence, None))
    return found


def _from_here(sentence: Sentence, points: list[int], found: dict[str, Cue]) -> None:
    for name, marks in sentence.marks.items():
        if not name.startswith(SCOPE):
            continue
        scope, reach = name.removeprefix(SCOPE).split(":")
        cue = next(
            (mark for mark in marks if any(_reaches(sentence, mark, scope, reach, point) for point in points)), None
        )
        if cue is not None:
            found.setdefault(scope, Cue(scope, sentence, cue))


def _from_elsewhere(document: Document, sentence: Sentence, found: dict[str, Cue]) -> None:
    here = document.position(sentence)
    cues = document.cues()
    told = [(at, scope, mark) for at in (here - 1, here + 1) for scope, mark in cues.near.get(at, {}).items()]
    told += [(at, scope, mark) for scope, (at, mark) in cues.opening.items() if at != here]
    for at, scope, mark in sorted(told, key=_by_position):
        found.setdefault(scope, Cue(scope, document.sentences[at], mark))


def _by_position(told: tuple[int, str, Mark]) -> int:
    return told[0]


def _reaches(sentence: Sentence, mark: Mark, scope: str, reach: str, point: int) -> bool:
    if reach == "sentence":
        low, high = sorted((mark.start, point))
        # `at first no dead, but in the evening one man had died`
        ended = scope == NEGATED and any(low < but.start < high for but in sentence.of("terminators"))
        return not ended and not any(text in _BREAKS for text in sentence.texts[low:high])
    if reach in {"around", "document"}:
        return True
    if reach == "clause":
        low, high = _told_of(sentence, mark.start)
        return low <= point < high or (mark.tail is not None and low <= point <= mark.tail[1])
    if mark.start <= point < mark.end:
        return True
    terminators = {terminator.start for terminator in sentence.of("terminators")}
    if reach == "forward":
        span = range(mark.end, point)
        return mark.end <= point <= mark.end + WORDS_AHEAD and not _cut(sentence, span, terminators)
    span = range(point + 1, mark.start)
    return point < mark.start <= point + 1 + WORDS_AHEAD and not _cut(sentence, span, terminators)


def _cut(sentence: Sentence, span: range, terminators: set[int]) -> bool:
    return any(sentence.texts[i] in _BORDERS or i in terminators for i in span)


def clause(sentence: Sentence, at: int) -> tuple[int, int]:
    """Return the first and the last word, exclusive, between the commas around word *at*."""
    low = at
    while low > 0 and sentence.texts[low - 1] not in _BORDERS:
        low -= 1
    high = at
    while high < len(sentence) and sentence.texts[high] not in _BORDERS:
        high += 1
    return low, high


def _told_of(sentence: Sentence, at: int) -> tuple[int, int]:
    """Return the clause around word *at*, and with a short opening what follows: `Ten years ago, 12 people …`."""
    low, high = clause(sentence, at)
    if low == 0 and high <= OPENING_WORDS and high < len(sentence) and sentence.texts[high] == ",":
        high = clause(sentence, high + 1)[1]
    return low, high


def _past_year(document: Document, sentence: Sentence, points: list[int]) -> int | None:
    """Return where a year before that of publication stands in the clause; it makes the clause background."""
    years = [
        i
        for i, text in enumerate(sentence.texts)
        if text.isdigit() and len(text) == _YEAR_DIGITS and int(text) in YEARS
    ]
    for at in years:
        if document.published is not None and int(sentence.texts[at]) >= document.published.year:
            continue
        if any(q.start <= at < q.end for q in sentence.quantities) or _is_round_count(sentence, at):
            continue
        if not sentence.of("now") and any(point > at for point in points):
            return at  # `where in 1987 a ferry sank, killing …`
        low, high = clause(sentence, at)
        if any(low <= point < high for point in points) or any(abs(point - at) <= WORDS_AHEAD for point in points):
            return at
    return None


def _is_past_month(document: Document, sentence: Sentence, points: list[int]) -> bool:
    """`Im Juni hat ein Mann zwei Menschen getötet`, in an article of September."""
    if document.published is None:
        return False
    for month in sentence.of("month"):
        low, high = _told_of(sentence, month.start)
        near = any(low <= point < high and abs(point - month.start) <= MONTH_REACH for point in points)
        opens = month.start <= MONTH_OPENS  # `Im Juni hat …`: what follows, however long it is
        if (near or opens) and is_past(sentence, month, document.published.date()):
            return True
    return False


def _is_round_count(sentence: Sentence, at: int) -> bool:
    """`2000 rassemblements` is no year: what is counted stands right behind."""
    return sentence.texts[at].endswith("00") and any(mark.start == at + 1 for mark in sentence.of("things", "people"))


def _is_bracketed(sentence: Sentence, points: list[int]) -> bool:
    """`les attentats de novembre (130 morts et 350 blessés)`: what a bracket adds."""
    for at in points:
        opened = [i for i in range(at) if sentence.texts[i] == "("]
        if not opened or ")" in sentence.texts[opened[-1] : at] or ")" not in sentence.texts[at:]:
            return False
    return True


def hard_border_between(sentence: Sentence, first: int, second: int) -> bool:
    """Tell whether a semicolon, bracket or the like stands between two words."""
    low, high = sorted((first, second))
    return any(text in _HARD_BORDERS for text in sentence.texts[low:high])
