"""Incidents, what was judged of each article, and every alert: the room's one file of SQL.

An incident's state is the room's own bytes; the columns beside it are what is searched and shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    Table,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)

from tocsin.errors import RecordUnreadable
from tocsin.records import IncidentState, Severity
from tocsin.store.schema import Instant, Sealed, Text, delete_some, insert_ignore, insert_ignore_all, metadata, upsert

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import ColumnElement, Connection, Row

CANDIDATES_LIMIT: Final = 48
READINGS_REMEMBERED: Final = 8

incidents = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("country", Text),
    Column("happening", Text),
    Column("severity", Integer, nullable=False),  # Severity.rank
    Column("opened_at", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("articles", Integer, nullable=False),
    Column("headline", Text, nullable=False),
    Column("face", Sealed, nullable=False),  # what matching looks at
    Column("body", Sealed, nullable=False),  # all of it
    Index("incidents_country", "country", "last_seen"),
    Index("incidents_standing", "state", "severity", "last_seen"),
)

# Where else than in its country an incident may be found: by its places and by the words of its articles.
incident_keys = Table(
    "incident_keys",
    metadata,
    Column("key", Text, primary_key=True),
    Column("incident", Text, primary_key=True),
    Index("incident_keys_incident", "incident"),
)

incident_articles = Table(
    "incident_articles",
    metadata,
    Column("article", Text, primary_key=True),
    Column("incident", Text, primary_key=True),
    Index("incident_articles_incident", "incident"),
)

judged_articles = Table(
    "judged_articles",
    metadata,
    Column("article", Text, primary_key=True),
    Column("revision", Text, nullable=False),
    Column("readings", Text, nullable=False),  # ids, the newest first, separated by spaces
    Column("seen_at", Instant, nullable=False),
    Column("verdict", Text, nullable=False),
    Index("judged_articles_seen", "seen_at"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("incident", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("step", Text, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("article", Text, nullable=False),
    Column("headline", Text, nullable=False),
    Column("body", Sealed, nullable=False),  # as on the topic: `tocsin.stream.codec.decode_alert`
    Index("alerts_seen", "seen_at", "id"),
    Index("alerts_incident", "incident", "revision"),
    Index("alerts_article", "article"),
)

# Built once: composing a statement takes longer than SQLite takes to run it.
_ALIVE_SINCE = incidents.c.last_seen >= bindparam("since")
_BODY = select(incidents.c.body).where(incidents.c.id == bindparam("name"))
_FACES_BY_COUNTRY = (
    select(incidents.c.id, incidents.c.face)
    .where(incidents.c.country == bindparam("of_country"), _ALIVE_SINCE)
    .order_by(incidents.c.last_seen.desc(), incidents.c.id)
    .limit(bindparam("most"))
)
_FACES_BY_KEY = (
    select(incidents.c.id, incidents.c.face)
    .where(
        incidents.c.id.in_(
            select(incident_keys.c.incident).where(incident_keys.c.key.in_(bindparam("keys", expanding=True)))
        ),
        _ALIVE_SINCE,
    )
    .order_by(incidents.c.last_seen.desc(), incidents.c.id)
    .limit(bindparam("most"))
)
_JUDGED = select(judged_articles).where(judged_articles.c.article == bindparam("name"))
_OF_ARTICLE = (
    select(incident_articles.c.incident)
    .where(incident_articles.c.article == bindparam("name"))
    .order_by(incident_articles.c.incident)
)

NAMES_AT_ONCE: Final = 500  # in one IN list
_SEVERITIES: Final = tuple(Severity)
_ROW: Final = tuple(column for column in incidents.c if column.name not in ("face", "body"))


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRow:
    """What the columns tell of an incident; its alerts tell the rest."""

    id: str
    state: IncidentState
    country: str | None
    happening: str | None
    severity: Severity
    opened_at: datetime
    last_seen: datetime
    revision: int
    articles: int
    headline: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One alert as it went to the stream (`body`), and which article caused it."""

    id: str
    incident: str
    revision: int
    step: str
    severity: Severity
    seen_at: datetime
    late: bool
    article: str
    headline: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What became of an article's newest reading; `readings` are the ids of the last few, the newest first."""

    article: str
    revision: str
    readings: tuple[str, ...]
    seen_at: datetime
    verdict: str


