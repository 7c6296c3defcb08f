"""To which incident a detection belongs: by country and place, cause, figures, time and likeness of words.

A localised happening (an accident, an attack) needs a place, a figure or words in common; unrest, war or a flood in
three cities of one country is one; troops and the end of a government join what is going on in their country.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from tocsin.countries import country_name
from tocsin.matcher import DEATHS, FOREIGN_TROOPS, GOVERNMENT_DISMISSAL
from tocsin.records import Detection

from .likeness import likeness, plain
from .tolls import ROUND_OFF

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, timedelta

    from tocsin.records import Reading

    from .state import Incident

STRONG: Final = 0.55  # nearly the same text
FAIR: Final = 0.3  # the same story in other words
SLIGHT: Final = 0.12  # below it, two texts in one language share no more than any two reports of deaths
TELLING: Final = 5  # a toll of at least so many is no coincidence when it is met twice
RECENT_WORDS: Final = 8  # how many of an incident's latest articles are compared

SPREAD: Final = frozenset({"unrest", "war", "disaster", "epidemic", "politics"})
STATE_AFFAIRS: Final = frozenset({FOREIGN_TROOPS, GOVERNMENT_DISMISSAL})
_TURMOIL: Final = frozenset({"unrest", "war", "politics", None})
_AKIN: Final = frozenset(
    frozenset(pair)
    for pair in (
        ("unrest", "politics"),
        ("unrest", "war"),
        ("war", "politics"),
        ("war", "attack"),
        ("unrest", "attack"),
    )
) | {frozenset({"accident", "disaster"})}


class Relation(StrEnum):
    """How one property of a detection stands to an incident's."""

    SAME = "same"
    AKIN = "akin"
    UNKNOWN = "unknown"
    APART = "apart"


class Figures(StrEnum):
    """How a toll stands to those that an incident knows."""

    NONE = "none"
    HEARD = "heard"
    GROWN = "grown"
    FAR = "far"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The detections of one article that are about one happening."""

    detections: tuple[Detection, ...]
    country: str | None
    guessed: bool
    places: frozenset[str]
    happening: str | None
    words: tuple[int, ...]
    language: str | None

    @property
    def types(self) -> frozenset[str]:
        """Its event types."""
        return frozenset(detection.type for detection in self.detections)

    @property
    def is_sure_of_country(self) -> bool:
        """Whether a text named the country."""
        return self.country is not None and not self.guessed


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How well a group fits an incident, and why it does."""

    score: float
    why: str


def groups_of(reading: Reading, words: tuple[int, ...]) -> list[Group]:
    """Part a reading's detections by happening: by country, and each further toll in a country on its own.

    A detection that names no country goes with the others where all others are about one happening.
    """
    parted: list[list[Detection]] = []
    homeless: list[Detection] = []
    tolls_first = sorted(reading.detections, key=lambda detection: detection.type != DEATHS)
    for detection in tolls_first:
        if detection.country is None or detection.country_guessed:
            homeless.append(detection)
            continue
        own = [part for part in parted if part[0].country == detection.country and _has_room(part, detection)]
        if own:
            max(own, key=lambda part: _shares(part, detection)).append(detection)
        else:
            parted.append([detection])
    for detection in homeless:
        if len(parted) == 1 and _has_room(parted[0], detection):
            parted[0].append(detection)
        else:
            parted.append([detection])
    return [_group(part, words, reading.mention.language) for part in parted]


def _has_room(part: Sequence[Detection], detection: Detection) -> bool:
    """Say whether *detection* can be about the happening of *part*: it holds at most one toll, and one place for it."""
    return detection.type != DEATHS or detection.denied or all(other.type != DEATHS or other.denied for other in part)


def _shares(part: Sequence[Detection], detection: Detection) -> int:
    places = {place for other in part for place in other.places}
    return 2 * len(places.intersection(detection.places)) + (part[0].happening == detection.happening)


def _group(part: Sequence[Detection], words: tuple[int, ...], language: str | None) -> Group:
    first = part[0]
    return Group(
        detections=tuple(part),
        country=first.country,
        guessed=first.country_guessed,
        places=plain_places((place for detection in part for place in detection.places), first.country),
        happening=next((d.happening for d in part if d.happening is not None), None),
        words=words,
        language=language,
    )


def plain_places(places: Iterable[str], country: str | None) -> frozenset[str]:
    """Return *places* in one spelling, without the country's own name."""
    itself = plain(country_name(country)) if country else ""
    return frozenset(name for name in map(plain, places) if name != itself)


def best(
    group: Group, candidates: Iterable[Incident], *, at: datetime, close_after: timedelta
) -> tuple[Incident, Fit] | None:
    """Return the incident that *group* fits best, among equals the latest; None when it fits none."""
    fits = [
        (incident, fit) for incident in candidates if (fit := fit_of(group, incident, at=at, close_after=close_after))
    ]
    if not fits:
        return None
    return max(fits, key=lambda pair: (round(pair[1].score, 2), pair[0].last_seen, pair[0].id))


