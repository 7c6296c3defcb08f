"""Records that were set aside, with the reason, until somebody looks at them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    and_,
    case,
    delete,
    func,
    literal,
    or_,
    select,
)

from tocsin.records import DeadLetter
from tocsin.store.schema import Instant, Text, delete_some, insert_ignore, metadata, upsert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection

MOST: Final = 100_000  # letters in all
MOST_BYTES: Final = 500_000_000  # of their values; the stream and all state have eight thousand million
SHORTEST_BEGINNING: Final = 6  # of an id that is to be found by it
KEPT_BYTES: Final = 1_000_000  # of one value; what is longer is kept to be looked at, not to be replayed

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Text, primary_key=True),
    Column("stage", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("record_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
    Column("key", Text, nullable=False, server_default=""),
    Column("partition", Integer),
    Column("offset", BigInteger),
    Column("size", Integer, nullable=False, server_default="0"),
    Column("times", Integer, nullable=False, server_default="1"),
    Column("traceback", Text, nullable=False, server_default=""),
    Column("checksum", BigInteger),  # of the value; letters of the first version have none
    Index("dead_letters_at", "at"),
    Index("dead_letters_stage", "stage", "at", "size"),
)

_WITH_VALUE: Final = tuple(dead_letters.c)
_WITHOUT_VALUE: Final = tuple(column for column in dead_letters.c if column.name not in {"value", "checksum"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which dead letters are meant: those that all of this holds for. *since* is included, *until* too."""

    stage: str | None = None
    topic: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> tuple[ColumnElement[bool], ...]:
        """Return this in the words of the database."""
        c = dead_letters.c
        conditions = []
        if self.stage is not None:
            conditions.append(c.stage == self.stage)
        if self.topic is not None:
            conditions.append(c.topic == self.topic)
        if self.since is not None:
            conditions.append(c.at >= self.since)
        if self.until is not None:
            conditions.append(c.at <= self.until)
        return tuple(conditions)


EVERY: Final = Which()


@dataclass(frozen=True, slots=True, kw_only=True)
class Heap:
    """The dead letters of one stage: how many, and how many bytes their values take."""

    stage: str
    count: int
    size: int


def surplus(heaps: Sequence[Heap], *, most: int = MOST, most_bytes: int = MOST_BYTES) -> Mapping[str, int]:
    """Return by stage how many of its oldest must go, so that no flood of poison fills the store.

    The largest heaps give: a stage that sets aside little keeps all of it beside one that sets aside everything.
    """
    by_count = _fair_shares({heap.stage: heap.count for heap in heaps}, most)
    by_size = _fair_shares({heap.stage: heap.size for heap in heaps}, most_bytes)
    kept = {
        heap.stage: min(
            by_count[heap.stage], heap.count * by_size[heap.stage] // heap.size if heap.size else heap.count
        )
        for heap in heaps
    }
    return {heap.stage: heap.count - kept[heap.stage] for heap in heaps if kept[heap.stage] < heap.count}


