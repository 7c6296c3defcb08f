"""One reading at a time: to which incidents it belongs, what they then know, and what of it is worth telling."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from tocsin import metrics
from tocsin.records import Alert, Detection, IncidentState, SourceRef, Step, digest
from tocsin.store.incidents import AlertRow, IncidentRow, Judged
from tocsin.stream.codec import encode
from tocsin.stream.port import ALERTS

from .claims import CopyOf, hear
from .facts import known_of
from .grouping import Group, groups_of
from .life import set_life_timer
from .likeness import bands_of, words_of
from .matching import best, face_of
from .placenames import place_key, place_keys
from .state import PLACES_LIMIT, Face, Incident, face_from_bytes, from_bytes, to_bytes
from .steps import LOUDEST_FIRST, changes
from .telling import alert_of, severity_now

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tocsin.records import Mention, Reading
    from tocsin.store.tx import Tx

    from .settings import IncidentsSettings

log = structlog.get_logger()

ABSURD_BEFORE: Final = datetime(1990, 1, 1, tzinfo=UTC)  # older "publications" are a newsroom's broken clock
NOTHING_NEW, TOO_OLD, OPENS_NOTHING = "nothing new", "too old to open an incident", "denies what nobody claimed"


@dataclass(slots=True)
class _Part:
    """What a reading adds to one incident; `before` is None for one that it founds."""

    before: Incident | None
    incident: Incident
    detections: list[Detection] = field(default_factory=list)


def absorb(tx: Tx, reading: Reading, *, settings: IncidentsSettings) -> tuple[Alert, ...]:
    """Take in one reading: update, store, set timers, and emit what is worth telling. Twice is as good as once."""
    judged = tx.incidents.judged(reading.article)
    seen_at = reading.mention.seen_at
    if judged is not None and (reading.id in judged.readings or _is_overtaken(reading, judged)):
        return ()
    if judged is not None and seen_at < judged.seen_at:
        # What follows was said after what it follows upon.
        seen_at = judged.seen_at + timedelta(microseconds=1)
        reading = replace(reading, mention=replace(reading.mention, seen_at=seen_at))
    if judged is None and not reading.detections:
        return ()
    words = words_of(reading.mention.title, reading.mention.lead)
    parts, verdict = _place(tx, reading, words, settings=settings, known_article=judged is not None)
    alerts: list[Alert] = []
    for part in parts:
        alerts += _update(tx, part, reading, words, settings=settings)
    if alerts:
        verdict = "; ".join(f"{alert.step} {alert.id[:12]}" for alert in alerts)
    tx.incidents.note_judged(
        Judged(
            article=reading.article,
            revision=reading.revision,
            readings=(reading.id, *(judged.readings if judged is not None else ())),
            seen_at=seen_at,
            verdict=verdict,
        )
    )
    return tuple(alerts)


def _is_overtaken(reading: Reading, judged: Judged) -> bool:
    """Whether we know a later revision of the article.

    What follows upon the revision that we know is news whatever its time says: the clock of the worker that saw it may
    have been set back, or go behind another worker's. Only where the chain is torn do times decide.
    """
    if judged.revision in (reading.revision, reading.supersedes):
        return False
    return reading.mention.seen_at <= judged.seen_at


def published(mention: Mention) -> datetime:
    """Return when the article says it was published, or when we saw it where that is missing, absurd or to come."""
    claimed = mention.published_at
    if claimed is None or claimed < ABSURD_BEFORE:
        return mention.seen_at
    return min(claimed, mention.seen_at)


def told_at(reading: Reading) -> datetime:
    """Return when the statements were made; a rewritten article keeps its date but speaks anew."""
    return reading.mention.seen_at if reading.supersedes is not None else published(reading.mention)


def _place(
    tx: Tx, reading: Reading, words: frozenset[int], *, settings: IncidentsSettings, known_article: bool
) -> tuple[list[_Part], str]:
    """Find or found the incident of each group of detections; the article's earlier ones come along."""
    parts: dict[str, _Part] = {}
    for name in tx.incidents.of_article(reading.article) if known_article else ():
        parts[name] = _known_part(tx, name)
    own = frozenset(parts)
    verdict = NOTHING_NEW
    has_toll: set[str] = set()
    for group in groups_of(reading, words):
        is_toll = any(d.type == "deaths" and not d.denied for d in group.detections)
        candidates = _candidates(tx, group, parts, at=reading.mention.seen_at, settings=settings)
        free = [face for face in candidates if not (is_toll and face.id in has_toll)]
        found = best(group, free, own=own, at=reading.mention.seen_at, close_after=settings.close_after)
        if found is not None:
            part = parts.get(found[0].id) or _known_part(tx, found[0].id)
        elif all(d.denied for d in group.detections):
            verdict = OPENS_NOTHING
            continue
        elif reading.mention.seen_at - published(reading.mention) > settings.recency:
            verdict = TOO_OLD
            continue
        else:
            part = _Part(None, _found(tx, reading, group))
        parts[part.incident.id] = part
        part.detections += group.detections
        part.incident = _widened(part.incident, group)
        if is_toll:
            has_toll.add(part.incident.id)
    return list(parts.values()), verdict