def fit_of(group: Group, incident: Incident, *, at: datetime, close_after: timedelta) -> Fit | None:
    """Say how well *group* fits *incident*; None when it does not."""
    alike, is_same_language = _likeness(group, incident)
    place, cause, figures = _place(group, incident), _cause(group, incident), _figures(group, incident)
    if alike >= STRONG and not (place is Relation.APART and figures is Figures.FAR):
        return Fit(score=3 + alike, why="nearly the same text")
    if not group.is_sure_of_country or incident.country_guessed or group.country != incident.country:
        return None
    if at - incident.last_seen > close_after:
        return _retold(group, incident, place=place, cause=cause, figures=figures, alike=alike)
    found: Fit | None = None
    if DEATHS in group.types:
        found = _deaths(
            incident, place=place, cause=cause, figures=figures, alike=alike, is_same_language=is_same_language
        )
    return found or _state_affair(group, incident, cause=cause)


def _retold(
    group: Group, incident: Incident, *, place: Relation, cause: Relation, figures: Figures, alike: float
) -> Fit | None:
    """Look whether an old story is told again; new ones open an incident of their own."""
    known = {known.type for known in incident.known}
    if cause is Relation.APART:
        return None
    if DEATHS not in group.types:
        return Fit(score=1.0, why="known affair of this state, told again") if group.types <= known else None
    if figures is Figures.HEARD and (place is Relation.SAME or alike >= FAIR):
        return Fit(score=1.0 + alike, why="known toll, told again")
    return None


def _state_affair(group: Group, incident: Incident, *, cause: Relation) -> Fit | None:
    affairs = group.types & STATE_AFFAIRS
    if not affairs:
        return None
    if any(known.type in affairs for known in incident.known):
        return Fit(score=2.0, why="the same affair of this state")
    if cause is not Relation.APART and incident.happening in _TURMOIL:
        return Fit(score=1.2, why="while there is turmoil in this country")
    return None


def _deaths(
    incident: Incident, *, place: Relation, cause: Relation, figures: Figures, alike: float, is_same_language: bool
) -> Fit | None:
    """Weigh a toll against an incident of the same country."""
    has_other_words = is_same_language and alike < SLIGHT
    is_spread = incident.happening in SPREAD and cause is Relation.SAME
    is_heard = figures is Figures.HEARD
    fits: bool
    if cause is Relation.APART:
        score, why = 1.0, "same place and toll"
        fits = is_heard and place is Relation.SAME and not has_other_words
    elif figures is Figures.NONE:  # the incident has no toll yet
        score, why = 1.2, "first deaths in this turmoil"
        fits = alike >= FAIR or (place is not Relation.APART and incident.happening in _TURMOIL)
    elif place is Relation.SAME:
        score, why = 2.0 + (cause is Relation.SAME), "same place"
        fits = is_spread or is_heard or not has_other_words
    elif is_spread:
        score, why = 1.5, "the same cause throughout the country"
        fits = True
    elif place is Relation.APART:
        score, why = 1.0, "the same story by its words or toll"
        is_telling = is_heard and _highest(incident) >= TELLING and not is_same_language
        fits = alike >= FAIR or is_telling
    elif figures is Figures.FAR:
        score, why = 1.0, "the same story by its words"
        fits = alike >= FAIR
    else:
        score, why = 1.1 + 0.5 * is_heard, "nothing speaks against it"
        fits = not has_other_words or (is_heard and cause is Relation.SAME)
    return Fit(score=score + alike, why=why) if fits else None


def _likeness(group: Group, incident: Incident) -> tuple[float, bool]:
    """Return the greatest likeness to an article of the incident, and whether any is in the group's language."""
    heard = incident.heard[-RECENT_WORDS:]
    if len(incident.heard) > RECENT_WORDS:
        heard = (incident.heard[0], *heard)
    alike = max((likeness(group.words, one.words) for one in heard), default=0.0)
    return alike, any(one.source.language == group.language for one in heard)


def _place(group: Group, incident: Incident) -> Relation:
    theirs = plain_places(incident.places, incident.country)
    if not theirs or not group.places:
        return Relation.UNKNOWN
    return Relation.SAME if theirs & group.places else Relation.APART


def _cause(group: Group, incident: Incident) -> Relation:
    ours, theirs = group.happening, incident.happening
    if ours is None or theirs is None:
        return Relation.UNKNOWN
    if ours == theirs:
        return Relation.SAME
    return Relation.AKIN if frozenset({ours, theirs}) in _AKIN else Relation.APART


def _figures(group: Group, incident: Incident) -> Figures:
    tolls = [claim for claim in incident.claims if claim.type == DEATHS and not claim.denied]
    ours = [d for d in group.detections if d.type == DEATHS]
    if not tolls or not ours:
        return Figures.NONE
    stated = {low for d in ours for low in _lows(d)}
    heard = {claim.low for claim in tolls}
    heard |= {figure.toll.min for claim in tolls for figure in claim.also if figure.toll.min is not None}
    main = ours[0].toll.min if ours[0].toll is not None and ours[0].toll.min is not None else 1
    highest = max(heard)
    if main in heard or highest in stated or any(d.denied for d in ours):
        return Figures.HEARD
    if highest * (1 - ROUND_OFF) <= main <= highest * 3 + 10:
        return Figures.GROWN
    return Figures.FAR


def _lows(detection: Detection) -> Iterable[int]:
    tolls = [detection.toll, detection.withdrawn, *(figure.toll for figure in detection.also)]
    return (toll.min for toll in tolls if toll is not None and toll.min is not None)


def _highest(incident: Incident) -> int:
    return max((claim.low for claim in incident.claims if claim.type == DEATHS), default=0)
