"""Soldiers of one state or alliance sent, arriving or crossing into another country: who, and where to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detectors.candidates import Candidate, judge
from detectors.marks import Mark
from detectors.patterns import matches
from detectors.places import ADJECTIVE, CAPITAL, CITY, COUNTRY, INSTITUTION, TOWN
from detectors.tokens import Sentence
from tocsin.records import Certainty, Detection, Sender

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detectors.document import Document
    from detectors.marks import PlaceMark
    from detectors.patterns import Match
    from detectors.rules import Rule

ALLIANCES: Final = frozenset({"NATO", "UN", "AU", "ECOWAS", "EU", "GCC", "CSTO", "SADC", "EAC", "G5", "MNJTF", "SCO"})
_SEATS: Final = {"EU": "BE", "NATO": "BE", "AU": "ET"}  # whose capital then stands for the alliance
_MOVES: Final = ("sending", "arriving", "sending_of", "reinforcing", "mandating")
_ORIGIN_REACH: Final = 3
_ASKER_REACH: Final = 3
_ASKER_AND_ASKED: Final = 2
_CAPITAL_COST: Final = 3


@dataclass(frozen=True, slots=True, eq=False)
class _Actor:
    code: str
    alliance: bool
    start: int
    end: int
    sentence: Sentence | None = None


def find(document: Document, rule: Rule) -> Iterator[Candidate]:
    """One candidate a sentence that tells of a movement; where none is named, it goes where the one before went."""
    before: str | None = None
    for sentence in document.sentences:
        found = [match for pattern in rule.patterns for match in matches(pattern, sentence)
                 if not pattern.languages or document.language in pattern.languages]  # fmt: skip
        if found:
            candidate = _candidate(document, rule, sentence, min(found, key=lambda match: match.cost), before)
            before = candidate.detection.country if candidate.rejected is None else before
            yield candidate


def _candidate(document: Document, rule: Rule, sentence: Sentence, match: Match, before: str | None) -> Candidate:
    move = match.part(*_MOVES) or match.parts[0][1]  # a mere option: forces, place
    forces = match.part("forces", "actor_forces") or match.parts[0][1]
    target = _target(document, sentence, move.start, forces.start)
    to = document.resolve(target) if target else None
    land = next(iter(sentence.of("that_country")), None)
    senders = _senders(document, sentence, target, forces.start)
    states = frozenset(actor.code for actor in senders if not actor.alliance)
    if to is None and land is not None:
        to = document.main_country(but=states)
    border = sentence.of("at_border")
    alliances = {actor.code for actor in senders if actor.alliance}
    if to is not None and to in states and len(states) + len(alliances) > 1:
        senders = [actor for actor in senders if actor.alliance or actor.code != to]
    if to is None and alliances and len(states) == 1 and land is None:
        named = next(actor for actor in senders if not actor.alliance)
        if not 0 <= forces.start - named.end <= _ORIGIN_REACH:
            to, senders = named.code, [actor for actor in senders if actor.alliance]
    if to is None and land is None and not alliances and _is_request(sentence, senders):
        to, senders = senders[0].code, [actor for actor in senders if actor.code != senders[0].code]
    guessed = False
    if sentence.of("these_states"):
        senders = [*senders, *_states_before(document, sentence, to)]
    if not senders:
        senders, guessed = _elsewhere(document, sentence, to), True
    if to is None:
        to = before or _place_elsewhere(document, sentence, {actor.code for actor in senders if not actor.alliance})
    evidence = [
        document.evidence(sentence, forces.start, forces.end, "troops"),
        document.evidence(sentence, move.start, move.end, "movement"),
    ]
    if target is not None:
        evidence.append(document.evidence(sentence, target.start, target.end, "to"))
    if not guessed:
        evidence += [
            document.evidence(actor.sentence or sentence, actor.start, actor.end, f"from:{actor.code}")
            for actor in senders
        ]
    detection = Detection(
        type=rule.settings.type,
        certainty=Certainty.CONFIRMED,
        rule=rule.settings.id,
        severity=rule.settings.severity,
        evidence=tuple(evidence),
        country=to,
        places=document.named_places(sentence, to),
        happening=document.happening(sentence),
        senders=tuple(
            Sender(code=code, alliance=alliance, certainty=Certainty.CONFIRMED)
            for code, alliance in dict.fromkeys((actor.code, actor.alliance) for actor in senders)
        ),
    )
    points = [move.start, forces.start]
    if isinstance(move, Mark) and move.tail:
        points.append(move.tail[0])
    judged = judge(document, rule, detection, sentence, points, needs=match.pattern.needs)
    if judged.rejected is None:
        reason = _reason_against(
            detection, has_border=bool(border), has_region=bool(sentence.of("region_only")), guessed=guessed
        )
        if reason:
            return Candidate(detection=detection, sentence=sentence, at=move.start, rejected=reason)
    return judged


def _is_request(sentence: Sentence, senders: list[_Actor]) -> bool:
    """`Haiti asks for Kenyan soldiers`: the first of two states asks, so it is where they go."""
    if len({actor.code for actor in senders}) != _ASKER_AND_ASKED:
        return False
    return any(0 <= mark.start - senders[0].end <= _ASKER_REACH for mark in sentence.of("asking"))


def _reason_against(detection: Detection, *, has_border: bool, has_region: bool, guessed: bool) -> str | None:
    states = {sender.code for sender in detection.senders if not sender.alliance}
    alliances = {sender.code for sender in detection.senders if sender.alliance}
    if not states and not alliances:
        return "no_foreign_sender"
    if detection.country is not None and detection.country in states and len(states) == 1 and not alliances:
        return "domestic"
    if has_border and not alliances:
        return "at_the_border"
    if detection.country is None and (guessed or not (alliances or has_region)):
        return "no_destination"
    return None


def _target(document: Document, sentence: Sentence, move: int, forces: int) -> PlaceMark | None:
    """Return the receiving place: after a preposition of direction and nearest to the movement; adjectives only before `capital` and the like."""
    del document
    names = [
        place
        for place in sentence.places
        if place.kind not in {ADJECTIVE, INSTITUTION} or _is_located_adjective(sentence, place)
    ]
    sources = _origins(sentence)
    names = [place for place in names if place not in sources]
    entered = [
        place for place in names
        if place.kind != INSTITUTION and any(0 <= place.start - mark.end <= 1 for mark in sentence.of("arriving"))
    ]  # fmt: skip
    into = [place for place in names if place.into and not _is_speaking(sentence, place)]
    if into:
        return min(into, key=lambda place: _farness(place, move, forces))
    if entered:
        return entered[0]
    located = [place for place in names if place.located and not _is_speaking(sentence, place)]
    if located:
        return min(located, key=lambda place: _farness(place, move, forces))
    return None


def _farness(place: PlaceMark, move: int, forces: int) -> tuple[int, bool]:
    """`In Paris schließt man … nicht aus`: a capital is often only where somebody speaks."""
    apart = min(abs(place.start - move), abs(place.start - forces))
    return apart + (_CAPITAL_COST if place.kind == CAPITAL else 0), place.start < move


def _origins(sentence: Sentence) -> list[PlaceMark]:
    """`Soldaten aus Senegal und Nigeria`: the places after a preposition of origin beside the forces, and those joined to them."""
    found: list[PlaceMark] = []
    joints = {mark.start for mark in sentence.of("and")}
    for place in sentence.places:
        prepositions = [mark for mark in sentence.of("origin") if mark.end == place.start]
        beside = any(
            0 <= mark.start - forces.end <= _ORIGIN_REACH for mark in prepositions for forces in sentence.of("forces")
        )
        joined = (
            bool(found)
            and 1 <= place.start - found[-1].end <= 2
            and all(i in joints or sentence.texts[i] == "," for i in range(found[-1].end, place.start))
        )
        if beside or joined:
            found.append(place)
    return found


def _is_located_adjective(sentence: Sentence, place: PlaceMark) -> bool:
    if place.kind != ADJECTIVE or not place.located:
        return False
    after = range(place.end, min(place.end + 3, len(sentence)))
    lands = sentence.of("territory")
    return any(mark.start in after for mark in lands) or any(0 <= place.start - mark.end <= 1 for mark in lands)


def _is_speaking(sentence: Sentence, place: PlaceMark) -> bool:
    """Tell of `the defence ministry in Bamako`: the place of whoever speaks, when another place follows."""
    soldiers = {mark.start for mark in sentence.of("forces")}
    soldiers |= {mark.start for name, marks in sentence.marks.items() if name.startswith("actor:") for mark in marks}
    holders = [m for m in sentence.of("authority", "government", "head", "unnamed") if m.start not in soldiers]
    return any(0 <= place.start - mark.end <= 2 for mark in holders) and len({p.code for p in sentence.places}) > 1


def _senders(document: Document, sentence: Sentence, target: PlaceMark | None, forces: int) -> list[_Actor]:
    to = document.resolve(target) if target else None
    actors = [
        _Actor(name.removeprefix("actor:"), alliance=True, start=mark.start, end=mark.end)
        for name, marks in sentence.marks.items()
        if name.startswith("actor:")
        for mark in marks
        if not _is_beneficiary(sentence, mark)
    ]
    seats = {_SEATS.get(actor.code) for actor in actors}
    origins = _origins(sentence)
    states = [_Actor(document.resolve(place), alliance=False, start=place.start, end=place.end) for place in origins]
    askers = sentence.of("asking")
    for place in sentence.places:
        code = document.resolve(place)
        if place in origins or (place.kind == CAPITAL and code in seats):
            continue
        if place is target or code == to or (place.into and place.kind != CAPITAL):
            continue
        if place.located and place.kind in {CAPITAL, CITY, TOWN, COUNTRY}:
            continue
        if _is_source(sentence, place) or (
            target is not None and place.kind == ADJECTIVE and place.start == target.end
        ):
            continue
        if askers and place.start < askers[0].start and actors:
            continue
        states.append(_Actor(code, alliance=False, start=place.start, end=place.end))
    if target is not None and len(states) > 1:
        behind = [a for a in states if a.start >= target.end and a.start > forces and not _is_by(sentence, a.start)]
        states = [a for a in states if a not in behind] if len(behind) < len(states) else states
    adjectives = [a for a in states if 0 <= forces - a.end <= 3]
    if adjectives and not actors and len(states) > len(adjectives):
        joined = _coordinated(sentence, states, adjectives[0])
        states = joined or adjectives
    return sorted([*actors, *states], key=lambda actor: actor.start)


def _is_by(sentence: Sentence, at: int) -> bool:
    return any(mark.end == at for mark in sentence.of("origin", "by"))


def _coordinated(sentence: Sentence, states: list[_Actor], anchor: _Actor) -> list[_Actor]:
    """`Saudi and Emirati soldiers`: those joined by commas and `and` to the one beside the forces."""
    joints = {mark.start for mark in sentence.of("and")}
    chosen = [anchor]
    for actor in sorted(states, key=lambda item: -item.start):
        if actor.end <= chosen[-1].start and chosen[-1].start - actor.end <= 2:
            between = range(actor.end, chosen[-1].start)
            if all(i in joints or sentence.texts[i] == "," for i in between):
                chosen.append(actor)
    return chosen[::-1]


def _is_source(sentence: Sentence, place: PlaceMark) -> bool:
    """Return an adjective of whoever says it: `according to Lebanese media`."""
    sources = sentence.of("media", "witness", "unnamed", "authority", "saying")
    if place.kind != ADJECTIVE:
        return any(
            0 <= place.start - mark.end <= 1 and all(text.isalnum() for text in sentence.texts[mark.end : place.start])
            for mark in sentence.of("media", "witness")
        )
    near = any(0 <= mark.start - place.end <= 1 for mark in sources)
    return near and not any(0 <= mark.start - place.end <= 2 for mark in sentence.of("forces"))


def _is_beneficiary(sentence: Sentence, mark: Mark) -> bool:
    """`EU border`, `UN diplomats said`: named as a source, not as a sender."""
    sources = sentence.of("unnamed", "media", "witness")
    return any(0 <= source.start - mark.end <= 0 for source in sources)


def _elsewhere(document: Document, sentence: Sentence, to: str | None) -> list[_Actor]:
    """No sender here: the alliance or state that the sentences around tell of, else the home of a one-country language."""
    at = document.position(sentence)
    for other in [*reversed(document.sentences[max(0, at - 2) : at]), *document.sentences[at + 1 : at + 2]]:
        if not other.of("forces", "sending", "sending_of"):
            continue
        actors = [
            _Actor(name.removeprefix("actor:"), True, mark.start, mark.end)
            for name, marks in other.marks.items() if name.startswith("actor:") for mark in marks
        ]  # fmt: skip
        states = [
            _Actor(document.resolve(p), False, p.start, p.end)
            for p in other.places if document.resolve(p) != to and not p.located and not _is_source(other, p)
        ]  # fmt: skip
        if actors or states:
            return [*actors, *states]
    if document.home and document.home != to and sentence.of("authority", "own_forces"):
        return [_Actor(document.home, False, 0, 1)]
    return []


def _states_before(document: Document, sentence: Sentence, to: str | None) -> list[_Actor]:
    """`Auch diese Staaten`: those that the sentence before has named."""
    at = document.position(sentence)
    if at == 0:
        return []
    other = document.sentences[at - 1]
    named = [(document.resolve(place), place) for place in other.places]
    return [
        _Actor(code, alliance=False, start=place.start, end=place.end, sentence=other)
        for code, place in named
        if code != to
    ]


def _place_elsewhere(document: Document, sentence: Sentence, states: set[str]) -> str | None:
    if sentence.of("region_only"):
        return None
    at = document.position(sentence)
    for other in [*reversed(document.sentences[:at]), *document.sentences[at + 1 :]]:
        for place in other.places:
            if document.resolve(place) not in states:
                return document.resolve(place)
    return None
