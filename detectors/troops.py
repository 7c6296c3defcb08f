"""Soldiers of one state or alliance sent, arriving or crossing into another country: who, and where to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detectors.candidates import Candidate, judge
from detectors.destinations import place_elsewhere, target_of
from detectors.marks import Mark
from detectors.patterns import all_matches, required
from detectors.senders import Actor, asked, senders_of, states_before, told_elsewhere
from tocsin.records import Certainty, Detection, Sender

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detectors.document import Document
    from detectors.marks import PlaceMark
    from detectors.patterns import Match
    from detectors.rules import Rule
    from detectors.tokens import Sentence

_MOVES: Final = ("sending", "arriving", "sending_of", "reinforcing", "mandating")
_ADJECTIVE_REACH: Final = 3
_ASKER_REACH: Final = 3
_ASKER_AND_ASKED: Final = 2


def find(document: Document, rule: Rule) -> Iterator[Candidate]:
    """One candidate a sentence that tells of a movement; where none is named, it goes where the one before went."""
    before: str | None = None
    for sentence in document.sentences:
        found = list(all_matches(rule.patterns, sentence, document.language))
        if found:
            candidate = _candidate(document, rule, sentence, min(found, key=lambda match: match.cost), before)
            before = candidate.detection.country if candidate.rejected is None else before
            yield candidate


def least(rule: Rule, language: str) -> list[tuple[tuple[str, ...], ...]]:
    """Return the groups of classes one of each of which must stand in a sentence for `finds` to hold."""
    return required(rule.patterns, language)


def finds(sentence: Sentence, rule: Rule, language: str) -> bool:
    """Tell whether `find` has a candidate in *sentence*."""
    return any(True for _ in all_matches(rule.patterns, sentence, language))


def _candidate(document: Document, rule: Rule, sentence: Sentence, match: Match, before: str | None) -> Candidate:
    move = match.part(*_MOVES) or match.parts[0][1]  # a mere option: forces, place
    forces = match.part("forces", "actor_forces") or match.parts[0][1]
    target = target_of(document, sentence, move.start, forces.start)
    giver = asked(sentence, max(move.start, forces.start))
    target = None if target is giver else target
    senders, to = _route(document, sentence, target, forces.start, giver)
    guessed = not senders
    at_home = guessed and _moves_its_own(document, sentence, target, move.start)
    if guessed:
        senders = told_elsewhere(document, sentence, to)
    to_guessed = to is None
    nothing_named = to_guessed and guessed and before is None
    if to is None:
        to = before or place_elsewhere(document, sentence, {actor.code for actor in senders if not actor.alliance})
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
    notes = frozenset({"guessed_to"}) if to_guessed else frozenset[str]()
    judged = judge(document, rule, detection, sentence, points, notes=notes, needs=match.pattern.needs)
    if judged.rejected is None:
        reason = _reason_against(
            detection,
            has_border=bool(sentence.of("at_border")),
            has_region=bool(sentence.of("region_only")),
            guessed=guessed,
        )
        if at_home:
            reason = "domestic"
        elif nothing_named or (to_guessed and before is None and _only_reinforces(match)):
            reason = "no_destination"  # `aims to reinforce its army`
        if reason:
            return Candidate(detection=detection, sentence=sentence, at=move.start, rejected=reason)
    return judged


def _route(
    document: Document, sentence: Sentence, target: PlaceMark | None, forces: int, giver: PlaceMark | None
) -> tuple[list[Actor], str | None]:
    """Tell who sends and where to, as far as this sentence says; a state named for both is where they go."""
    to = document.resolve(target) if target else None
    if giver is not None:
        actor = Actor(document.resolve(giver), alliance=False, start=giver.start, end=giver.end)
        return [actor], to or _asker(document, sentence)
    senders = senders_of(document, sentence, target, forces)
    states = {actor.code: actor for actor in senders if not actor.alliance}
    alliances = [actor for actor in senders if actor.alliance]
    land = sentence.of("that_country")
    if to is None and land:
        to = document.main_country(but=frozenset(states))
    if to is not None and to in states and len(states) + len(alliances) > 1:
        senders = [actor for actor in senders if actor.alliance or actor.code != to]
    if to is None and not land:
        if alliances and len(states) == 1 and not _is_beside(next(iter(states.values())), forces):
            to, senders = next(iter(states)), alliances
        elif bool(alliances) != bool(states) and (asker := _asker(document, sentence)) and asker not in states:
            to = asker
        elif not alliances and _is_request(sentence, senders):
            to, senders = senders[0].code, [actor for actor in senders if actor.code != senders[0].code]
    if sentence.of("these_states"):
        senders = [*senders, *states_before(document, sentence, to)]
    return senders, to


def _moves_its_own(document: Document, sentence: Sentence, target: PlaceMark | None, move: int) -> bool:
    """`Kiew verlegt Truppen nach Pokrowsk`: whoever is named before the movement owns where it goes."""
    return target is not None and any(
        place.end <= move and not place.located and document.resolve(place) == document.resolve(target)
        for place in sentence.places
        if place is not target
    )


def _only_reinforces(match: Match) -> bool:
    return (
        match.part("reinforcing") is not None
        and match.part(*(name for name in _MOVES if name != "reinforcing")) is None
    )


def _is_beside(actor: Actor, forces: int) -> bool:
    return 0 <= forces - actor.end <= _ADJECTIVE_REACH


def _asker(document: Document, sentence: Sentence) -> str | None:
    """`Haiti's prime minister asked the UN for soldiers`: the land named before the asking."""
    for mark in sentence.of("asking"):
        for place in sentence.places:
            if place.end <= mark.start and mark.start - place.end <= _ASKER_REACH:
                return document.resolve(place)
    return None


def _is_request(sentence: Sentence, senders: list[Actor]) -> bool:
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
