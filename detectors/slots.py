"""Any type that slot patterns alone define: the cheapest one of a sentence is a candidate, its slots the attributes.

A `count` slot is the number of the event, a `place` slot its country; without one the country is looked for around.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detectors.candidates import Candidate, judge
from detectors.marks import PlaceMark, Quantity
from detectors.patterns import OTHERS, Match, all_matches, required
from detectors.quantities import is_year
from tocsin.records import Certainty, Detection, Toll

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from detectors.document import Document
    from detectors.rules import Rule
    from detectors.tokens import Sentence


def find(document: Document, rule: Rule) -> Iterator[Candidate]:
    """One candidate a sentence: where it says the same twice, it means one thing."""
    for sentence in document.sentences:
        match = _best(sentence, rule, document.language)
        if match is not None:
            yield _candidate(document, rule, sentence, match)


def least(rule: Rule, language: str) -> list[tuple[tuple[str, ...], ...]]:
    """Return the groups of classes one of each of which must stand in a sentence for `finds` to hold."""
    return required(rule.patterns, language)


def finds(sentence: Sentence, rule: Rule, language: str) -> bool:
    """Tell whether `find` has a candidate in *sentence*."""
    return _best(sentence, rule, language) is not None


def _best(sentence: Sentence, rule: Rule, language: str) -> Match | None:
    """Return the cheapest match; a count that something else needs less far away is not ours."""
    found = list(all_matches(rule.patterns, sentence, language))
    owners: dict[int, Match] = {}
    for match in found:
        count = match.part("count")
        if count is not None and (id(count) not in owners or match.cost < owners[id(count)].cost):
            owners[id(count)] = match
    ours = (match for match in found if match.pattern.means != OTHERS and _counts(sentence, match, owners))
    return min(ours, key=lambda match: (match.cost, match.parts[0][1].start), default=None)


def _counts(sentence: Sentence, match: Match, owners: Mapping[int, Match]) -> bool:
    count = match.part("count")
    if not isinstance(count, Quantity):
        return True
    if is_year(sentence.texts[count.start], count):
        return False
    number = count.min if count.min is not None else count.max or 0
    is_ours = owners[id(count)].pattern.means != OTHERS and count.head != "animals"
    return is_ours and count.bare > 0 and number >= match.pattern.least


def _candidate(document: Document, rule: Rule, sentence: Sentence, match: Match) -> Candidate:
    anchor = next((span for name, span in match.parts if name not in {"count", "place"}), match.parts[0][1])
    country, place, there = document.where(sentence, anchor.start)
    slot = match.part("place")
    if isinstance(slot, PlaceMark):
        country, place, there = document.resolve(slot), slot, sentence
    count = match.part("count")
    shown = [document.evidence(sentence, span.start, span.end, _proves(name)) for name, span in match.parts]
    if place is not None and there is not None:
        shown.append(document.evidence(there, place.start, place.end, "country"))
    detection = Detection(
        type=rule.settings.type,
        certainty=Certainty.CONFIRMED,
        rule=rule.settings.id,
        severity=rule.settings.severity,
        evidence=tuple(dict.fromkeys(shown)),
        country=country,
        places=document.named_places(sentence, country),
        happening=document.happening(sentence),
        toll=Toll(min=count.min, max=count.max, approx=count.approx) if isinstance(count, Quantity) else None,
    )
    points = [i for _, span in match.parts for i in (span.start, span.end - 1)]
    return judge(document, rule, detection, sentence, points, needs=match.pattern.needs)


def _proves(name: str) -> str:
    """Return what a slot is evidence of: the number and the country have names of their own."""
    return {"count": "min", "place": "country"}.get(name, name.rpartition("/")[2])
