"""The stream's tables: records in order, each group's cursor, and the note of an attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    bindparam,
    delete,
    func,
    or_,
    select,
    true,
    update,
)

from tocsin.errors import Fenced, RecordUnreadable
from tocsin.store.schema import Instant, Number, Text, insert_ignore, insert_ignore_all, metadata, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import ColumnElement, Connection

records = Table(
    "stream_records",
    metadata,
    Column("position", Number, primary_key=True, autoincrement=True),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("record_id", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("at", Instant, nullable=False),
    Index("stream_records_id", "topic", "record_id", unique=True),
    Index("stream_records_order", "topic", "position"),
    sqlite_autoincrement=True,  # a trimmed offset must never be given again
)

cursors = Table(
    "stream_cursors",
    metadata,
    Column("consumer_group", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("attempted", BigInteger, nullable=False, server_default="-1"),
)

# Where the stream is a broker, `records` holds what waits for the relay, and this knows the ids that came by.
seen = Table(
    "stream_seen",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("at", Instant, nullable=False),
    Index("stream_seen_at", "at"),
)

consumed = Table(
    "stream_consumed",
    metadata,
    Column("consumer_group", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("at", Instant, nullable=False),
    Index("stream_consumed_at", "at"),
)

_FETCH = (
    select(records.c.position, records.c.key, records.c.record_id, records.c.value)
    .where(records.c.topic == bindparam("of_topic"), records.c.position >= bindparam("start"))
    .order_by(records.c.position)
    .limit(bindparam("most"))
)
_ADVANCE = (
    update(cursors)
    .where(
        cursors.c.consumer_group == bindparam("of_group"),
        cursors.c.topic == bindparam("of_topic"),
        cursors.c.partition == bindparam("of_partition"),
        cursors.c.position == bindparam("expect"),
    )
    .values(position=bindparam("to"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """One record of a topic; `value` is None when its checksum does not match."""

    position: int
    key: str
    id: str
    value: bytes | None


class TopicRepository:
    """Records and cursors of the embedded stream."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def append(self, topic: str, *, key: str, record_id: str, value: bytes, at: datetime) -> bool:
        """Add one record; return False when its id was seen before."""
        row = {"topic": topic, "key": key, "record_id": record_id, "value": seal(value), "at": at}
        return insert_ignore(self._conn, records, row)

    def append_all(self, topic: str, rows: Sequence[tuple[str, str, bytes]], *, at: datetime) -> int:
        """Add records, given as (key, id, value), in order; return how many were not seen before."""
        values = [
            {"topic": topic, "key": key, "record_id": record_id, "value": seal(value), "at": at}
            for key, record_id, value in rows
        ]
        return insert_ignore_all(self._conn, records, values)

    def fetch(self, topic: str, *, start: int, most: int) -> list[StoredRecord]:
        """Return up to *most* records at or after offset *start*, in order."""
        rows = self._conn.execute(_FETCH, {"of_topic": topic, "start": start, "most": most})
        return [
            StoredRecord(position=row.position, key=row.key, id=row.record_id, value=intact(row.value)) for row in rows
        ]

    def position(self, group: str, topic: str, partition: int = 0) -> int:
        """Return the offset that *group* reads next; 0 before its first commit."""
        return self._conn.execute(select(cursors.c.position).where(*_of(group, topic, partition))).scalar() or 0

    def advance(self, group: str, topic: str, partition: int, *, expect: int, to: int) -> None:
        """Move a cursor from *expect* to *to*, both the offset that is read next.

        Raises:
            Fenced: the cursor does not stand at *expect*.

        """
        names = {"of_group": group, "of_topic": topic, "of_partition": partition}
        if self._conn.execute(_ADVANCE, {**names, "expect": expect, "to": to}).rowcount == 1:
            return
        row = {"consumer_group": group, "topic": topic, "partition": partition, "position": to}
        if expect == 0 and insert_ignore(self._conn, cursors, row):
            return
        raise Fenced(f"group {group!r} on {topic!r}[{partition}]: the cursor does not stand at {expect}")

    def expect(self, readers: Mapping[str, Sequence[str]]) -> None:
        """Have a cursor for each group of each topic, so that one that never begins shows all that waits for it."""
        pairs = [(group, topic) for topic, groups in readers.items() for group in groups]
        rows = [{"consumer_group": group, "topic": topic, "partition": 0, "position": 0} for group, topic in pairs]
        insert_ignore_all(self._conn, cursors, rows)

    def cursors(self) -> dict[tuple[str, str], dict[int, int]]:
        """Return, for each (group, topic), where its cursor stands in each partition."""
        found: dict[tuple[str, str], dict[int, int]] = {}
        columns = (cursors.c.consumer_group, cursors.c.topic, cursors.c.partition, cursors.c.position)
        for group, topic, partition, position in self._conn.execute(select(*columns)):
            found.setdefault((group, topic), {})[partition] = position
        return found

    def attempt(self, group: str, topic: str, partition: int, *, position: int) -> int:
        """Note that the record at *position* is about to be worked on; return how often that was noted by now."""
        insert_ignore(
            self._conn, cursors, {"consumer_group": group, "topic": topic, "partition": partition, "position": 0}
        )
        mine = _of(group, topic, partition)
        row = self._conn.execute(select(cursors.c.attempts, cursors.c.attempted).where(*mine)).one()
        count = int(row.attempts) + 1 if row.attempted == position else 1
        self._conn.execute(update(cursors).where(*mine).values(attempts=count, attempted=position))
        return count

    def withdraw_attempt(self, group: str, topic: str, partition: int, *, position: int) -> None:
        """Take the last note of `attempt` back: the work was ended, but not by the record at *position*."""
        noted = (*_of(group, topic, partition), cursors.c.attempted == position, cursors.c.attempts > 0)
        self._conn.execute(update(cursors).where(*noted).values(attempts=cursors.c.attempts - 1))

    def first_time(self, group: str, topic: str, record_id: str, *, at: datetime) -> bool:
        """Note that *group* has passed a record; return False when it had passed it before.

        For a stream that may bring a record again, and work that must not see it twice.
        """
        row = {"consumer_group": group, "topic": topic, "record_id": record_id, "at": at}
        return insert_ignore(self._conn, consumed, row)

    def lag(self) -> dict[tuple[str, str], int]:
        """Return, for each (group, topic), how many records wait."""
        waiting: dict[tuple[str, str], int] = {}
        for row in self._conn.execute(select(cursors.c.consumer_group, cursors.c.topic, cursors.c.position)):
            behind = (records.c.topic == row.topic, records.c.position >= row.position)
            count = self._conn.execute(select(func.count()).select_from(records).where(*behind)).scalar() or 0
            waiting[row.consumer_group, row.topic] = count
        return waiting

    def waiting_since(self) -> datetime | None:
        """Return when the record was put out that waits longest for the relay: never one where there is no relay."""
        return None

    def bounds(self, topic: str) -> tuple[int, int]:
        """Return the offset of the first record there is, and one behind the last; the same for an empty topic."""
        of_topic = records.c.topic == topic
        first = self._conn.execute(select(func.min(records.c.position)).where(of_topic)).scalar()
        last = self._conn.execute(select(func.max(records.c.position)).where(of_topic)).scalar()
        if first is not None and last is not None:
            return first, last + 1
        behind = self._conn.execute(select(func.max(cursors.c.position)).where(cursors.c.topic == topic)).scalar() or 0
        return behind, behind

    def trim(self, topic: str, *, groups: Sequence[str], now: datetime, keep: timedelta, most: int = 5_000) -> int:
        """Forget records that are older than *keep* and that all of *groups*, if any, have passed; return how many.

        Looks only at the first *most* there are. A record that says to come from later than *now* + *keep* is of a
        wrong clock and forgotten, too, so that it does not stand before the old ones for ever.
        """
        reading = (cursors.c.topic == topic, cursors.c.consumer_group.in_(groups))
        positions = self._conn.execute(select(cursors.c.position).where(*reading)).scalars().all()
        begun = len(positions) == len(groups)  # who has not begun has it all before him
        passed = records.c.position < (min(positions) if begun else 0) if groups else true()
        head = (
            select(records.c.position, records.c.at)
            .where(records.c.topic == topic, passed)
            .order_by(records.c.position)
            .limit(most)
            .subquery()
        )
        old = select(head.c.position).where(or_(head.c.at < now - keep, head.c.at > now + keep))
        return self._conn.execute(delete(records).where(records.c.position.in_(old))).rowcount


def _of(group: str, topic: str, partition: int) -> tuple[ColumnElement[bool], ...]:
    return (cursors.c.consumer_group == group, cursors.c.topic == topic, cursors.c.partition == partition)


def intact(stored: bytes) -> bytes | None:
    """Return the value of a record as it is kept; None when its checksum does not match."""
    try:
        return unseal(stored, what="record")
    except RecordUnreadable:
        return None
