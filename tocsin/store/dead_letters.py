"""Records that were set aside, with the reason, until somebody looks at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Column, Index, LargeBinary, String, Table, delete, func, select

from tocsin.records import DeadLetter
from tocsin.store.schema import Instant, insert_ignore, metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", String, primary_key=True),
    Column("stage", String, nullable=False),
    Column("topic", String, nullable=False),
    Column("record_id", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
    Index("dead_letters_at", "at"),
)


class DeadLetterRepository:
    """Dead letters, the newest first."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def add(self, letter: DeadLetter) -> bool:
        """Keep one; False when it lies here already."""
        row = {name: getattr(letter, name) for name in DeadLetter.__slots__}
        return insert_ignore(self._conn, dead_letters, row)

    def list(self, *, stage: str | None = None, limit: int = 100, offset: int = 0) -> list[DeadLetter]:
        """Return a page of them."""
        query = select(dead_letters).order_by(dead_letters.c.at.desc(), dead_letters.c.id).limit(limit).offset(offset)
        if stage is not None:
            query = query.where(dead_letters.c.stage == stage)
        return [DeadLetter(**row._asdict()) for row in self._conn.execute(query)]

    def get(self, id: str) -> DeadLetter | None:  # noqa: A002 — the domain's own word
        """Return the one with that id."""
        row = self._conn.execute(select(dead_letters).where(dead_letters.c.id == id)).one_or_none()
        return None if row is None else DeadLetter(**row._asdict())

    def remove(self, id: str) -> bool:  # noqa: A002 — the domain's own word
        """Forget one; False when there is none of that id."""
        return self._conn.execute(delete(dead_letters).where(dead_letters.c.id == id)).rowcount == 1

    def count(self) -> int:
        """Return how many lie here."""
        return self._conn.execute(select(func.count()).select_from(dead_letters)).scalar() or 0