def _candidates(
    tx: Tx, group: Group, parts: dict[str, _Part], *, at: datetime, settings: IncidentsSettings
) -> list[Face]:
    since = at - settings.remember
    raw: dict[str, bytes] = {}
    if group.is_sure_of_country and group.country is not None:
        raw |= tx.incidents.faces_by_country(group.country, since=since)
    raw |= tx.incidents.faces_by_key(_keys(group), since=since)
    known = [face_of(part.incident) for part in parts.values()]
    return known + [face_from_bytes(face) for name, face in raw.items() if name not in parts]


def _keys(group: Group) -> list[str]:
    places = [f"p:{group.country}:{place}" for place in sorted(group.places)] if group.is_sure_of_country else []
    return places + list(bands_of(group.words))


def _known_part(tx: Tx, name: str) -> _Part:
    incident = from_bytes(tx.incidents.body(name))
    return _Part(incident, incident)


def _found(tx: Tx, reading: Reading, group: Group) -> Incident:
    """Open an incident; its id is that of its founding article and type."""
    founding = group.detections[0].type
    name, further = digest("incident", reading.article, founding), 1
    while tx.incidents.get(name) is not None:
        further += 1
        name = digest("incident", reading.article, founding, str(further))
    seen_at = reading.mention.seen_at
    incident = Incident(
        id=name, country=group.country, country_guessed=group.guessed, opened_at=seen_at, last_seen=seen_at
    )
    # Its id must be taken before another group of the same article looks for one.
    _put(tx, incident)
    return incident


def _widened(incident: Incident, group: Group) -> Incident:
    """Add what a group says of place and cause; a country that a text names replaces a guessed or missing one."""
    places: dict[str, str] = {}  # under the name by which it was first called
    for place in (*incident.places, *(place for d in group.detections for place in d.places)):
        places.setdefault(place_key(place), place)
    takes_country = group.is_sure_of_country and (incident.country is None or incident.country_guessed)
    return replace(
        incident,
        places=tuple(places.values())[:PLACES_LIMIT],
        happening=incident.happening or group.happening,
        country=group.country if takes_country else incident.country,
        country_guessed=incident.country_guessed and not takes_country,
    )


