"""Who changed what, and who is signed in. Tokens themselves stand in the operator's files, only ever as hashes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Column, Index, Table, delete, insert, select

from tocsin.store.schema import Instant, Number, Text, delete_some, insert_ignore, metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

audit = Table(
    "access_audit",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("detail", Text, nullable=False),
)

sessions = Table(
    "access_sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("token", Text, nullable=False),
    Column("token_hash", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("access_sessions_expiry", "expires_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One change somebody made. *action* is a verb of ours ("feed.add"), *detail* is JSON and holds no secret.

    *number* grows with time and is 0 until the entry is stored.
    """

    number: int = 0
    at: datetime
    actor: str
    action: str
    target: str
    detail: str = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that signed in with a token.

    *id* is the hash of what its cookie holds. It is good only as long as the token of that name still has
    *token_hash*, so that changing a token in the files signs everybody out who came with it.
    """

    id: str
    token: str
    token_hash: str
    created_at: datetime
    expires_at: datetime


class AccessRepository:
    """The audit log and the sessions."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def note(self, entry: AuditEntry) -> None:
        """Write one change down; nothing here is ever altered."""
        row = {name: getattr(entry, name) for name in AuditEntry.__slots__ if name != "number"}
        self._conn.execute(insert(audit), row)

    def audit(self, *, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
        """Return a page of changes, the newest first; *before* is the number of the last one seen."""
        query = select(audit).order_by(audit.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.number < before)
        return [AuditEntry(**row._asdict()) for row in self._conn.execute(query)]

    def forget_audit(self, *, before: datetime, most: int = 5_000) -> int:
        """Drop up to *most* changes older than *before*; return how many."""
        return delete_some(self._conn, audit.c.number, audit.c.at < before, most=most)

    def open_session(self, session: Session) -> None:
        """Keep *session*, and forget those that have run out by then."""
        self._conn.execute(delete(sessions).where(sessions.c.expires_at <= session.created_at))
        insert_ignore(self._conn, sessions, {name: getattr(session, name) for name in Session.__slots__})

    def session(self, id: str, *, now: datetime) -> Session | None:  # noqa: A002 — the domain's own word
        """Return the session of that id unless it has run out."""
        query = select(sessions).where(sessions.c.id == id, sessions.c.expires_at > now)
        row = self._conn.execute(query).one_or_none()
        return None if row is None else Session(**row._asdict())

    def close_session(self, id: str) -> bool:  # noqa: A002 — the domain's own word
        """Forget one session; False when there is none of that id."""
        return self._conn.execute(delete(sessions).where(sessions.c.id == id)).rowcount == 1
