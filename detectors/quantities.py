"""How many: digits with any separator, number words, dozens, at least, up to, about, between, and sums.

A count is an interval. What it counts (`head`) is the first noun after it that the lexicon knows.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from detectors.marks import Mark, Quantity

if TYPE_CHECKING:
    from detectors.tokens import Sentence

_GROUPS: Final = re.compile(r"[.,'’\u00a0\u202f ](?=\d{3}(?!\d))")
_WHOLE: Final = re.compile(r"\d+")
_UNITS: Final = re.compile(r"\d{3}")
_FRACTION: Final = re.compile(r"\d{1,3}[.,]\d{1,2}")
HEADS: Final = (
    "dead", "dead_many", "corpses", "injured", "missing", "people", "animals", "unit", "things", "forces",
    "rescued", "detained",
)  # fmt: skip
HEAD_REACH: Final = 4
RISE_REACH: Final = 4
BIGGEST: Final = 50_000_000
TEN, HUNDRED, THOUSAND = 10, 100, 1000
YEARS: Final = range(1800, 2101)
_DIGITS: Final = 9
_WORD_OR_TWO: Final = 2
_MEASURES: Final = frozenset({"unit", "things"})
_NOUNS: Final = frozenset({"people", "forces", "dead", "dead_many", "corpses", "animals", "unit", "things"})
_COUNTED: Final = frozenset({"people", "forces", "dead_many", "injured"})
_FATES: Final = frozenset({"injured", "missing", "rescued", "detained"})
_ARABIC_AND: Final = "و"
_ARABIC_JOINTS: Final = frozenset({"و", "ف", "ب", "ل", "ك", "ال", "الـ", "وال", "لـ", "بـ", "لل"})
_QUOTES: Final = frozenset('„“«»"')
_ARTICLE_REACH: Final = 3  # an adjective or an age may stand between `ein` and its noun
_OLDEST: Final = 105
_STOPS: Final = frozenset('.,;:!?()–—«»„“”"')


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
        if kept is not None and not (kept.article and found and found[-1].head and found[-1].head_at == kept.start):
            found.append(kept)
    return found


def whole(text: str) -> int | None:
    """Return the whole number that *text* writes in digits; None for a fraction."""
    digits = _GROUPS.sub("", text)
    return int(digits) if _WHOLE.fullmatch(digits) and len(digits) <= _DIGITS else None


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
        parts = _fraction(sentence.texts[i], at.get(i + 1)) if digits is None else None
        if parts is not None:
            found.append(Quantity(i, i + 2, parts, parts, bare=parts))
            i += 2
        elif here is not None and here.name != "number":
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
    """Two thousand three hundred and one: words multiply and add as they come, digits begin anew."""
    first, i = _value(sentence, start, at)
    is_word = start in at
    total, current = (first, 0) if is_word and first >= THOUSAND else (0, first)
    while i < len(sentence):
        if i in joints and i + 1 in at and is_word and _fits_behind(current, at[i + 1]):
            i += 1
        mark = at.get(i)
        if total and not current and mark is None and _UNITS.fullmatch(sentence.texts[i]):
            return i + 1, total + int(sentence.texts[i])  # `16 mil 134`, as newspapers of Mexico write it
        if mark is None or mark.name != "number" or not mark.value or sentence.texts[i][0].isdigit():
            break
        value = mark.value[0] or 0
        if value >= THOUSAND:
            total, current = total + max(current, 1) * value, 0
        elif value == HUNDRED and 0 < current < TEN:
            current *= HUNDRED
        elif _adds(current, value):
            current += value
        else:
            break
        i, is_word = mark.end, True
    return i, total + current


def _value(sentence: Sentence, i: int, at: dict[int, Mark]) -> tuple[int, int]:
    digits = whole(sentence.texts[i]) if sentence.texts[i][0].isdigit() else None
    if digits is not None:
        return digits, i + 1
    mark = at[i]
    return (mark.value[0] or 0 if mark.value else 0), mark.end


def _fraction(text: str, unit: Mark | None) -> int | None:
    """Return what `2,7 millones` are."""
    if unit is None or unit.name != "number" or not unit.value or (unit.value[0] or 0) < THOUSAND:
        return None
    if _FRACTION.fullmatch(text) is None:
        return None
    value = round(float(text.replace(",", ".")) * (unit.value[0] or 0))
    return value if value <= BIGGEST else None


def _adds(current: int, value: int) -> bool:
    """`hundred` and `twenty`, `twenty` and `one`, but not `two` and `three`."""
    if current == 0:
        return True
    if current % HUNDRED == 0:
        return value < HUNDRED
    return current % TEN == 0 and current % HUNDRED >= 2 * TEN and value < TEN


def _fits_behind(current: int, mark: Mark) -> bool:
    following = mark.value[0] or 0 if mark.name == "number" and mark.value else 0
    return following > 0 and current >= 2 * TEN and _adds(current, following)


def _before(sentence: Sentence, name: str, at: int, reach: int = _WORD_OR_TWO) -> Mark | None:
    """Return the mark of this class that stands right before word *at*, a word or two between."""
    best = None
    for mark in sentence.of(name):
        if mark.start < at and at - reach <= mark.end <= at and not _stop_between(sentence, mark.end, at):
            best = mark
    return best


def _stop_between(sentence: Sentence, start: int, end: int) -> bool:
    return any(text in _STOPS and text not in _QUOTES for text in sentence.texts[start:end])


def _range(sentence: Sentence, first: Quantity, second: Quantity | None) -> Quantity | None:
    """`between seven and nine`, `12 to 15`, `12–15`; but not `rose from 24 to 27`."""
    if second is None or first.vague or second.vague or first.article or second.bare <= first.bare:
        return None
    if not 1 <= second.start - first.end <= _WORD_OR_TWO:
        return None
    between = _before(sentence, "between", first.start, 1)
    origin = _before(sentence, "since_from", first.start, 1) if sentence.of("rising") else None
    if origin is not None and (between is None or between.start == origin.start):
        return None
    joint = any(mark.start == first.end and mark.end == second.start for mark in sentence.of("range_to"))
    also_joint = between and any(mark.start == first.end for mark in sentence.of("and", "range_to"))
    dashed = sentence.texts[first.end] in "-–—" and second.start == first.end + 1
    if not (joint or also_joint or dashed):
        return None
    return Quantity(between.start if between else first.start, second.end, first.bare, second.bare, bare=second.bare)


def _bounded(sentence: Sentence, quantity: Quantity) -> Quantity:
    """Widen a number by the words around it: at least, more than, up to, about, or more."""
    for name in ("more_than", "at_least", "up_to", "about"):
        mark = _before(sentence, name, quantity.start)
        if mark is not None and not (name == "up_to" and _is_a_goal(sentence, mark)):
            return _opened(replace(quantity, start=mark.start, article=False), name)
    for mark in sentence.of("more_after", "about_after"):
        if 0 <= mark.start - quantity.end <= 1:  # Turkish `12'den fazla`, `20 kadar`
            return _opened(replace(quantity, end=mark.end, article=False), mark.name.replace("more_after", "more_than"))
    for mark in sentence.of("or_more"):
        if 0 <= mark.start - quantity.end <= _WORD_OR_TWO and not _stop_between(sentence, quantity.end, mark.start):
            return replace(quantity, max=None, end=mark.end)
    return quantity


def _is_a_goal(sentence: Sentence, mark: Mark) -> bool:
    """`возросло до 41`: what a number has risen to is no bound."""
    return any(0 <= mark.start - rise.end <= RISE_REACH for rise in sentence.of("rising"))


def _opened(quantity: Quantity, bound: str) -> Quantity:
    match bound:
        case "at_least":
            return replace(quantity, max=None, approx=False, min=quantity.bare)
        case "more_than":
            return replace(quantity, max=None, approx=False, min=quantity.bare + (0 if quantity.vague else 1))
        case "up_to":
            return replace(quantity, min=None, max=quantity.bare)
        case _:
            return quantity if quantity.vague else replace(quantity, approx=True)


def _with_head(sentence: Sentence, quantity: Quantity, plain: list[Quantity]) -> Quantity | None:
    """Say what is counted; None for years, ages, dates, money, scores and measures."""
    if any(mark.start <= quantity.start < mark.end for mark in sentence.of("no_count")):
        return None
    if _is_a_name(sentence, quantity) or _is_money_or_year(sentence, quantity):
        return None
    head = _head(sentence, quantity, plain)
    named = head.name if head else None
    if quantity.article:
        return None if head is None or named in _MEASURES else replace(quantity, head=named, head_at=head.start)
    end = quantity.end
    if any(mark.start == end for mark in sentence.of("aged")):
        return replace(quantity, min=1, max=1, bare=1, article=True, head="people", head_at=end)
    adjacent = head is not None and head.start == end and named in _NOUNS
    if named in _MEASURES or (not adjacent and is_year(sentence.texts[quantity.start], quantity)):
        return None
    return replace(quantity, head=named, head_at=head.start if head else end)


def _head(sentence: Sentence, quantity: Quantity, plain: list[Quantity]) -> Mark | None:
    """Return the first noun behind a number that the lexicon knows, before any border or further number."""
    texts, end = sentence.texts, quantity.end
    stop = min(end + HEAD_REACH + (_ARTICLE_REACH if quantity.article else 0), len(sentence))
    others = {other.start for other in plain if other.start >= end and not other.article and not quantity.article}
    for mark in sentence.of("people", "dead", "corpses"):
        if mark.start == quantity.start and mark.end == end and not texts[end - 1].isdigit():
            return mark  # a word that is its own count: an Arabic dual, a woman where there are no articles
    heads: dict[int, Mark] = {}
    for mark in sentence.of(*HEADS):
        if end <= mark.start < stop:
            old = heads.get(mark.start)
            if old is None or HEADS.index(mark.name) < HEADS.index(old.name):
                heads[mark.start] = mark
    # `20 in attack`, `20 had died under …`: what follows is where, not what
    ends = {mark.start for mark in sentence.of("adverbial", "dying", "killing") if mark.start not in heads}
    for at in range(end, stop):
        if at in others or (texts[at] in _STOPS and texts[at] not in _QUOTES) or at in ends:
            return None
        if at in heads and not (quantity.article and heads[at].name == "unit"):
            another = begins_anew(sentence, at) and heads[at].name in _FATES
            return None if another else _last_of_compound(heads, heads[at])
    return None


def _last_of_compound(heads: dict[int, Mark], head: Mark) -> Mark:
    """`five nursing home residents`: what stands behind a thing is counted; behind a unit (`24 May police`) not."""
    behind = heads.get(head.end)
    return behind if behind is not None and head.name == "things" and behind.name in _COUNTED else head


def _is_money_or_year(sentence: Sentence, quantity: Quantity) -> bool:
    texts, end = sentence.texts, quantity.end
    if quantity.start and texts[quantity.start - 1] in "€$£":
        return True
    return end < len(texts) and texts[end] in "%€$£°"


def _is_a_name(sentence: Sentence, quantity: Quantity) -> bool:
    """COVID-19, the telephone number 061, an age between commas, a span of years."""
    texts, end = sentence.texts, quantity.end
    at = next((i for i in range(quantity.start, end) if texts[i][0].isdigit()), None)
    if at is None:
        return False
    if texts[at][0] == "0" and len(texts[at]) > 1:
        return True
    if any(mark.start == end and sentence.is_glued(end) for mark in sentence.of("ordinal")) or _is_a_time(sentence, at):
        return True
    if sentence.is_glued(at) and texts[at - 1][-1:].isalpha() and texts[at - 1] not in _ARABIC_JOINTS:
        return True
    if quantity.min != quantity.max:
        return quantity.min in YEARS and quantity.max in YEARS
    alone = at > 0 and texts[at - 1] == "," and quantity.end < len(texts) and texts[quantity.end] in ",)"
    return alone and quantity.bare <= _OLDEST


def _is_a_time(sentence: Sentence, at: int) -> bool:
    """`23:00`: digits that hang on both sides of a colon."""
    texts = sentence.texts
    before = sentence.is_glued(at) and texts[at - 1] == ":" and sentence.is_glued(at - 1)
    after = at + 2 < len(texts) and texts[at + 1] == ":"
    return before or (after and sentence.is_glued(at + 1) and sentence.is_glued(at + 2))


def begins_anew(sentence: Sentence, at: int) -> bool:
    """`مقتل 4 وإصابة 9`, 4 killed and-wounded 9: Arabic hangs its `and` on the word that it joins."""
    return sentence.texts[at][0] == _ARABIC_AND


def is_year(text: str, quantity: Quantity) -> bool:
    """`1981 schickte Senegal Truppen` is a year, `2000 russische Soldaten` none: counts are round."""
    return quantity.bare in YEARS and text.isdigit() and quantity.is_exact and quantity.bare % HUNDRED != 0


def add(first: Quantity, second: Quantity) -> Quantity:
    """Disjoint exact groups in one statement: eleven demonstrators and a policeman."""
    total = first.bare + second.bare
    return replace(first, end=second.end, min=total, max=total, bare=total, article=False)
