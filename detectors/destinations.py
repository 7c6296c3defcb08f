"""Where soldiers go: the place behind a preposition of direction, a border crossed, a land entered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detectors.placenames import ADJECTIVE, CAPITAL, CITY, INSTITUTION, TOWN
from detectors.senders import is_asked, origins_of

if TYPE_CHECKING:
    from collections import Counter

    from detectors.document import Document
    from detectors.marks import PlaceMark
    from detectors.tokens import Sentence

_CAPITAL_COST: Final = 3
_DOUBT_COST: Final = 6  # a town of a country that nothing else here speaks of
_BESIDE: Final = 2


def target_of(document: Document, sentence: Sentence, move: int, forces: int) -> PlaceMark | None:
    """Return the receiving place: behind a preposition of direction and nearest to the movement.

    An adjective counts only before `capital` and the like.
    """
    names = [
        place
        for place in sentence.places
        if place.kind not in {ADJECTIVE, INSTITUTION} or _is_located_adjective(sentence, place)
    ]
    sources = origins_of(sentence)
    known = document.countries_named()
    names = [place for place in names if place not in sources and not is_asked(sentence, place)]
    verbs = sentence.of("arriving")
    entered = [place for place in names if any(_is_object(sentence, mark.end, place.start) for mark in verbs)]
    into = [place for place in names if place.into and not _is_speaking(sentence, place)]
    if into:
        return min(into, key=lambda place: _farness(place, move, forces, known))
    if entered:
        return entered[0]
    located = [place for place in names if place.located and not _is_speaking(sentence, place)]
    if located:
        return min(located, key=lambda place: _farness(place, move, forces, known))
    return None


def _farness(place: PlaceMark, move: int, forces: int, known: Counter[str]) -> tuple[int, bool]:
    """`In Paris schließt man … nicht aus`: a capital is often only where somebody speaks."""
    apart = min(abs(place.start - move), abs(place.start - forces))
    doubtful = place.kind in {CITY, TOWN} and known[place.code] <= 1
    return apart + (_CAPITAL_COST if place.kind == CAPITAL else 0) + (
        _DOUBT_COST if doubtful else 0
    ), place.start < move


def _is_object(sentence: Sentence, verb_end: int, at: int) -> bool:
    """`entered Gambia`, `entered the Somali border town`: right behind the verb, articles aside."""
    skipped = {mark.start for mark in sentence.of("skip")}
    return verb_end <= at <= verb_end + _BESIDE and all(i in skipped for i in range(verb_end, at))


def _is_located_adjective(sentence: Sentence, place: PlaceMark) -> bool:
    before = [mark.start for mark in sentence.of("territory") if 0 <= place.start - mark.end <= 1]  # `frontiera armena`
    entered = any(
        _is_object(sentence, verb.end, at) for verb in sentence.of("arriving") for at in (place.start, *before)
    )
    behind = [mark.end for mark in sentence.of("territory") if 0 <= mark.start - place.end <= 1]
    entered = entered or any(
        verb.start in behind for verb in sentence.of("arriving")
    )  # `die syrische Grenze überquert`
    if place.kind != ADJECTIVE or not (place.located or entered):
        return False
    after = range(place.end, min(place.end + 3, len(sentence)))
    lands = sentence.of("territory")
    return any(mark.start in after for mark in lands) or any(0 <= place.start - mark.end <= 1 for mark in lands)


def _is_speaking(sentence: Sentence, place: PlaceMark) -> bool:
    """Tell of `the defence ministry in Bamako`: the place of whoever speaks, when another place follows."""
    soldiers = {mark.start for mark in sentence.of("forces")}
    soldiers |= {mark.start for name, marks in sentence.marks.items() if name.startswith("actor:") for mark in marks}
    holders = [m for m in sentence.of("authority", "government", "head", "unnamed") if m.start not in soldiers]
    return (
        any(0 <= place.start - mark.end <= _BESIDE for mark in holders) and len({p.code for p in sentence.places}) > 1
    )


def place_elsewhere(document: Document, sentence: Sentence, states: set[str]) -> str | None:
    """Return a country named before or after that sends nobody; None when only a region was meant."""
    if sentence.of("region_only"):
        return None
    return document.main_country(but=frozenset(states), by_adjective=False)
