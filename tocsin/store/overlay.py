"""What people change by web or command line; files are never written by the service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, Table, delete, select

from tocsin.store.schema import Instant, Text, metadata, upsert

if TYPE_CHECKING:
    from sqlalchemy import Connection

FEED: Final = "feed"  # one that people added
PAUSE: Final = "feed_pause"  # a feed that is not asked for a while
FEEDS_CHANGED: Final = "feeds"  # what is woken then, and what the poller waits for

overlay = Table(
    "overlay",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", Instant, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One standing change: *value* is JSON of the form its *kind* has, *actor* is who made it."""

    kind: str
    id: str
    value: str
    actor: str
    at: datetime


class OverlayRepository:
    """Standing changes by kind and id."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def put(self, change: Change) -> None:
        """Keep *change*; one of the same kind and id is replaced."""
        row = {name: getattr(change, name) for name in Change.__slots__}
        upsert(self._conn, overlay, row, key=("kind", "id"))

    def get(self, kind: str, id: str) -> Change | None:  # noqa: A002 — the domain's own word
        """Return the change of that kind and id."""
        row = self._conn.execute(select(overlay).where(overlay.c.kind == kind, overlay.c.id == id)).one_or_none()
        return None if row is None else Change(**row._asdict())

    def remove(self, kind: str, id: str) -> bool:  # noqa: A002 — the domain's own word
        """Forget one; False when there is none."""
        return self._conn.execute(delete(overlay).where(overlay.c.kind == kind, overlay.c.id == id)).rowcount == 1

    def all(self, kind: str | None = None) -> list[Change]:
        """Return all of a kind, or all there are, in order of kind and id."""
        query = select(overlay).order_by(overlay.c.kind, overlay.c.id)
        rows = self._conn.execute(query if kind is None else query.where(overlay.c.kind == kind))
        return [Change(**row._asdict()) for row in rows]