def _update(
    tx: Tx, part: _Part, reading: Reading, words: frozenset[int], *, settings: IncidentsSettings
) -> list[Alert]:
    """Let one incident hear its part of the reading; store it, and emit what that is worth."""
    before, mention = part.before, reading.mention
    source = SourceRef(
        owner=mention.source.owner,
        tier=mention.source.tier,
        url=mention.url,
        title=mention.title,
        language=mention.language,
        published_at=mention.published_at,
        seen_at=mention.seen_at,
    )
    copy = CopyOf(source=source, words=words, article=reading.article)
    incident = hear(part.incident, part.detections, reading=reading, heard=copy, told_at=told_at(reading))
    was = before.known if before is not None else ()
    known = known_of(incident.claims, settle=settings.settle)
    worth = changes(was, known)
    if before is not None and not worth and mention.seen_at - before.last_seen > settings.close_after:
        return []  # an old story told again neither re-opens nor prolongs it
    is_over = bool(known) and all(one.withdrawn for one in known)
    incident = replace(
        incident,
        known=known,
        last_seen=max(incident.last_seen, mention.seen_at),
        state=IncidentState.CANCELLED if is_over else IncidentState.OPEN,
    )
    severity = severity_now(incident, settings)
    gravest = max(severity, incident.severity, key=lambda one: one.rank)
    incident = replace(incident, severity=severity)
    late = mention.backfill or mention.seen_at - told_at(reading) > settings.ring_within
    alerts = []
    for changed in _apart(worth):
        step = min(changed.values(), key=LOUDEST_FIRST.index)
        is_correction = step is Step.CORRECTION
        incident = replace(incident, revision=incident.revision + 1)
        alert = alert_of(
            incident,
            step=step,
            changed=changed,
            was=was,
            severity=gravest if is_correction else severity,
            source=source,
            seen_at=mention.seen_at,
            late=mention.backfill if is_correction else late,
            cited=next((d.volume.sources for d in part.detections if d.volume is not None), ()),
        )
        incident = replace(incident, headline=alert.headline)
        _tell(tx, alert, reading.article)
        alerts.append(alert)
    _put(tx, incident)
    tx.incidents.place_article(reading.article, incident.id)
    if part.detections:
        tx.incidents.add_keys(incident.id, _new_keys(before, incident, words))
    if before is None or before.state is not IncidentState.OPEN:
        set_life_timer(tx, incident, settings=settings)
    return alerts


def _apart(worth: Mapping[str, Step]) -> list[dict[str, Step]]:
    """Tell what was wrong before what is new, each in an alert of its own."""
    wrong: dict[str, Step] = {kind: step for kind, step in worth.items() if step is Step.CORRECTION}
    new: dict[str, Step] = {kind: step for kind, step in worth.items() if step is not Step.CORRECTION}
    return [changed for changed in (wrong, new) if changed]


def _new_keys(before: Incident | None, incident: Incident, words: frozenset[int]) -> list[str]:
    old = place_keys(before.places, before.country) if before is not None else frozenset()
    places = place_keys(incident.places, incident.country) - old
    return [f"p:{incident.country}:{place}" for place in sorted(places)] + list(bands_of(words))


def _tell(tx: Tx, alert: Alert, article: str) -> None:
    body = encode(alert)
    tx.incidents.add_alert(
        AlertRow(
            id=alert.id,
            incident=alert.incident,
            revision=alert.revision,
            step=alert.step.value,
            severity=alert.severity,
            seen_at=alert.seen_at,
            late=alert.late,
            article=article,
            headline=alert.headline,
            body=body,
        )
    )
    if tx.emit(ALERTS, key=alert.incident, record_id=alert.id, value=body):
        tx.after(partial(_count, alert))


def _count(alert: Alert) -> None:
    step = alert.step.value
    metrics.ALERTS.labels(step=step).inc()
    log.info("alert rung", alert=alert.id[:12], step=step, headline=alert.headline, late=alert.late)


def _put(tx: Tx, incident: Incident) -> None:
    tx.incidents.put(_row(incident), body=to_bytes(incident), face=to_bytes(face_of(incident)))


def _row(incident: Incident) -> IncidentRow:
    return IncidentRow(
        id=incident.id,
        state=incident.state,
        country=incident.country,
        happening=incident.happening,
        severity=incident.severity,
        opened_at=incident.opened_at,
        last_seen=incident.last_seen,
        revision=incident.revision,
        articles=incident.articles,
        headline=incident.headline,
    )
