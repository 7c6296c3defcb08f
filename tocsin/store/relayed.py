"""The stream's tables where the stream is a broker: what is emitted waits in `records` for the relay.

PostgreSQL only. As the rows go once the broker has them, the ids that came by are kept beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select
from typing_extensions import override

from tocsin.store.schema import EPOCH, MICROSECOND, delete_some, seal
from tocsin.store.topics import TopicRepository, consumed, records, seen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

WAKE: Final = "outbox"  # what the relay waits for
RELAY: Final = "relay"  # whose lag is what waits here

# One round trip for any number of records; what came by before is left out, and the others keep their order. In the
# driver's own words, as they travel as bytes: SQLAlchemy would have every value written out in hexadecimal digits.
_EMIT: Final = """
WITH given AS (
    SELECT * FROM unnest(%(keys)b::varchar[], %(ids)b::varchar[], %(values)b::bytea[])
        WITH ORDINALITY AS given (key, record_id, value, place)
), fresh AS (
    INSERT INTO stream_seen (topic, record_id, at) SELECT %(topic)s, record_id, %(at)s FROM given
    ON CONFLICT DO NOTHING RETURNING record_id
)
INSERT INTO stream_records (topic, key, record_id, value, at)
SELECT %(topic)s, given.key, given.record_id, given.value, %(at)s
FROM given JOIN fresh ON fresh.record_id = given.record_id ORDER BY given.place
"""


class RelayedTopicRepository(TopicRepository):
    """Cursors as ever; what is emitted waits for the relay (`tocsin.store.outbox`)."""

    @override
    def append(self, topic: str, *, key: str, record_id: str, value: bytes, at: datetime) -> bool:
        """Put one record into the outbox; return False when its id was seen before."""
        return self.append_all(topic, [(key, record_id, value)], at=at) == 1

    @override
    def append_all(self, topic: str, rows: Sequence[tuple[str, str, bytes]], *, at: datetime) -> int:
        """Put records, given as (key, id, value), into the outbox in order; return how many were not seen before."""
        once: dict[str, tuple[str, bytes]] = {}
        for key, record_id, value in rows:
            once.setdefault(record_id, (key, seal(value)))
        if not once:
            return 0
        values = {
            "topic": topic,
            "keys": [key for key, _ in once.values()],
            "ids": list(once),
            "values": [value for _, value in once.values()],
            "at": (at - EPOCH) // MICROSECOND,
        }
        return self._conn.exec_driver_sql(_EMIT, values).rowcount

    @override
    def lag(self) -> dict[tuple[str, str], int]:
        """Return how many records of each topic the relay has before it; the rest is known to the broker."""
        query = select(records.c.topic, func.count()).group_by(records.c.topic)
        return {(RELAY, topic): count for topic, count in self._conn.execute(query)}

    @override
    def waiting_since(self) -> datetime | None:
        """Return when the record was put out that waits longest for the relay."""
        at: datetime | None = self._conn.execute(select(records.c.at).order_by(records.c.position).limit(1)).scalar()
        return at

    @override
    def trim(self, topic: str, *, groups: Sequence[str], now: datetime, keep: timedelta, most: int = 5_000) -> int:
        """Forget up to *most* ids each that came by, or that a group has passed, longer ago than *keep*.

        The outbox is the relay's, and the ids of what waits there stay known: put out again, one would stop whoever
        does. The records in the broker have a retention of their own, which *keep* must reach.
        """
        waits = select(records.c.position).where(
            records.c.topic == seen.c.topic, records.c.record_id == seen.c.record_id
        )
        unseen = (seen.c.topic == topic, seen.c.at < now - keep, ~waits.exists())
        gone = delete_some(self._conn, seen.c.record_id, *unseen, most=most)
        passed = (consumed.c.topic == topic, consumed.c.at < now - keep)
        return max(gone, delete_some(self._conn, consumed.c.record_id, *passed, most=most))
