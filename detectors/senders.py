"""Who sends soldiers: alliances, states by name, by adjective, by capital; not whoever asks, hosts or tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detectors.placenames import ADJECTIVE, CAPITAL, CITY, COUNTRY, REGION, TOWN
from detectors.tokens import Sentence

if TYPE_CHECKING:
    from detectors.document import Document
    from detectors.marks import PlaceMark

_SEATS: Final = {"EU": "BE", "NATO": "BE", "AU": "ET"}  # whose capital then stands for the alliance
_ORIGIN_REACH: Final = 3
_BESIDE: Final = 2
_BEHIND_FORCES: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """A state or an alliance that a text names, and where."""

    code: str
    alliance: bool
    start: int
    end: int
    sentence: Sentence | None = None


def senders_of(document: Document, sentence: Sentence, target: PlaceMark | None, forces: int) -> list[Actor]:
    """Return the alliances and states of this sentence that send, in the order of the text."""
    to = document.resolve(target) if target else None
    actors = [actor for actor in _alliances(sentence) if not _is_beneficiary(sentence, actor)]
    seats = {_SEATS.get(actor.code) for actor in actors}
    origins = origins_of(sentence)
    states = [_state(document, place) for place in origins]
    askers = sentence.of("asking")
    for place in sentence.places:
        asks = bool(askers) and place.start < askers[0].start and bool(actors)
        if place in origins or asks or document.resolve(place) in {to, *(seats if place.kind == CAPITAL else ())}:
            continue
        if _may_send(sentence, place, target):
            states.append(_state(document, place))
    if not states and not actors:
        states = [
            _state(document, place)
            for place in _deciding(sentence) or _of_authorities(sentence)
            if document.resolve(place) != to
        ]
    own = _behind_forces(sentence, forces)
    if target is not None and len(states) > 1:
        behind = [a for a in states if a.start >= target.end and a.start > forces and not _is_by(sentence, a.start)]
        behind = [a for a in behind if a.start not in own]  # `la llegada de marines estadounidenses`
        states = [a for a in states if a not in behind] if len(behind) < len(states) else states
    if states:
        actors = [actor for actor in actors if not _is_bystander(sentence, actor)]
    adjectives = [a for a in states if 0 <= forces - a.end <= _ORIGIN_REACH or a.start in own]
    if adjectives and not actors and len(states) > len(adjectives):
        joined = _coordinated(sentence, states, adjectives[0])
        states = joined or adjectives
    return sorted([*actors, *states], key=lambda actor: actor.start)


def _behind_forces(sentence: Sentence, forces: int) -> set[int]:
    """Return where the adjectives stand that follow the forces: `truppe nigeriane, ghanesi e ivoriane`."""
    joints = {mark.start for mark in sentence.of("and")}
    found: list[PlaceMark] = []
    for place in sentence.places:
        if place.kind != ADJECTIVE or place.start <= forces:
            continue
        between = range(found[-1].end, place.start) if found else range(0)
        joined = len(between) in (1, _BESIDE) and all(i in joints or sentence.texts[i] == "," for i in between)
        if joined or (not found and place.start - forces <= _BEHIND_FORCES):
            found.append(place)
    return {place.start for place in found}


def _may_send(sentence: Sentence, place: PlaceMark, target: PlaceMark | None) -> bool:
    """Neither where they go or are, nor whose newspaper tells it, nor the second half of `tajik-afghan border`."""
    if place is target or (place.into and place.kind != CAPITAL):
        return place is not target and is_asked(sentence, place)
    if place.kind == REGION and any(mark.end == place.start for mark in sentence.of("genitive")):
        return False  # `to secure the Gaza Strip`, in languages with a genitive article
    if place.located and place.kind in {CAPITAL, CITY, TOWN, COUNTRY}:
        return False
    if any(0 <= mark.start - place.end <= 1 for mark in sentence.of("led")):
        return False
    half = target is not None and place.kind == ADJECTIVE and place.start == target.end
    return not half and not is_source(sentence, place)


def is_asked(sentence: Sentence, place: PlaceMark) -> bool:
    """`pidió a España tropas`: the preposition names whom one asks, not where the soldiers go."""
    if not place.into or place.kind == ADJECTIVE:
        return False
    prepositions = {mark.start for mark in sentence.of("into") if mark.end <= place.start <= mark.end + 1}
    return any(mark.end in prepositions for mark in sentence.of("asking"))


def _deciding(sentence: Sentence) -> list[PlaceMark]:
    """`Das Parlament in Nairobi`, `the Canadian government ordered …`, `el Congreso de España`: where it is decided."""
    bodies = sentence.of("deciding", "government", "head")
    seats = {mark.end for mark in bodies}
    starts = {mark.start for mark in bodies}
    owned = {mark.end for mark in sentence.of("genitive") if mark.start in seats}
    return [
        place
        for place in sentence.places
        if (place.kind == CAPITAL and place.start - 1 in seats)
        or (place.kind == ADJECTIVE and place.end in starts)
        or (place.kind == COUNTRY and place.start in owned)
    ]


def _of_authorities(sentence: Sentence) -> list[PlaceMark]:
    """`Le ministère turc enverra …`: whose office it is, where nobody else is named who might send."""
    holders = {mark.start for mark in sentence.of("authority")}
    return [
        place
        for place in sentence.places
        if place.kind == ADJECTIVE and not place.located and holders & {place.end, place.end + 1}
    ]


def _alliances(sentence: Sentence) -> list[Actor]:
    return [
        Actor(name.removeprefix("actor:"), alliance=True, start=mark.start, end=mark.end)
        for name, marks in sentence.marks.items()
        if name.startswith("actor:")
        for mark in marks
    ]


def _state(document: Document, place: PlaceMark) -> Actor:
    return Actor(document.resolve(place), alliance=False, start=place.start, end=place.end)


def origins_of(sentence: Sentence) -> list[PlaceMark]:
    """`Soldaten aus Senegal und Nigeria`: the places behind a preposition of origin, and those joined to them."""
    found: list[PlaceMark] = []
    joints = {mark.start for mark in sentence.of("and")}
    for place in sentence.places:
        prepositions = [mark for mark in sentence.of("origin") if mark.end == place.start]
        beside = any(
            0 <= mark.start - forces.end <= _ORIGIN_REACH for mark in prepositions for forces in sentence.of("forces")
        )
        joined = (
            bool(found)
            and 1 <= place.start - found[-1].end <= _BESIDE
            and all(i in joints or sentence.texts[i] == "," for i in range(found[-1].end, place.start))
        )
        if beside or joined:
            found.append(place)
    return found


def asked(sentence: Sentence, before: int) -> PlaceMark | None:
    """`Le Tchad a demandé à Paris l'envoi de soldats`: who is asked, between the asking and word *before*."""
    for asking in sentence.of("asking"):
        for mark in sentence.of("asked_of"):
            place = next((place for place in sentence.places if place.start == mark.end), None)
            if place is not None and mark.start == asking.end and place.end <= before:
                return place
    return None


def _is_by(sentence: Sentence, at: int) -> bool:
    return any(mark.end == at for mark in sentence.of("origin", "by"))


def _coordinated(sentence: Sentence, states: list[Actor], anchor: Actor) -> list[Actor]:
    """`Saudi and Emirati soldiers`: those joined by commas and `and` to the one beside the forces."""
    joints = {i for mark in sentence.of("and", "skip") for i in range(mark.start, mark.end)}  # `il Kenya e il Ruanda`
    chosen = [anchor]
    for actor in sorted(states, key=lambda item: -item.start):
        if actor.end <= chosen[-1].start and chosen[-1].start - actor.end <= _BESIDE:
            between = range(actor.end, chosen[-1].start)
            if all(i in joints or sentence.texts[i] == "," for i in between):
                chosen.append(actor)
    return chosen[::-1]


def is_source(sentence: Sentence, place: PlaceMark) -> bool:
    """Return an adjective of whoever says it: `according to Lebanese media`."""
    sources = sentence.of("media", "witness", "unnamed", "authority", "saying")
    if place.kind != ADJECTIVE:
        return any(
            0 <= place.start - mark.end <= 1 and all(text.isalnum() for text in sentence.texts[mark.end : place.start])
            for mark in sentence.of("media", "witness")
        )
    near = any(0 <= mark.start - place.end <= 1 for mark in sources)
    return near and not any(0 <= mark.start - place.end <= _BESIDE for mark in sentence.of("forces"))


def _is_beneficiary(sentence: Sentence, mark: Actor) -> bool:
    """`EU border`, `UN diplomats said`: named as a source, not as a sender."""
    sources = sentence.of("unnamed", "media", "witness")
    return any(0 <= source.start - mark.end <= 0 for source in sources)


def _is_bystander(sentence: Sentence, actor: Actor) -> bool:
    """`UN report says`, `to reinforce the UN mission`: an alliance that tells of it or is reinforced."""
    own = {mark.end for mark in sentence.of("possessive")} & {mark.start for mark in sentence.of("forces")}
    if not own and any(0 <= mark.start - actor.end <= 1 for mark in sentence.of("saying")):
        return True  # but not in `NATO said its soldiers had arrived`
    return any(0 <= actor.start - mark.end <= _BESIDE for mark in sentence.of("reinforcing"))


def told_elsewhere(document: Document, sentence: Sentence, to: str | None) -> list[Actor]:
    """Return what the sentences around tell of senders, else the home of a language that has only one."""
    if sentence.of("unnamed_states"):
        return []  # `26 states are ready to send soldiers`: none of those that the sentences around name
    at = document.position(sentence)
    for other in [*reversed(document.sentences[max(0, at - 2) : at]), *document.sentences[at + 1 : at + 2]]:
        if not other.of("forces", "sending", "sending_of") and not sentence.of("that_alliance"):
            continue
        actors = _alliances(other)
        states = [
            _state(document, place)
            for place in other.places
            if document.resolve(place) != to and not place.located and not is_source(other, place)
        ]
        if actors or states:
            return [*actors, *states]
    if document.home and document.home != to and sentence.of("authority", "own_forces"):
        return [Actor(document.home, alliance=False, start=0, end=1)]
    return []


def states_before(document: Document, sentence: Sentence, to: str | None) -> list[Actor]:
    """`Auch diese Staaten`: those that the sentence before has named."""
    at = document.position(sentence)
    if at == 0:
        return []
    other = document.sentences[at - 1]
    named = [(document.resolve(place), place) for place in other.places]
    return [
        Actor(code, alliance=False, start=place.start, end=place.end, sentence=other)
        for code, place in named
        if code != to
    ]
