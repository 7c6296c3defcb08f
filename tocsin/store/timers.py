"""The durable timer table: what must happen later, however often the process dies until then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Column, Index, Table, delete, func, select

from tocsin.store.schema import Instant, Text, metadata, upsert

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

timers = Table(
    "timers",
    metadata,
    Column("room", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("due", Instant, nullable=False),
    Column("payload", Text, nullable=False),
    Index("timers_due", "room", "due"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """Something that a room wants to be called for at *due*; (room, kind, key) is its name."""

    room: str
    kind: str
    key: str
    due: datetime
    payload: str = ""


class TimerRepository:
    """Timers by room."""

    def __init__(self, conn: Connection, wake: Callable[[str], None]) -> None:
        self._conn = conn
        self._wake = wake

    def set(self, room: str, kind: str, key: str, *, due: datetime, payload: str = "") -> None:
        """Set a timer; one of the same name is replaced."""
        row = {"room": room, "kind": kind, "key": key, "due": due, "payload": payload}
        upsert(self._conn, timers, row, key=("room", "kind", "key"))
        self._wake(f"timers:{room}")

    def cancel(self, room: str, kind: str, key: str) -> None:
        """Forget a timer; nothing happens when there is none."""
        named = (timers.c.room == room, timers.c.kind == kind, timers.c.key == key)
        self._conn.execute(delete(timers).where(*named))

    def get(self, room: str, kind: str, key: str) -> Timer | None:
        """Return the timer of that name."""
        named = (timers.c.room == room, timers.c.kind == kind, timers.c.key == key)
        row = self._conn.execute(select(timers).where(*named)).one_or_none()
        return None if row is None else Timer(**row._asdict())

    def due(self, room: str, now: datetime, *, limit: int = 100) -> list[Timer]:
        """Return what is due at *now*, the earliest first."""
        query = select(timers).where(timers.c.room == room, timers.c.due <= now)
        rows = self._conn.execute(query.order_by(timers.c.due, timers.c.kind, timers.c.key).limit(limit))
        return [Timer(**row._asdict()) for row in rows]

    def next_due(self, room: str) -> datetime | None:
        """Return when the room's earliest timer is due."""
        return self._conn.execute(select(func.min(timers.c.due)).where(timers.c.room == room)).scalar()

    def remove(self, timer: Timer) -> bool:
        """Forget exactly this timer; False when it was set anew in the meantime."""
        named = (timers.c.room == timer.room, timers.c.kind == timer.kind, timers.c.key == timer.key)
        return self._conn.execute(delete(timers).where(*named, timers.c.due == timer.due)).rowcount == 1
