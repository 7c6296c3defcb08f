"""Which detections of one article are about one happening."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tocsin.matcher import DEATHS
from tocsin.records import Detection

from .placenames import place_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.records import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The detections of one article that are about one happening."""

    detections: tuple[Detection, ...]
    country: str | None
    guessed: bool
    places: frozenset[str]
    happening: str | None
    words: frozenset[int]
    language: str | None

    @property
    def types(self) -> frozenset[str]:
        """Its event types."""
        return frozenset(detection.type for detection in self.detections)

    @property
    def is_sure_of_country(self) -> bool:
        """Whether a text named the country."""
        return self.country is not None and not self.guessed


def groups_of(reading: Reading, words: frozenset[int]) -> list[Group]:
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


def _group(part: Sequence[Detection], words: frozenset[int], language: str | None) -> Group:
    first = part[0]
    return Group(
        detections=tuple(part),
        country=first.country,
        guessed=first.country_guessed,
        places=place_keys(tuple(place for detection in part for place in detection.places), first.country),
        happening=next((d.happening for d in part if d.happening is not None), None),
        words=words,
        language=language,
    )
