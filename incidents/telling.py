"""From what is known to what is told: facts, sources, severity and headline of an alert."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tocsin.records import Alert, Certainty, Fact, Severity, Source, SourceRef, Step, digest

from .headline import headline
from .severity import Situation, severity_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from .settings import IncidentsSettings
    from .state import Incident, Known

SOURCES_LIMIT: Final = 12


def facts_of(
    known: Sequence[Known], *, was: Sequence[Known], changed: Iterable[str], country: str | None
) -> tuple[Fact, ...]:
    """Return the facts that hold, and those that this change takes back; the changed ones first."""
    old = {one.type: one for one in was if not one.withdrawn}
    new = set(changed)
    facts = [_fact(one, old.get(one.type), changed=one.type in new, country=country) for one in known]
    return tuple(sorted((f for f in facts if f.changed or not f.withdrawn), key=lambda fact: not fact.changed))


def _fact(known: Known, was: Known | None, *, changed: bool, country: str | None) -> Fact:
    return Fact(
        type=known.type,
        certainty=known.certainty,
        changed=changed,
        country=country,
        toll=known.toll,
        claimed=known.claimed,
        senders=known.senders,
        kind=known.kind,
        disputed=known.disputed,
        withdrawn=known.withdrawn,
        was=was.toll if was is not None else None,
        was_certainty=was.certainty if was is not None else None,
        attribution=known.attribution,
        quote=known.quote,
        language=known.language,
        rule=known.rule,
        volume=known.volume,
    )


def severity_now(incident: Incident, settings: IncidentsSettings) -> Severity:
    """Return how grave the incident is by what holds now."""
    facts = facts_of(incident.known, was=(), changed=(), country=incident.country)
    least = max(
        (known.severity for known in incident.known if known.severity is not None and not known.withdrawn),
        key=lambda severity: severity.rank,
        default=None,
    )
    if not facts:
        return Severity.MINOR
    situation = Situation(
        types=tuple(fact.type for fact in facts),
        countries=countries_of(incident.country, facts),
        alliances=alliances_of(facts),
        certainty=_surest(facts),
        facts=facts,
    )
    return severity_of(situation, settings.severity, least=least)


def countries_of(country: str | None, facts: Iterable[Fact]) -> tuple[str, ...]:
    """Return where it happens, then the states that send soldiers there."""
    found = [country] if country else []
    found += [sender.code for fact in facts for sender in fact.senders if sender.code and not sender.alliance]
    return tuple(dict.fromkeys(found))


def alliances_of(facts: Iterable[Fact]) -> tuple[str, ...]:
    """Return the alliances that send soldiers."""
    return tuple(dict.fromkeys(sender.code for fact in facts for sender in fact.senders if sender.alliance))


def _surest(facts: Iterable[Fact]) -> Certainty:
    return max((fact.certainty for fact in facts), key=lambda certainty: certainty.rank)


def alert_of(
    incident: Incident,
    *,
    step: Step,
    changed: Mapping[str, Step],
    was: Sequence[Known],
    severity: Severity,
    source: SourceRef,
    seen_at: datetime,
    late: bool,
    cited: tuple[SourceRef, ...] = (),
) -> Alert:
    """Return the alert that tells *changed*; `incident.revision` is already its own.

    *cited* are the articles that a burst is made of: they are its sources.
    """
    facts = facts_of(incident.known, was=was, changed=changed, country=incident.country)
    told = [fact for fact in facts if fact.changed]
    sources = cited or _sources(incident, changed, source, is_correction=step is Step.CORRECTION)
    return Alert(
        id=digest("alert", incident.id, str(incident.revision)),
        incident=incident.id,
        revision=incident.revision,
        step=step,
        severity=severity,
        certainty=_surest(told),
        types=tuple(dict.fromkeys(fact.type for fact in facts)),
        countries=countries_of(incident.country, facts),
        alliances=alliances_of(facts),
        places=incident.places,
        headline=headline(step, facts, happening=incident.happening, places=incident.places, country=incident.country),
        facts=facts,
        sources=sources,
        urls=tuple(dict.fromkeys(one.url for one in (source, *sources) if one.url)),
        seen_at=seen_at,
        late=late,
        happening=incident.happening,
    )


def _sources(
    incident: Incident, changed: Mapping[str, Step], source: SourceRef, *, is_correction: bool
) -> tuple[SourceRef, ...]:
    """Return one article of each independent owner, the weightiest first; a correction's own article leads it.

    Of the owner that rings it is the article that rings, whatever else that newsroom told before.
    """
    heard = {one.article: one.source for one in incident.heard}
    cited = [heard[a] for known in incident.known if known.type in changed for a in known.articles if a in heard]
    cited.sort(key=lambda one: -one.tier.rank)
    if is_correction or not cited:
        cited.insert(0, source)
    by_owner: dict[Source, SourceRef] = {}
    for one in cited:
        owner = Source(owner=one.owner, tier=one.tier)
        by_owner.setdefault(owner, source if owner == Source(owner=source.owner, tier=source.tier) else one)
    return tuple(by_owner.values())[:SOURCES_LIMIT]
