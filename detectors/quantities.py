"""How many: digits with any separator, number words, dozens, at least, up to, about, between, and sums.

A count is an interval. What it counts (`head`) is the first noun after it that the lexicon knows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from detectors.lexicon import Mark
    from detectors.tokens import Sentence

_GROUPS: Final = re.compile(r"[.,'’\u00a0\u202f ](?=\d{3}(?!\d))")
_WHOLE: Final = re.compile(r"\d+")
HEADS: Final = (
    "dead", "dead_many", "corpses", "injured", "missing", "people", "animals", "unit", "things", "forces", "rescued", "detained",
)  # fmt: skip
HEAD_REACH: Final = 4
RISE_REACH: Final = 4
BIGGEST: Final = 50_000_000
_OLDEST: Final = 105
_STOPS: Final = frozenset('.,;:!?()–—«»„“”"')


@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """Words `start`..`end` say a number of something; an open end is None. `article` is a mere `ein`, `a`, `un`."""

    start: int
    end: int
    min: int | None
    max: int | None
    approx: bool = False
    vague: bool = False
    article: bool = False
    bare: int = 0  # the number itself, without `more than` and the like
    head: str | None = None
    head_at: int = 0
    parts: tuple[tuple[int, int], ...] = ()

    @property
    def is_exact(self) -> bool:
        """A plain number that may be added to another."""
        return self.min == self.max and not self.approx and not self.vague

    @property
    def rank(self) -> int:
        """By which the higher of two figures is told."""
        return self.min if self.min is not None else self.max or 0


def read(sentence: Sentence) -> list[Quantity]:
    """All counts of *sentence* in order, with bounds, ranges and heads."""
    plain = _numbers(sentence)
    found: list[Quantity] = []
    skip = -1
    for place, quantity in enumerate(plain):
        if quantity.start < skip:
            continue
        joined = _range(sentence, quantity, plain[place + 1] if place + 1 < len(plain) else None)
        bounded = joined or _bounded(sentence, quantity)
        skip = bounded.end
        kept = _with_head(sentence, bounded, plain)
        if kept is not None:
            found.append(kept)
    return found


def whole(text: str) -> int | None:
    """The whole number that *text* writes in digits; None for a fraction."""
    digits = _GROUPS.sub("", text)
    return int(digits) if _WHOLE.fullmatch(digits) and len(digits) <= 9 else None


def _numbers(sentence: Sentence) -> list[Quantity]:
    at: dict[int, Mark] = {}
    for name in ("number", "approximate", "vague", "range"):
        for mark in sentence.of(name):
            if mark.start not in at or at[mark.start].end < mark.end:
                at[mark.start] = mark
    articles = {mark.start: mark for mark in sentence.of("one")}
    joints = {mark.start for mark in sentence.of("number_joint")}
    found: list[Quantity] = []
    i, size = 0, len(sentence)
    while i < size:
        here = at.get(i)
        digits = whole(sentence.texts[i]) if sentence.texts[i][0].isdigit() else None
        if here is not None and here.name != "number":
            values = here.value or (None,)
            low, high = values[0], values[-1]
            approx = here.name == "approximate"
            found.append(
                Quantity(
                    i, here.end, low, None if here.name == "vague" else high,
                    approx=approx, vague=not approx, bare=low or 0,
                )
            )  # fmt: skip
            i = here.end
        elif here is not None or digits is not None:
            end, value = _compose(sentence, i, at, joints)
            if 0 <= value <= BIGGEST:
                found.append(Quantity(i, end, value, value, bare=value))
            i = end
        elif i in articles:
            found.append(Quantity(i, articles[i].end, 1, 1, article=True, bare=1))
            i = articles[i].end
        else:
            i += 1
    return found


def _compose(sentence: Sentence, start: int, at: dict[int, Mark], joints: set[int]) -> tuple[int, int]:
    """Two thousand three hundred and one: words multiply and add as they come."""
    total = current = 0
    i = start
    seen = False
    while i < len(sentence):
        mark = at.get(i)
        digits = whole(sentence.texts[i]) if sentence.texts[i][0].isdigit() else None
        if digits is not None:
            if seen:
                break
            value, end = digits, i + 1
        elif mark is not None and mark.name == "number" and mark.value:
            value, end = mark.value[0] or 0, mark.end
        elif seen and i in joints and i + 1 in at and at[i + 1].name == "number" and sentence.texts[i - 1][0].isalpha():
            following = (at[i + 1].value or (0,))[0] or 0
            if not ((current % 100 == 0 and following < 100) or (current % 10 == 0 and following < 10)) or current < 20:
                break
            i += 1
            continue
        else:
            break
        if value >= 1000 and seen and digits is None:
            total, current = total + max(current, 1) * value, 0
        elif value == 100 and seen and 0 < current < 10:
            current *= 100
        elif not seen or (current % 1000 == 0 and value < 1000 and current >= 1000):
            if not seen and value >= 1000 and digits is None:
                total, current = value, 0
            else:
                current += value
        elif (
            (current == 0)
            or (current % 100 == 0 and value < 100)
            or (current % 10 == 0 and current % 100 >= 20 and value < 10)
        ):
            current += value
        else:
            break
        seen = True
        i = end
    return i, total + current


def _before(sentence: Sentence, name: str, at: int, reach: int = 2) -> Mark | None:
    """The mark of this class that stands right before word *at*, a word or two between."""
    best = None
    for mark in sentence.of(name):
        if mark.start < at and at - reach <= mark.end <= at and not _stop_between(sentence, mark.end, at):
            best = mark
    return best


def _stop_between(sentence: Sentence, start: int, end: int) -> bool:
    return any(text in _STOPS and text not in '„“«»"' for text in sentence.texts[start:end])


def _range(sentence: Sentence, first: Quantity, second: Quantity | None) -> Quantity | None:
    if second is None or first.vague or second.vague or first.article or second.bare <= first.bare:
        return None
    if not 1 <= second.start - first.end <= 2:
        return None
    between = _before(sentence, "between", first.start, 1)
    joint = any(mark.start == first.end and mark.end == second.start for mark in sentence.of("range_to"))
    also_joint = between and any(mark.start == first.end for mark in sentence.of("and", "range_to"))
    dashed = sentence.texts[first.end] in "-–—" and second.start == first.end + 1
    if sentence.of("rising") and (origin := _before(sentence, "since_from", first.start, 1)):
        if not between or between.start == origin.start:
            return None
    if not (joint or also_joint or dashed):
        return None
    start = between.start if between else first.start
    return Quantity(start, second.end, first.bare, second.bare, bare=second.bare)


def _bounded(sentence: Sentence, quantity: Quantity) -> Quantity:
    start, value = quantity.start, quantity.bare
    for name in ("more_than", "at_least", "up_to", "about"):
        mark = _before(sentence, name, start)
        if mark is None:
            continue
        if name == "up_to" and any(0 <= mark.start - rise.end <= RISE_REACH for rise in sentence.of("rising")):
            continue  # `возросло до 41`: a goal, not a bound
        inner = replace(quantity, start=mark.start, article=False)
        if name == "at_least":
            return replace(inner, min=value, max=None, approx=False)
        if name == "more_than":
            return replace(inner, min=value if quantity.vague else value + 1, max=None, approx=False)
        if name == "up_to":
            return replace(inner, min=None, max=value)
        return inner if quantity.vague else replace(inner, approx=True)
    for mark in sentence.of("more_after", "about_after"):
        if 0 <= mark.start - quantity.end <= 1:  # Turkish `12'den fazla`, `20 kadar`
            inner = replace(quantity, end=mark.end, article=False)
            if mark.name == "about_after":
                return inner if quantity.vague else replace(inner, approx=True)
            return replace(inner, min=value if quantity.vague else value + 1, max=None, approx=False)
    for mark in sentence.of("or_more"):
        if 0 <= mark.start - quantity.end <= 2:
            return replace(quantity, max=None, end=mark.end)
    return quantity


def _with_head(sentence: Sentence, quantity: Quantity, plain: list[Quantity]) -> Quantity | None:
    """What is counted; None for years, ages, dates, money, scores and measures."""
    texts, end = sentence.texts, quantity.end
    if any(mark.start <= quantity.start < mark.end for mark in sentence.of("no_count")) or _is_a_name(
        sentence, quantity
    ):
        return None
    stop = min(end + HEAD_REACH + (3 if quantity.article else 0), len(sentence))
    others = {other.start for other in plain if other.start >= end and not other.article}
    heads = sorted(
        ((mark.start, HEADS.index(mark.name), mark) for mark in sentence.of(*HEADS) if end <= mark.start < stop),
        key=lambda item: item[:2],
    )
    head = None
    for at in range(end, stop):
        if texts[at] in _STOPS and texts[at] not in '„“«»"':
            break
        if at in others and not quantity.article:
            break
        here = [item for item in heads if item[0] == at]
        if here:
            name = here[0][2].name
            if quantity.article and name == "unit":
                continue
            head = here[0][2]
            break
    if quantity.article and (head is None or head.name in {"unit", "things"}):
        return None
    if any(mark.start == end for mark in sentence.of("aged")) and not quantity.article:
        return replace(quantity, min=1, max=1, bare=1, article=True, head="people", head_at=end)
    named = head.name if head else None
    if named in {"unit", "things"}:
        return None
    if named is None and ((end < len(texts) and texts[end] in "%€$£:°") or _is_year(texts[quantity.start], quantity)):
        return None
    if quantity.start and texts[quantity.start - 1] in "€$£":
        return None
    return replace(quantity, head=named, head_at=head.start if head else end)


def _is_a_name(sentence: Sentence, quantity: Quantity) -> bool:
    """COVID-19, an age between commas, a span of years."""
    at, texts = quantity.start, sentence.texts
    if not texts[at][0].isdigit():
        return False
    if at in sentence.glued and texts[at - 1][-1:].isalpha():
        return True
    if quantity.min != quantity.max:
        return quantity.min is not None and quantity.max is not None and 1800 <= quantity.min < quantity.max <= 2100
    alone = at > 0 and texts[at - 1] == "," and quantity.end < len(texts) and texts[quantity.end] in ",)"
    return alone and quantity.bare <= _OLDEST


def _is_year(text: str, quantity: Quantity) -> bool:
    return 1800 <= quantity.bare <= 2100 and text.isdigit() and quantity.is_exact


def add(first: Quantity, second: Quantity) -> Quantity:
    """Disjoint exact groups in one statement: eleven demonstrators and a policeman."""
    total = first.bare + second.bare
    parts = (first.parts or ((first.start, first.end),)) + (second.parts or ((second.start, second.end),))
    return replace(first, end=second.end, min=total, max=total, bare=total, article=False, parts=parts)
