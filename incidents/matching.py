"""To which incident a detection belongs: by country and place, cause, figures, time and likeness of words.

A localised happening (an accident, an attack) needs a place, a figure or words in common; unrest, war or a flood in
three cities of one country is one; troops and the end of a government join what is going on in their country.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from tocsin.matcher import BURST, DEATHS, FOREIGN_TROOPS, GOVERNMENT_DISMISSAL

from .likeness import likeness
from .placenames import place_keys
from .state import Face, Telling
from .tolls import LEAST_SHARE

if TYPE_CHECKING:
    from collections.abc import Container, Iterable
    from datetime import datetime, timedelta

    from tocsin.records import Detection

    from .grouping import Group
    from .state import Claim, Incident

STRONG: Final = 0.55  # nearly the same text
FAIR: Final = 0.3  # the same story in other words
SLIGHT: Final = 0.12  # below it, two texts in one language share no more than any two reports of deaths
TELLING: Final = 5  # a toll of at least so many is no coincidence when it is met twice
COMPARABLE: Final = 8  # texts of fewer words than this tell nothing by having none in common
RECENT: Final = 6  # how many of an incident's latest articles are compared, beside its first

OWN: Final = 5.0  # more than any other fit
CLEAR: Final = 0.1  # how much better the best of several weak fits must be

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
    NEAR = "near"
    FAR = "far"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How well a group fits an incident, and why it does."""

    score: float
    why: str
    weak: bool = False


def best(
    group: Group, candidates: Iterable[Face], *, own: Container[str] = (), at: datetime, close_after: timedelta
) -> tuple[Face, Fit] | None:
    """Return the incident that *group* fits best, among equals the latest; None when it fits none.

    *own* are the incidents in which an earlier revision of the same article was placed.
    """
    fits = []
    for incident in candidates:
        fit = fit_of(group, incident, at=at, close_after=close_after)
        if incident.id in own and (fit is not None or _may_stay(group, incident)):
            fit = Fit(score=OWN + (fit.score if fit is not None else 0), why="the same article")
        if fit is not None:
            fits.append((incident, fit))
    if not fits:
        return None
    fits.sort(key=lambda pair: (round(pair[1].score, 2), pair[0].last_seen, pair[0].id), reverse=True)
    if len(fits) > 1 and fits[0][1].weak and fits[0][1].score - fits[1][1].score < CLEAR:
        return None  # a toll of no known place could belong to either: better a further incident than a wrong toll
    return fits[0]


def _may_stay(group: Group, incident: Face) -> bool:
    return _cause(group, incident) is not Relation.APART and (
        group.country is None or incident.country is None or group.country == incident.country
    )


def fit_of(group: Group, incident: Face, *, at: datetime, close_after: timedelta) -> Fit | None:
    """Say how well *group* fits *incident*; None when it does not."""
    if BURST in group.types or BURST in incident.types:
        return None  # it is about many articles, and each burst is an incident of its own
    compared = _compare(group, incident)
    if compared.alike >= STRONG and not (compared.place is Relation.APART and compared.figures is Figures.FAR):
        return Fit(score=3 + compared.alike, why="nearly the same text")
    if not group.is_sure_of_country or incident.country_guessed or group.country != incident.country:
        return None
    if at - incident.last_seen > close_after:
        return _retold(group, incident, compared)
    found: Fit | None = None
    tolls = [detection for detection in group.detections if detection.type == DEATHS]
    if tolls and all(toll.denied for toll in tolls):
        # "Nobody died" is said of every other accident: it must be plain which one is meant.
        if compared.alike >= FAIR or (compared.place is Relation.SAME and compared.cause is Relation.SAME):
            found = Fit(score=1.0 + compared.alike, why="denied in the same place or words")
    elif tolls:
        found = _deaths(incident, compared)
    return found or _state_affair(group, incident, compared)


def _retold(group: Group, incident: Face, compared: _Compared) -> Fit | None:
    """Look whether an old story is told again; new ones open an incident of their own."""
    if compared.cause is Relation.APART:
        return None
    if DEATHS not in group.types:
        return Fit(score=1.0, why="known affair of this state, told again") if group.types <= incident.types else None
    if compared.figures is Figures.HEARD and (compared.place is Relation.SAME or compared.alike >= FAIR):
        return Fit(score=1.0 + compared.alike, why="known toll, told again")
    return None


def _state_affair(group: Group, incident: Face, compared: _Compared) -> Fit | None:
    affairs = group.types & STATE_AFFAIRS
    if not affairs:
        return None
    if affairs & incident.types:
        return Fit(score=2.0, why="the same affair of this state")
    if compared.cause is not Relation.APART and incident.happening in _TURMOIL:
        return Fit(score=1.2, why="while there is turmoil in this country")
    return None