class IncidentRepository:
    """Incidents, their articles and their alerts."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def put(self, row: IncidentRow, *, body: bytes, face: bytes | None = None) -> None:
        """Keep an incident in its newest state; without a *face* it keeps the one it has."""
        values = {name: getattr(row, name) for name in IncidentRow.__slots__}
        values |= {"state": row.state.value, "severity": row.severity.rank, "body": body}
        if face is None:
            self._conn.execute(update(incidents).where(incidents.c.id == row.id).values(values))
        else:
            upsert(self._conn, incidents, values | {"face": face}, key=("id",))

    def body(self, incident: str) -> bytes:
        """Return an incident's state.

        Raises:
            RecordUnreadable: there is none of that id, or its checksum does not match.
        """
        found: bytes | None = self._conn.execute(_BODY, {"name": incident}).scalar()
        if found is None:
            raise RecordUnreadable(f"incident {incident!r} is not in the store")
        return found

    def faces_by_country(
        self, country: str, *, since: datetime, limit: int = CANDIDATES_LIMIT
    ) -> list[tuple[str, bytes]]:
        """Return the incidents of a country with news since *since*, the latest first."""
        rows = self._conn.execute(_FACES_BY_COUNTRY, {"of_country": country, "since": since, "most": limit})
        return [(row.id, row.face) for row in rows]

    def faces_by_key(
        self, keys: Sequence[str], *, since: datetime, limit: int = CANDIDATES_LIMIT
    ) -> list[tuple[str, bytes]]:
        """Return the incidents that have one of *keys* and news since *since*, the latest first."""
        if not keys:
            return []
        rows = self._conn.execute(_FACES_BY_KEY, {"keys": list(keys), "since": since, "most": limit})
        return [(row.id, row.face) for row in rows]

    def add_keys(self, incident: str, keys: Iterable[str]) -> None:
        """Let an incident be found by *keys*, too."""
        insert_ignore_all(self._conn, incident_keys, [{"key": key, "incident": incident} for key in keys])

    def forget_keys(self, incident: str) -> None:
        """Let an incident be found by id and country only."""
        self._conn.execute(delete(incident_keys).where(incident_keys.c.incident == incident))

    def judged(self, article: str) -> Judged | None:
        """Return what became of an article; None when it was never judged."""
        row = self._conn.execute(_JUDGED, {"name": article}).one_or_none()
        if row is None:
            return None
        return Judged(
            article=row.article,
            revision=row.revision,
            readings=tuple(row.readings.split()),
            seen_at=row.seen_at,
            verdict=row.verdict,
        )

    def note_judged(self, judged: Judged) -> None:
        """Remember what became of an article."""
        values = {
            "article": judged.article,
            "revision": judged.revision,
            "readings": " ".join(judged.readings[:READINGS_REMEMBERED]),
            "seen_at": judged.seen_at,
            "verdict": judged.verdict,
        }
        upsert(self._conn, judged_articles, values, key=("article",))

    def of_article(self, article: str) -> tuple[str, ...]:
        """Return the ids of the incidents that an article speaks of."""
        return tuple(self._conn.execute(_OF_ARTICLE, {"name": article}).scalars())

    def articles_of(self, incident: str) -> tuple[str, ...]:
        """Return the ids of the articles that speak of an incident."""
        query = select(incident_articles.c.article).where(incident_articles.c.incident == incident)
        return tuple(self._conn.execute(query.order_by(incident_articles.c.article)).scalars())

    def place_article(self, article: str, incident: str) -> None:
        """Note that an article speaks of an incident."""
        insert_ignore(self._conn, incident_articles, {"article": article, "incident": incident})

    def get(self, incident: str) -> IncidentRow | None:
        """Return what is shown of an incident."""
        row = self._conn.execute(select(*_ROW).where(incidents.c.id == incident)).one_or_none()
        return None if row is None else _incident(row)

    def by_prefix(self, prefix: str, *, limit: int = 10) -> list[IncidentRow]:
        """Return the incidents whose id starts so."""
        query = select(*_ROW).where(incidents.c.id.startswith(prefix, autoescape=True))
        return [_incident(row) for row in self._conn.execute(query.order_by(incidents.c.id).limit(limit))]

    def standing(
        self,
        *,
        states: Sequence[IncidentState] = (IncidentState.OPEN, IncidentState.QUIET),
        severity: Severity = Severity.MINOR,
        limit: int = 100,
        offset: int = 0,
    ) -> list[IncidentRow]:
        """Return a page of incidents, the gravest first, then the latest."""
        query = (
            select(*_ROW)
            .where(incidents.c.state.in_([state.value for state in states]), incidents.c.severity >= severity.rank)
            .order_by(incidents.c.severity.desc(), incidents.c.last_seen.desc(), incidents.c.id)
        )
        return [_incident(row) for row in self._conn.execute(query.limit(limit).offset(offset))]

    def count(self, *states: IncidentState) -> int:
        """Return how many incidents are in *states*."""
        query = select(func.count()).select_from(incidents)
        if states:
            query = query.where(incidents.c.state.in_([state.value for state in states]))
        return self._conn.execute(query).scalar() or 0

    def add_alert(self, alert: AlertRow) -> bool:
        """Keep an alert; False when one of its id is here already."""
        values = {name: getattr(alert, name) for name in AlertRow.__slots__}
        return insert_ignore(self._conn, alerts, values | {"severity": alert.severity.rank})

    def alert(self, id: str) -> AlertRow | None:  # noqa: A002 - the domain's own word
        """Return the alert with that id."""
        row = self._conn.execute(select(alerts).where(alerts.c.id == id)).one_or_none()
        return None if row is None else _alert(row)

    def alerts_by_prefix(self, prefix: str, *, limit: int = 10) -> list[AlertRow]:
        """Return the alerts whose id starts so."""
        query = select(alerts).where(alerts.c.id.startswith(prefix, autoescape=True)).order_by(alerts.c.id)
        return [_alert(row) for row in self._conn.execute(query.limit(limit))]

    def alerts(
        self,
        *,
        before: tuple[datetime, str] | None = None,
        incident: str | None = None,
        article: str | None = None,
        severity: Severity = Severity.MINOR,
        limit: int = 50,
    ) -> list[AlertRow]:
        """Return a page of alerts, the newest first; *before* is the (seen_at, id) of the last one shown."""
        query = select(alerts).where(alerts.c.severity >= severity.rank)
        if before is not None:
            at, last = before
            query = query.where(or_(alerts.c.seen_at < at, and_(alerts.c.seen_at == at, alerts.c.id < last)))
        if incident is not None:
            query = query.where(alerts.c.incident == incident)
        if article is not None:
            query = query.where(alerts.c.article == article)
        query = query.order_by(alerts.c.seen_at.desc(), alerts.c.id.desc()).limit(limit)
        return [_alert(row) for row in self._conn.execute(query)]

    def trim(self, before: datetime, *, most: int = 5_000) -> int:
        """Forget up to *most* of each kind that ended before *before*, alerts and judgements included.

        What was rung of an incident that is not over, and how its articles were judged, is kept. Returns how many rows
        went in all; 0 when nothing is left to forget.
        """
        over = [IncidentState.CLOSED.value, IncidentState.CANCELLED.value]
        old = select(incidents.c.id).where(incidents.c.state.in_(over), incidents.c.last_seen < before).limit(most)
        names = list(self._conn.execute(old).scalars())
        gone = 0
        for start in range(0, len(names), NAMES_AT_ONCE):
            some = names[start : start + NAMES_AT_ONCE]
            for table in (incident_keys, incident_articles):
                gone += self._conn.execute(delete(table).where(table.c.incident.in_(some))).rowcount
            gone += self._conn.execute(delete(incidents).where(incidents.c.id.in_(some))).rowcount
        rung = (alerts.c.seen_at < before, ~is_standing(alerts.c.incident))
        gone += delete_some(self._conn, alerts.c.id, *rung, most=most)
        theirs = select(incident_articles.c.incident).where(
            incident_articles.c.article == judged_articles.c.article, is_standing(incident_articles.c.incident)
        )
        said = (judged_articles.c.seen_at < before, ~theirs.exists())
        return gone + delete_some(self._conn, judged_articles.c.article, *said, most=most)


def is_standing(incident: ColumnElement[str]) -> ColumnElement[bool]:
    """Say in SQL that the incident of that id is not over."""
    alive = [IncidentState.OPEN.value, IncidentState.QUIET.value]
    return select(incidents.c.id).where(incidents.c.id == incident, incidents.c.state.in_(alive)).exists()


def _incident(row: Row[tuple[object, ...]]) -> IncidentRow:
    values = row._asdict()
    values |= {"state": IncidentState(values["state"]), "severity": _SEVERITIES[values["severity"]]}
    return IncidentRow(**values)


def _alert(row: Row[tuple[object, ...]]) -> AlertRow:
    values = row._asdict()
    return AlertRow(**values | {"severity": _SEVERITIES[values["severity"]]})
