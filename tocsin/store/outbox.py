"""What was put out and is not yet with the broker: `stream_records` that wait for the relay (PostgreSQL only)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import ARRAY, BigInteger, bindparam, delete, exists, func, select

from tocsin.store.relayed import RELAY
from tocsin.store.replays import replays
from tocsin.store.schema import Text, insert_ignore, seal
from tocsin.store.topics import intact, records, seen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from sqlalchemy import Connection

_AMONG: Final = records.c.position == func.any(bindparam("positions", type_=ARRAY(BigInteger)))
_SIZES: Final = (
    select(records.c.position, func.length(records.c.value).label("size"))
    .order_by(records.c.position)
    .limit(bindparam("most", type_=BigInteger))
)
_PAGE: Final = 5_000
_PAGES: Final = (
    select(records.c.position, records.c.topic, records.c.key, func.length(records.c.value).label("size"))
    .where(records.c.position > bindparam("above", type_=BigInteger))
    .order_by(records.c.position)
    .limit(_PAGE)
)
_CHOSEN: Final = select(records).where(_AMONG).order_by(records.c.position)
_REMOVE: Final = delete(records).where(_AMONG)
# By their ids as well: a standby that took over without our last commits gives their positions to others.
_THESE: Final = records.c.record_id == func.any(bindparam("ids", type_=ARRAY(Text)))
# One round trip: this is done for every record there is, and hardly any was replayed.
_REMOVE_THESE: Final = _REMOVE.where(_THESE)
_LANDED: Final = _REMOVE_THESE.returning(records.c.topic, records.c.record_id).cte("landed")
_REMOVE_LANDED: Final = (
    delete(replays)
    .where(
        replays.c.consumer_group == RELAY,
        exists().where(_LANDED.c.topic == replays.c.topic, _LANDED.c.record_id == replays.c.record_id),
    )
    .add_cte(_LANDED)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRecord:
    """One record that waits; `value` is None when its checksum does not match."""

    position: int
    topic: str
    key: str
    id: str
    value: bytes | None
    at: datetime


class OutboxRepository:
    """Records of all topics, in the order in which they were put out."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def lowest(self, *, most: int, most_bytes: int, but: Collection[int] = ()) -> list[OutboxRecord]:
        """Return the records that wait, by position, without *but*; at least one where there is one.

        Never "those after the last one": positions are given in one order and committed in another, so a lower one
        may come to light later.
        """
        sizes = self._conn.execute(_SIZES, {"most": most + len(but)})
        return self._rows(_fitting(((at, size) for at, size in sizes if at not in but), most, most_bytes))

    def lowest_but(
        self,
        is_late: Callable[[str, str], bool],
        *,
        above: int,
        most: int,
        most_bytes: int,
        but: Collection[int] = (),
    ) -> tuple[list[OutboxRecord], int]:
        """Return what `lowest` does, without records whose topic and key are late, however many there are of them.

        Looks *above* that position only, and returns the position up to which it has found none but these.
        """
        passed = above

        def in_time() -> Iterator[tuple[int, int]]:
            nonlocal passed
            found, at = False, above
            while page := self._conn.execute(_PAGES, {"above": at}).all():
                for at, topic, key, size in page:
                    if at in but or is_late(topic, key):
                        passed = passed if found else at
                    else:
                        found = True
                        yield at, size

        return self._rows(_fitting(in_time(), most, most_bytes)), passed

    def _rows(self, chosen: list[int]) -> list[OutboxRecord]:
        if not chosen:
            return []
        return [
            OutboxRecord(
                position=row.position,
                topic=row.topic,
                key=row.key,
                id=row.record_id,
                value=intact(row.value),
                at=row.at,
            )
            for row in self._conn.execute(_CHOSEN, {"positions": chosen})
        ]

    def put_again(self, topic: str, *, key: str, record_id: str, value: bytes, at: datetime) -> bool:
        """Have a record wait though its id came by before; False when it waits already."""
        insert_ignore(self._conn, seen, {"topic": topic, "record_id": record_id, "at": at})
        row = {"topic": topic, "key": key, "record_id": record_id, "value": seal(value), "at": at}
        return insert_ignore(self._conn, records, row)

    def remove_landed(self, ids: Mapping[int, str]) -> None:
        """Forget records, given as their *ids* by position, that are with the broker, and that they were replayed."""
        self._conn.execute(_REMOVE_LANDED, {"positions": list(ids), "ids": list(ids.values())})

    def remove(self, ids: Mapping[int, str]) -> int:
        """Forget records, given as their *ids* by position, wherever they are by now; return how many still waited."""
        return self._conn.execute(_REMOVE_THESE, {"positions": list(ids), "ids": list(ids.values())}).rowcount


def _fitting(sizes: Iterable[tuple[int, int]], most: int, most_bytes: int) -> list[int]:
    """Return the first positions of *sizes* that go together: at least one where there is one."""
    chosen: list[int] = []
    total = 0
    for position, size in sizes:
        total += size
        if chosen and total > most_bytes:
            break
        chosen.append(position)
        if len(chosen) == most:
            break
    return chosen