def _deaths(incident: Face, compared: _Compared) -> Fit | None:
    """Weigh a toll against an incident of the same country."""
    place, cause, alike = compared.place, compared.cause, compared.alike
    is_heard = compared.figures is Figures.HEARD
    has_other_words = compared.is_comparable and alike < SLIGHT
    is_spread = incident.happening in SPREAD and cause is Relation.SAME
    is_weak = False
    if cause is Relation.APART:  # two languages may call one thing a clash and a collision
        score, why, is_weak = 1.0, "the same toll, of another cause", place is not Relation.SAME
        fits = is_heard and (place is Relation.SAME or (compared.is_foreign and place is Relation.UNKNOWN))
        fits = fits and not has_other_words
    elif compared.figures is Figures.NONE:  # the incident has no toll yet
        score, why = 1.2, "first deaths in this turmoil"
        fits = alike >= FAIR or (place is not Relation.APART and incident.happening in _TURMOIL)
    elif place is Relation.SAME:
        score, why = 2.0 + (cause is Relation.SAME), "same place"
        fits = is_spread or is_heard or not has_other_words
    elif is_spread:
        score, why, fits = 1.5, "the same cause throughout the country", True
    elif place is Relation.APART:
        score, why = 1.0, "the same story by its words or toll"
        fits = alike >= FAIR or (is_heard and incident.highest >= TELLING and not compared.is_comparable)
    elif compared.figures is Figures.FAR:
        score, why, fits = 1.0, "the same story by its words", alike >= FAIR
    else:
        score, why, is_weak = 1.1 + 0.5 * is_heard, "nothing speaks against it", not is_heard
        fits = not has_other_words or (is_heard and cause is Relation.SAME)
    return Fit(score=score + alike, why=why, weak=is_weak) if fits else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """A group beside an incident. A low `alike` means something only where the texts are comparable.

    `is_foreign` says that nothing was heard of the incident in the group's language.
    """

    alike: float
    is_comparable: bool
    is_foreign: bool
    place: Relation
    cause: Relation
    figures: Figures


def _compare(group: Group, incident: Face) -> _Compared:
    same_language = [told for told in incident.tellings if told.language == group.language]
    is_long = len(group.words) >= COMPARABLE and any(len(told.words) >= COMPARABLE for told in same_language)
    return _Compared(
        alike=max((likeness(group.words, told.words) for told in incident.tellings), default=0.0),
        is_comparable=is_long,
        is_foreign=not same_language,
        place=_place(group, incident),
        cause=_cause(group, incident),
        figures=_figures(group, incident),
    )


def _place(group: Group, incident: Face) -> Relation:
    if not incident.places or not group.places:
        return Relation.UNKNOWN
    return Relation.APART if incident.places.isdisjoint(group.places) else Relation.SAME


def _cause(group: Group, incident: Face) -> Relation:
    ours, theirs = group.happening, incident.happening
    if ours is None or theirs is None:
        return Relation.UNKNOWN
    if ours == theirs:
        return Relation.SAME
    return Relation.AKIN if frozenset({ours, theirs}) in _AKIN else Relation.APART


def _figures(group: Group, incident: Face) -> Figures:
    ours = [detection for detection in group.detections if detection.type == DEATHS]
    if not incident.counts or not ours:
        return Figures.NONE
    main = ours[0].toll.min if ours[0].toll is not None and ours[0].toll.min is not None else 1
    top = max(incident.counts)
    if main in incident.counts or any(top in _lows(d) for d in ours):
        return Figures.HEARD
    return Figures.NEAR if top * LEAST_SHARE <= main <= top * 3 + 10 else Figures.FAR


def _lows(detection: Detection) -> list[int]:
    tolls = [detection.toll, detection.withdrawn, *(figure.toll for figure in detection.also)]
    return [toll.min for toll in tolls if toll is not None and toll.min is not None]


def face_of(incident: Incident) -> Face:
    """Return what matching looks at."""
    tolls = [claim for claim in incident.claims if claim.type == DEATHS and not claim.denied]
    heard = incident.heard[-RECENT:]
    if len(incident.heard) > RECENT:
        heard = (incident.heard[0], *heard)
    return Face(
        id=incident.id,
        country=incident.country,
        country_guessed=incident.country_guessed,
        places=place_keys(incident.places, incident.country),
        happening=incident.happening,
        last_seen=incident.last_seen,
        types=frozenset(claim.type for claim in incident.claims if not claim.denied),
        counts=frozenset(count for claim in tolls for count in _counts(claim)),
        highest=max((claim.low for claim in tolls), default=0),
        tellings=tuple(Telling(language=one.source.language, words=one.words) for one in heard),
    )


def _counts(claim: Claim) -> Iterable[int]:
    yield claim.low
    yield from (figure.toll.min for figure in claim.also if figure.toll.min is not None)
