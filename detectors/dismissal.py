"""A government, its head or the head of state dismissed, resigned, toppled or voted out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from detectors.candidates import Candidate, judge
from detectors.marks import Mark
from detectors.patterns import Match, Span, all_matches, gap_cost, required
from detectors.placenames import ADJECTIVE, INSTITUTION
from tocsin.records import Certainty, Detection, DismissalKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detectors.document import Document
    from detectors.marks import PlaceMark
    from detectors.rules import Rule
    from detectors.tokens import Sentence

TARGETS: Final = ("government", "head")
_OWNER_REACH: Final = 4
_OBJECT_REACH: Final = 5
_USURPER_REACH: Final = 12
_OUTCOME_WORDS: Final = 9
_SUBJECT_REACH: Final = 6
_FEDERATIONS: Final = frozenset({"DE", "CA", "AU"})
_MASTER_REACH: Final = 3
_CLOSED: Final = (['"'], ["»"], ["”"])  # the "government" of a lodge
_STRIKING: Final = frozenset({"dismissed", "toppled", "no_confidence"})
_SPEAKER_REACH: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    match: Match
    target: Span
    verb: Span
    cost: float


def find(document: Document, rule: Rule) -> Iterator[Candidate]:
    """Return the cheapest pattern of every sentence, if its target is the nearest office-holder."""
    for sentence in document.sentences:
        readings = sorted(_readings(sentence, rule, document.language), key=lambda reading: reading.cost)
        readings = [_with_object(sentence, reading) for reading in readings]
        own = [reading for reading in readings if not _is_somebody_elses(sentence, reading)]
        for reading in own or readings:
            yield _candidate(document, rule, sentence, reading)
            break


def least(rule: Rule, language: str) -> list[tuple[tuple[str, ...], ...]]:
    """Return the groups of classes one of each of which must stand in a sentence for `finds` to hold."""
    return required(rule.patterns, language)


def finds(sentence: Sentence, rule: Rule, language: str) -> bool:
    """Tell whether `find` has a candidate in *sentence*."""
    return any(True for _ in _readings(sentence, rule, language))


def _readings(sentence: Sentence, rule: Rule, language: str) -> Iterator[_Reading]:
    if not sentence.of(*TARGETS, "no_confidence", "seizing"):
        return
    for match in all_matches(rule.patterns, sentence, language):
        target = match.part(*TARGETS) or match.parts[0][1]
        verb = next((span for name, span in match.parts if name not in TARGETS), match.parts[-1][1])
        yield _Reading(match, target, verb, match.cost)


def _with_object(sentence: Sentence, reading: _Reading) -> _Reading:
    """`entließ der Präsident die Regierung`: behind a verb that may stand before its subject, the second is meant."""
    verb, target = reading.verb, reading.target
    inverts = any(mark.start == verb.start for mark in sentence.of("inverting"))
    if not inverts or reading.match.pattern.means != "dismissed" or target.start < verb.end:
        return reading
    joints = {mark.start for mark in sentence.of("and")}
    for mark in sorted(sentence.of(*TARGETS, "office", "sport_office"), key=lambda mark: mark.start):
        between = range(target.end, mark.start)
        if mark.start >= target.end and len(between) <= _SUBJECT_REACH:
            cut = any(i in joints or not sentence.texts[i][0].isalnum() for i in between)
            return reading if cut else replace(reading, target=mark)
    return reading


def _candidate(document: Document, rule: Rule, sentence: Sentence, reading: _Reading) -> Candidate:
    country, place, there = _country(document, sentence, reading.target)
    verb = reading.verb
    evidence = [document.evidence(sentence, verb.start, verb.end, "kind")]
    tail = tail_of(verb)
    if tail:
        evidence.append(document.evidence(sentence, *tail, "kind"))
    if reading.target is not verb:
        evidence.append(document.evidence(sentence, reading.target.start, reading.target.end, "government"))
    if place is not None and there is not None:
        evidence.append(document.evidence(there, place.start, place.end, "country"))
    fell = any(mark.start == verb.start for mark in sentence.of("falling"))
    means = _means(document, sentence, reading, fell=fell)
    detection = Detection(
        type=rule.settings.type,
        certainty=Certainty.CONFIRMED,
        rule=rule.settings.id,
        severity=rule.settings.severity,
        evidence=tuple(evidence),
        country=country,
        places=document.named_places(sentence, country),
        happening="politics",
        kind=DismissalKind(means) if means in set(DismissalKind) else DismissalKind.DISMISSED,
    )
    points = [verb.start, reading.target.start]
    if tail:
        points.append(tail[0])
    seized = any(mark.start in {verb.start, reading.target.start} for mark in sentence.of("seizing"))
    # `officers seized power`: from whom goes without saying
    reason = None if seized else _wrong_person(sentence, reading) or _of_a_state(sentence, reading, country)
    if reason:
        return Candidate(detection=detection, sentence=sentence, at=verb.start, rejected=reason)
    judged = judge(document, rule, detection, sentence, points)
    has_outcome = fell or bool(sentence.of("outcome"))
    open_vote = means == "no_confidence" and not has_outcome and verb_words(verb) < _OUTCOME_WORDS
    if judged.rejected is None and open_vote and judged.detection.certainty is not Certainty.POSSIBLE:
        return replace(judged, rejected="no_outcome")
    return judged


def _means(document: Document, sentence: Sentence, reading: _Reading, *, fell: bool) -> str:
    """Return the kind, which a vote or officers beside the verb may make another than the pattern says."""
    means = reading.match.pattern.means
    votes = bool(sentence.of("no_confidence"))
    if means in {"toppled", "dismissed"} and votes and sentence.of("outcome"):
        means = "no_confidence"
    at = reading.verb.start
    if means == "dismissed" and any(abs(mark.start - at) <= _USURPER_REACH for mark in _usurpers(sentence)):
        means = "toppled"
    if means not in {"toppled", "resigned", "dismissed"}:
        return means
    voted_out = votes and (fell or bool(sentence.of("toppling")))
    return "no_confidence" if voted_out or (fell and _is_voted_beside(document, sentence)) else means


def _is_voted_beside(document: Document, sentence: Sentence) -> bool:
    """`Cai o governo. A moção de censura foi aprovada por …`: the vote is told beside the fall."""
    return any(other.of("no_confidence") and other.of("outcome") for other in document.neighbours(sentence))


def _usurpers(sentence: Sentence) -> list[Mark]:
    """Officers and rebels, and no junta that rules already: `la junte a dissous le gouvernement`."""
    ruling = {i for mark in sentence.of(*TARGETS) for i in range(mark.start, mark.end)}
    return [mark for mark in sentence.of("usurpers") if mark.start not in ruling]


def _wrong_person(sentence: Sentence, reading: _Reading) -> str | None:
    """Another office stands nearer to the verb, or the target is somebody's former or deputy office."""
    verb = reading.verb
    cost = _distance(sentence, reading.target, verb)
    # `senators ousted the president`: who stands before an active verb is not whom it strikes
    strikes = reading.target.start >= verb.end and reading.match.pattern.means in _STRIKING
    strikes = strikes and not any(0 <= verb.start - mark.end <= 1 for mark in sentence.of("passive"))
    strikes = strikes and all(text[0].isalnum() for text in sentence.texts[verb.end : reading.target.start])
    for mark in sentence.of("office", "sport_office"):
        if strikes and mark.end <= verb.start:
            continue
        inside = mark.start < reading.target.end and reading.target.start < mark.end
        if inside or _serves(sentence, mark, reading.target) or _distance(sentence, mark, verb) < cost:
            return "other_office"
    if reading.target.end <= verb.start and reading.match.pattern.means == "dismissed" and not tail_of(verb):
        after = [mark for mark in sentence.of("office", "sport_office") if 0 <= mark.start - verb.end <= _OBJECT_REACH]
        passive = any(
            mark.start == verb.start or 0 <= verb.start - mark.end <= 1 for mark in sentence.of("passive")
        )  # a participle is passive by itself
        if after and not passive:
            return "other_office"
    first = reading.target.start
    if (
        _only_tells(sentence, reading)
        or _is_in_another_clause(sentence, reading)
        or _is_a_lesser_cabinet(sentence, reading)
        or _is_somebody_elses(sentence, reading)
    ):
        return "other_office"
    owned = {
        mark.end + step
        for mark in sentence.of("genitive")
        for step in range(_OWNER_REACH)
        if mark.start == reading.target.end + (sentence.texts[reading.target.end : mark.start] in _CLOSED)
    }
    owners = sentence.of("organisation")
    if any(mark.start in owned or _is_possessor(sentence, mark, first) for mark in owners):
        return "other_office"
    for mark in sentence.of("former"):
        if mark.end <= first <= mark.end + 2 and not (mark.start < verb.end and verb.start < mark.end):
            return "former"
    return None


