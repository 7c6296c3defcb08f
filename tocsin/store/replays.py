"""Dead letters that were given back to their consumer group, until it has worked on them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, delete, func, or_, select, update

from tocsin.store.schema import Instant, Text, delete_some, insert_ignore, metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection

    from tocsin.records import DeadLetter

replays = Table(
    "stream_replays",
    metadata,
    Column("id", Text, primary_key=True),
    Column("consumer_group", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer),
    Column("offset", BigInteger),
    Column("key", Text, nullable=False),
    Column("record_id", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("checksum", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("times", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("claimed_by", Text),
    Column("claimed_at", Instant),
    Index("stream_replays_group", "consumer_group", "at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A record that its group is to work on once more.

    `id`, `times`, `reason` and `at` are those of its dead letter; `value` is None when it was damaged in the store.
    `claimed_by` names the loop that has begun with it, which may be dead.
    """

    id: str
    consumer_group: str
    topic: str
    partition: int | None
    offset: int | None
    key: str
    record_id: str
    value: bytes | None
    size: int
    at: datetime
    asked_at: datetime
    times: int
    reason: str
    claimed_by: str | None = None
    claimed_at: datetime | None = None


class ReplayRepository:
    """Replays by consumer group, in the order in which the records were set aside."""

    def __init__(self, conn: Connection, wake: Callable[[str], None]) -> None:
        self._conn = conn
        self._wake = wake

    def add(self, letter: DeadLetter, *, now: datetime) -> bool:
        """Have the group that is the letter's stage work on it once more; False when that waits already."""
        row = {
            "id": letter.id,
            "consumer_group": letter.stage,
            "topic": letter.topic,
            "partition": letter.partition,
            "offset": letter.offset,
            "key": letter.key,
            "record_id": letter.record_id,
            "value": letter.value,
            "checksum": zlib.crc32(letter.value),
            "at": letter.at,
            "asked_at": now,
            "times": letter.times,
            "reason": letter.reason,
        }
        self._wake(wake_name(letter.stage))
        return insert_ignore(self._conn, replays, row)

    def next(self, group: str, *, stale: datetime, now: datetime, to_claim: bool = False) -> Replay | None:
        """Return the first one that nobody has begun with, or somebody who has not ended since *stale*.

        *to_claim* passes over what another transaction is claiming this moment, rather than to quarrel over it.
        A claim that says to come from later than *now* is of a wrong clock, and counts as one that is over.
        """
        c = replays.c
        free = or_(c.claimed_by.is_(None), c.claimed_at < stale, c.claimed_at > now + (now - stale))
        query = select(replays).where(c.consumer_group == group, free).order_by(c.at, c.offset, c.id).limit(1)
        row = self._conn.execute(query.with_for_update(skip_locked=True) if to_claim else query).one_or_none()
        return None if row is None else _replay(row._asdict())

    def claimed(self, group: str) -> list[Replay]:
        """Return those that somebody has begun with."""
        query = select(replays).where(replays.c.consumer_group == group, replays.c.claimed_by.is_not(None))
        return [_replay(row._asdict()) for row in self._conn.execute(query)]

    def get(self, id: str) -> Replay | None:  # noqa: A002 — the domain's own word
        """Return the one with that id."""
        row = self._conn.execute(select(replays).where(replays.c.id == id)).one_or_none()
        return None if row is None else _replay(row._asdict())

    def claim(self, id: str, *, by: str, at: datetime) -> bool:  # noqa: A002 — the domain's own word
        """Note that *by* begins with it now; False when somebody else has, or it is gone."""
        free = (replays.c.id == id, replays.c.claimed_by.is_(None))
        return self._conn.execute(update(replays).where(*free).values(claimed_by=by, claimed_at=at)).rowcount == 1

    def release(self, *, by: str) -> None:
        """Take back whatever *by* has claimed: the work was ended by no fault of the record."""
        mine = replays.c.claimed_by == by
        self._conn.execute(update(replays).where(mine).values(claimed_by=None, claimed_at=None))

    def remove(self, id: str, *, by: str | None) -> bool:  # noqa: A002 — the domain's own word
        """Forget one that *by* has claimed, None standing for nobody; False when it is not so any more."""
        claim = replays.c.claimed_by.is_(None) if by is None else replays.c.claimed_by == by
        return self._conn.execute(delete(replays).where(replays.c.id == id, claim)).rowcount == 1

    def waiting(self) -> dict[str, int]:
        """Return how many wait, by group."""
        query = select(replays.c.consumer_group, func.count()).group_by(replays.c.consumer_group)
        return {row[0]: row[1] for row in self._conn.execute(query)}

    def forget(self, *, before: datetime, most: int = 5_000) -> int:
        """Drop up to *most* that were asked for before then: nobody reads their group any more."""
        return delete_some(self._conn, replays.c.id, replays.c.asked_at < before, most=most)


def wake_name(group: str) -> str:
    """Return what the loop that replays for *group* waits for."""
    return f"replays:{group}"


def _replay(row: Mapping[str, Any]) -> Replay:
    values = dict(row) | {"size": len(row["value"])}
    if values.pop("checksum") != zlib.crc32(values["value"]):
        values["value"] = None
    return Replay(**values)