def _fair_shares(amounts: Mapping[str, int], most: int) -> Mapping[str, int]:
    """Share *most* among those who want *amounts*; what the modest leave goes to the others."""
    shares = {}
    for place, (stage, amount) in enumerate(sorted(amounts.items(), key=lambda item: item[1])):
        shares[stage] = min(amount, most // (len(amounts) - place))
        most -= shares[stage]
    return shares


class DeadLetterRepository:
    """Dead letters, the newest first."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def add(self, letter: DeadLetter) -> bool:
        """Keep one; False when it lies here already."""
        return insert_ignore(self._conn, dead_letters, _row(letter))

    def replace(self, letter: DeadLetter) -> None:
        """Keep one in place of whatever lies here under its id."""
        upsert(self._conn, dead_letters, _row(letter), key=("id",))

    def list(
        self, which: Which = EVERY, *, limit: int = 100, after: tuple[datetime, str] | None = None
    ) -> list[DeadLetter]:
        """Return a page of them; *after* is the instant and id of the last one seen."""
        return [_letter(row._asdict()) for row in self._page(_WITH_VALUE, which, limit=limit, after=after)]

    def headings(
        self, which: Which = EVERY, *, limit: int = 100, after: tuple[datetime, str] | None = None
    ) -> Sequence[DeadLetter]:
        """Return a page of them with their values left out, which may be long."""
        rows = self._page(_WITHOUT_VALUE, which, limit=limit, after=after)
        return [DeadLetter(**row._asdict(), value=b"") for row in rows]

    def oldest(
        self, which: Which = EVERY, *, limit: int = 100, after: tuple[datetime, str] | None = None
    ) -> Sequence[tuple[datetime, str]]:
        """Return instant and id of a page of them, the oldest first."""
        c = dead_letters.c
        query = select(c.at, c.id).where(*which.conditions()).order_by(c.at, c.id).limit(limit)
        if after is not None:
            query = query.where(or_(c.at > after[0], and_(c.at == after[0], c.id > after[1])))
        return [(row.at, row.id) for row in self._conn.execute(query)]

    def get(self, id: str) -> DeadLetter | None:  # noqa: A002 — the domain's own word
        """Return the one with that id."""
        row = self._conn.execute(select(*_WITH_VALUE).where(dead_letters.c.id == id)).one_or_none()
        return None if row is None else _letter(row._asdict())

    def find(self, start: str) -> DeadLetter | None:
        """Return the one with that id, or the only one whose id begins so."""
        letter = self.get(start)
        if letter is not None or len(start) < SHORTEST_BEGINNING:
            return letter
        c = dead_letters.c
        ids = self._conn.execute(select(c.id).where(c.id.startswith(start, autoescape=True)).limit(2)).scalars().all()
        return self.get(ids[0]) if len(ids) == 1 else None

    def remove(self, id: str) -> bool:  # noqa: A002 — the domain's own word
        """Forget one; False when there is none of that id."""
        return self._conn.execute(delete(dead_letters).where(dead_letters.c.id == id)).rowcount == 1

    def blamed_once(self, reason: str, *, topics: Sequence[str], before: datetime, limit: int) -> Sequence[DeadLetter]:
        """Return records of *topics* set aside before then, for the first time, for a reason that begins so."""
        c = dead_letters.c
        blamed = (c.times == 1, c.reason.startswith(reason, autoescape=True), c.topic.in_(topics), c.at < before)
        query = select(*_WITH_VALUE).where(*blamed).order_by(c.at, c.id).limit(limit)
        return [_letter(row._asdict()) for row in self._conn.execute(query)]

    def count(self, which: Which = EVERY) -> int:
        """Return how many lie here."""
        query = select(func.count()).select_from(dead_letters).where(*which.conditions())
        return self._conn.execute(query).scalar() or 0

    def heaps(self) -> Sequence[Heap]:
        """Return how many lie here by stage, the most first. Reads an index only, so that it is quick."""
        c = dead_letters.c
        kept = func.sum(case((c.size > KEPT_BYTES, literal(KEPT_BYTES)), else_=c.size))
        query = select(c.stage, func.count().label("count"), kept.label("size")).group_by(c.stage)
        rows = [Heap(stage=row[0], count=row[1], size=int(row[2] or 0)) for row in self._conn.execute(query)]
        return sorted(rows, key=lambda heap: (-heap.count, heap.stage))

    def shed(self, stage: str, *, most: int) -> int:
        """Forget the *most* oldest of one stage; return how many those were."""
        c = dead_letters.c
        some = select(c.id).where(c.stage == stage).order_by(c.at, c.id).limit(most)
        return self._conn.execute(delete(dead_letters).where(c.id.in_(some))).rowcount

    def forget(self, *, before: datetime, most: int = 5_000) -> int:
        """Drop up to *most* that were set aside before then; return how many."""
        return delete_some(self._conn, dead_letters.c.id, dead_letters.c.at < before, most=most)

    def _page(
        self, columns: tuple[Column[Any], ...], which: Which, *, limit: int, after: tuple[datetime, str] | None
    ) -> Any:  # noqa: ANN401 — SQLAlchemy's own name for it is generic
        c = dead_letters.c
        query = select(*columns).where(*which.conditions()).order_by(c.at.desc(), c.id).limit(limit)
        if after is not None:
            query = query.where(or_(c.at < after[0], and_(c.at == after[0], c.id > after[1])))
        return self._conn.execute(query)


def _row(letter: DeadLetter) -> dict[str, object]:
    value = letter.value[:KEPT_BYTES]
    size = max(letter.size, len(letter.value))
    row: dict[str, object] = {name: getattr(letter, name) for name in DeadLetter.__slots__}
    return row | {"value": value, "size": size, "checksum": zlib.crc32(value)}


def _letter(row: Mapping[str, Any]) -> DeadLetter:
    """Return the letter in *row*; of a damaged value nothing is left but its size."""
    values = dict(row)
    checksum = values.pop("checksum")
    if checksum is not None and checksum != zlib.crc32(values["value"]):
        values |= {"value": b"", "reason": f"(damaged in the store) {values['reason']}"}
    return DeadLetter(**values)