def _of_a_state(sentence: Sentence, reading: _Reading, country: str | None) -> str | None:
    """Leave out a German Ministerpräsident: a Land is governed, not the country."""
    regional = any(mark.start == reading.target.start for mark in sentence.of("regional_head"))
    return "other_office" if regional and country in _FEDERATIONS else None


def _is_possessor(sentence: Sentence, owner: Mark, at: int) -> bool:
    """Tell of `the university's president`: an `s` stands between the two, parted by the apostrophe."""
    return owner.end == at - 1 and sentence.lows[owner.end] == "s"


def _only_tells(sentence: Sentence, reading: _Reading) -> bool:
    """`Yermak has resigned, President Zelensky said`: behind a comma, whoever says it."""
    verb, target = reading.verb, reading.target
    if target.start < verb.end or not any(not text[0].isalnum() for text in sentence.texts[verb.end : target.start]):
        return False
    return any(
        0 <= target.start - mark.end <= 1
        or 0 <= mark.start - target.end <= _SPEAKER_REACH
        or (mark.tail is not None and mark.end <= target.start < mark.tail[0])
        for mark in sentence.of("saying")
    )


def _is_in_another_clause(sentence: Sentence, reading: _Reading) -> bool:
    """`до указа об отставке, Лужков отправил на адрес президента`: a comma and a verb part it from who follows."""
    verb, target = reading.verb, reading.target
    if target.start < verb.end or reading.match.pattern.means != "resigned":
        return False
    between = range(verb.end, target.start)
    comma = next((i for i in between if sentence.texts[i] == ","), None)
    return comma is not None and any(comma < mark.start < target.start for mark in sentence.of("outcome", "sending"))


