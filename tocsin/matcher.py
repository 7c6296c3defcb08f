"""Which alerts an operator means: the one matcher behind `when:`, routes, silences and `severity:`.

All keys of one matcher must hold; in a list of matchers any one is enough (`matches_any`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tocsin.countries import UNKNOWN, country_meant, is_country
from tocsin.records import Certainty, DismissalKind, Fact, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DEATHS, FOREIGN_TROOPS, GOVERNMENT_DISMISSAL = "deaths", "foreign_troops", "government_dismissal"
BURST = "burst"  # that no rule finds: many articles on one of the others


def _known_country(code: str) -> str:
    if code == UNKNOWN or is_country(code):
        return code
    meant = country_meant(code)
    hint = f", did you mean {meant}?" if meant else "; two capital letters (ISO 3166-1), or unknown"
    raise ValueError(f"no country {code!r}{hint}")


Country = Annotated[str, AfterValidator(_known_country)]
Alliance = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_-]{1,15}$")]
EventType = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
_CLOSED = ConfigDict(frozen=True, extra="forbid")


class DeathsMatcher(BaseModel):
    """A toll: `min` is compared with what is at least known, and with the highest figure anybody claims."""

    model_config = _CLOSED

    min: Annotated[int, Field(ge=1)] | None = None
    certainty: Certainty | None = None


class TroopsMatcher(BaseModel):
    """Soldiers sent abroad, at this stage or a surer one."""

    model_config = _CLOSED

    certainty: Certainty | None = None


class DismissalMatcher(BaseModel):
    """A government's end."""

    model_config = _CLOSED

    kind: DismissalKind | None = None
    certainty: Certainty | None = None


class BurstMatcher(BaseModel):
    """An unusual volume of articles: on one of `topics`, and at least `min` of them."""

    model_config = _CLOSED

    topics: tuple[EventType, ...] | None = None
    min: Annotated[int, Field(ge=1)] | None = None


class Matcher(BaseModel):
    """What an operator asks for. `severity` and `certainty` are minimums; `countries` matches states only."""

    model_config = _CLOSED

    type: EventType | None = None
    types: tuple[EventType, ...] | None = None
    countries: tuple[Country, ...] | None = None
    alliances: tuple[Alliance, ...] | None = None
    severity: Severity | None = None
    certainty: Certainty | None = None
    deaths: DeathsMatcher | None = None
    foreign_troops: TroopsMatcher | None = None
    government_dismissal: DismissalMatcher | None = None
    burst: BurstMatcher | None = None


class Matchable(Protocol):
    """What can be matched: an `Alert`, or an incident that has no alert yet."""

    @property
    def types(self) -> Sequence[str]: ...  # noqa: D102 - the words of `Alert`
    @property
    def countries(self) -> Sequence[str]: ...  # noqa: D102 - the words of `Alert`
    @property
    def alliances(self) -> Sequence[str]: ...  # noqa: D102 - the words of `Alert`
    @property
    def severity(self) -> Severity: ...  # noqa: D102 - the words of `Alert`
    @property
    def certainty(self) -> Certainty: ...  # noqa: D102 - the words of `Alert`
    @property
    def facts(self) -> Sequence[Fact]: ...  # noqa: D102 - the words of `Alert`


def matches(alert: Matchable, matcher: Matcher) -> bool:
    """Say whether *alert* is what *matcher* asks for.

    Type, certainty and the forms of one type look at what the alert *tells* (its changed facts; all of them where
    none is marked), and one and the same fact must satisfy type and certainty. A fact counts as what it is and as
    what it was when it last rang, so that a correction reaches whomever the wrong figure reached.
    """
    told = [fact for fact in alert.facts if fact.changed] or list(alert.facts)
    return (
        (matcher.severity is None or alert.severity.rank >= matcher.severity.rank)
        and (matcher.countries is None or _in_countries(alert.countries, matcher.countries))
        and (matcher.alliances is None or not set(matcher.alliances).isdisjoint(alert.alliances))
        and _type_and_certainty(alert, told, matcher)
        and _forms(told, matcher)
    )


def matches_any(alert: Matchable, matchers: Iterable[Matcher]) -> bool:
    """Say whether one of *matchers* asks for *alert*."""
    return any(matches(alert, matcher) for matcher in matchers)


def _in_countries(have: Sequence[str], wanted: Sequence[str]) -> bool:
    if not have:
        return UNKNOWN in wanted
    return not set(wanted).isdisjoint(have)


def _type_and_certainty(alert: Matchable, told: Sequence[Fact], matcher: Matcher) -> bool:
    wanted = set(matcher.types) if matcher.types is not None else None
    if matcher.type is not None:
        wanted = {matcher.type} if wanted is None else wanted & {matcher.type}
    if not told:  # an alert without facts speaks through its summary
        fits = wanted is None or not wanted.isdisjoint(alert.types)
        return fits and (matcher.certainty is None or alert.certainty.rank >= matcher.certainty.rank)
    return any((wanted is None or fact.type in wanted) and _is_sure(fact, matcher.certainty) for fact in told)


def _forms(told: Sequence[Fact], matcher: Matcher) -> bool:
    deaths, troops, dismissal = matcher.deaths, matcher.foreign_troops, matcher.government_dismissal
    burst = matcher.burst
    return (
        (deaths is None or any(_deaths(fact, deaths) for fact in told))
        and (troops is None or any(_troops(fact, troops) for fact in told))
        and (dismissal is None or any(_dismissal(fact, dismissal) for fact in told))
        and (burst is None or any(_burst(fact, burst) for fact in told))
    )


def _is_sure(fact: Fact, wanted: Certainty | None) -> bool:
    if wanted is None:
        return True
    was = fact.was_certainty.rank if fact.was_certainty is not None else -1
    return max(fact.certainty.rank, was) >= wanted.rank


def _deaths(fact: Fact, wanted: DeathsMatcher) -> bool:
    if fact.type != DEATHS or not _is_sure(fact, wanted.certainty):
        return False
    if wanted.min is None:
        return True
    known = [toll.min for toll in (fact.toll, fact.was) if toll is not None and toll.min is not None]
    claimed = fact.claimed
    if (
        claimed is not None
        and claimed.toll.min is not None
        and (wanted.certainty is None or claimed.certainty.rank >= wanted.certainty.rank)
    ):
        known.append(claimed.toll.min)
    return bool(known) and max(known) >= wanted.min


def _troops(fact: Fact, wanted: TroopsMatcher) -> bool:
    return fact.type == FOREIGN_TROOPS and _is_sure(fact, wanted.certainty)


def _dismissal(fact: Fact, wanted: DismissalMatcher) -> bool:
    return (
        fact.type == GOVERNMENT_DISMISSAL
        and (wanted.kind is None or fact.kind is wanted.kind)
        and _is_sure(fact, wanted.certainty)
    )


def _burst(fact: Fact, wanted: BurstMatcher) -> bool:
    return (
        fact.volume is not None
        and (wanted.topics is None or fact.volume.topic in wanted.topics)
        and (wanted.min is None or fact.volume.count >= wanted.min)
    )