def _is_a_lesser_cabinet(sentence: Sentence, reading: _Reading) -> bool:
    """`Governor of Kano sacks his entire cabinet`, `the club ousts its president`: theirs who stand before the verb.

    No head of a state stands there.
    """
    target, verb = reading.target, reading.verb
    if not any(0 <= target.start - mark.end <= 1 and mark.start >= verb.end for mark in sentence.of("possessive")):
        return False
    before = [mark for mark in sentence.of("office", "head", "organisation") if mark.end <= verb.start]
    return bool(before) and all(mark.name != "head" for mark in before)


def verb_words(verb: Span) -> int:
    """How many words the lexicon's entry has; a split one (`sprach … das Misstrauen aus`) tells the outcome itself."""
    return verb.words + (_OUTCOME_WORDS if verb.tail else 0) if isinstance(verb, Mark) else 1


def tail_of(verb: Span) -> tuple[int, int] | None:
    """Return the far part of a split verb."""
    return verb.tail if isinstance(verb, Mark) else None


def _serves(sentence: Sentence, office: Mark, target: Span) -> bool:
    """`Der Stabschef des britischen Premierministers`: whose man it is."""
    if not 1 <= target.start - office.end <= _MASTER_REACH:
        return False
    return any(mark.start == office.end for mark in sentence.of("genitive", "serving"))


def _is_somebody_elses(sentence: Sentence, reading: _Reading) -> bool:
    """`Nach dem Rücktritt seiner Stellvertreterin hat der Premier …`: the noun is owned by what follows it."""
    verb = reading.verb
    if any(verb.end <= mark.start and mark.end == reading.target.start for mark in sentence.of("by")):
        return True  # `limogé par le président`: who does it
    if tail_of(verb) or not any(mark.start == verb.end for mark in sentence.of("genitive", "possessive")):
        return False
    if reading.target.start >= verb.end:
        between = range(verb.end, reading.target.start)
        return any(mark.start in between for mark in sentence.of("singular", "plural"))
    return reading.target.end <= verb.start


def _distance(sentence: Sentence, span: Span, verb: Span) -> float:
    spots = [(verb.start, verb.end)]
    tail = tail_of(verb)
    if tail:
        spots.append(tail)
    costs = []
    for start, end in spots:
        if span.start >= end:
            costs.append(gap_cost(sentence, end, span.start))
        elif span.end <= start:
            costs.append(gap_cost(sentence, span.end, start))
        else:
            costs.append(0.0)
    return min(costs)


def _country(
    document: Document, sentence: Sentence, target: Span
) -> tuple[str | None, PlaceMark | None, Sentence | None]:
    """Return the adjective or name beside the office, else what the sentence and the article say."""
    beside = [
        place for place in sentence.places
        if 0 <= target.start - place.end <= _OWNER_REACH or 0 <= place.start - target.end <= _OWNER_REACH - 1
    ]  # fmt: skip
    if beside:
        best = min(
            beside,
            key=lambda p: (0 if p.kind in (ADJECTIVE, "c") else 1, abs(p.start - target.start)),
        )
        return document.resolve(best), best, sentence
    if sentence.places:
        best = min(sentence.places, key=lambda p: (p.kind == INSTITUTION, abs(p.start - target.start)))
        return document.resolve(best), best, sentence
    return document.where(sentence, target.start)
