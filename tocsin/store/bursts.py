"""How many articles told of what, and the bursts that this came to: the room's one file of SQL.

The counts of a topic are the room's own bytes. A row whose country and topic are empty counts everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, bindparam, delete, func, or_, select

from tocsin.store.schema import Instant, Sealed, Text, delete_some, insert_ignore_all, metadata, upsert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row

Topic = tuple[str, str]  # a country and what is told of it
EVERYTHING: Final[Topic] = ("", "")

series = Table(
    "burst_series",
    metadata,
    Column("country", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("quarter", BigInteger, nullable=False),  # of the last article
    Column("counts", Sealed, nullable=False),
    Index("burst_series_quarter", "quarter"),
)

# Who was counted lately: nobody twice, and to show what a burst is made of.
counted = Table(
    "burst_articles",
    metadata,
    Column("country", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("article", Text, primary_key=True),
    Column("story", Text, nullable=False),  # the same for reprints of one text
    Column("quarter", BigInteger, nullable=False),  # of an hour, since 1970
    Column("owner", Text, nullable=False),
    Column("counts", Boolean, nullable=False),  # its feed has been read for long enough
    Column("source", Sealed, nullable=False),
    Index("burst_articles_article", "article"),
    Index("burst_articles_story", "story"),
    Index("burst_articles_quarter", "country", "topic", "quarter"),
)

bursts = Table(
    "bursts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("country", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("started", BigInteger, nullable=False),  # quarters
    Column("last_hot", BigInteger, nullable=False),
    Column("level", Integer, nullable=False),
    Column("count", Integer, nullable=False),
    Column("revision", Text, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Index("bursts_topic", "country", "topic", "last_hot"),
    Index("bursts_seen", "seen_at"),
)

_OF_TOPIC = (counted.c.country == bindparam("of_country"), counted.c.topic == bindparam("of_topic"))
_SAME = select(counted.c.country, counted.c.topic, counted.c.article).where(
    or_(counted.c.article == bindparam("name"), counted.c.story == bindparam("same"))
)
_SERIES = select(series.c.quarter, series.c.counts).where(
    series.c.country == bindparam("of_country"), series.c.topic == bindparam("of_topic")
)
_WITHIN = (
    select(counted)
    .where(*_OF_TOPIC, counted.c.quarter.between(bindparam("first"), bindparam("last")), counted.c.counts)
    .order_by(counted.c.quarter.desc(), counted.c.article)
    .limit(bindparam("most"))
)
_OWNERS = select(func.count(counted.c.owner.distinct())).where(
    *_OF_TOPIC, counted.c.quarter.between(bindparam("first"), bindparam("last")), counted.c.counts
)
_LATEST = (
    select(bursts)
    .where(bursts.c.country == bindparam("of_country"), bursts.c.topic == bindparam("of_topic"))
    .order_by(bursts.c.last_hot.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedRow:
    """One article that was counted for a country and topic; `source` is the room's own bytes."""

    country: str
    topic: str
    article: str
    story: str
    quarter: int
    owner: str
    counts: bool
    source: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstRow:
    """One burst: from which quarter of an hour to which, and how much of it was told with which reading."""

    id: str
    country: str
    topic: str
    started: int
    last_hot: int
    level: int
    count: int
    revision: str
    seen_at: datetime


class BurstRepository:
    """Counts by country and topic, the articles behind them, and bursts."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def same(self, article: str, story: str) -> dict[Topic, set[str]]:
        """Return which articles of that id or of that story were counted lately, by what they were counted for."""
        found: dict[Topic, set[str]] = {}
        for row in self._conn.execute(_SAME, {"name": article, "same": story}):
            found.setdefault((row.country, row.topic), set()).add(row.article)
        return found

    def add(self, rows: Sequence[CountedRow]) -> None:
        """Remember articles as counted."""
        values = [{name: getattr(row, name) for name in CountedRow.__slots__} for row in rows]
        insert_ignore_all(self._conn, counted, values)

    def owners(self, topic: Topic, *, first: int, last: int) -> int:
        """Return how many owners have articles that count, from one quarter to another."""
        country, about = topic
        where = {"of_country": country, "of_topic": about, "first": first, "last": last}
        return self._conn.execute(_OWNERS, where).scalar() or 0

    def within(self, topic: Topic, *, first: int, last: int, most: int = 1_000) -> list[CountedRow]:
        """Return up to *most* articles that count, from one quarter to another, the newest first."""
        country, about = topic
        where = {"of_country": country, "of_topic": about, "first": first, "last": last, "most": most}
        rows = self._conn.execute(_WITHIN, where)
        return [CountedRow(**row._asdict()) for row in rows]

    def of_article(self, article: str) -> list[CountedRow]:
        """Return for what an article was counted lately."""
        query = select(counted).where(counted.c.article == article).order_by(counted.c.country, counted.c.topic)
        return [CountedRow(**row._asdict()) for row in self._conn.execute(query)]

    def series(self, topics: Sequence[Topic]) -> dict[Topic, tuple[int, bytes]]:
        """Return the last quarter and the counts of those of *topics* that have any."""
        found = {}
        for country, about in topics:  # mostly two: one statement for several is dearer
            row = self._conn.execute(_SERIES, {"of_country": country, "of_topic": about}).one_or_none()
            if row is not None:
                found[country, about] = (row.quarter, row.counts)
        return found

    def put_series(self, topic: Topic, *, quarter: int, counts: bytes) -> None:
        """Keep the counts of one topic."""
        country, about = topic
        values = {"country": country, "topic": about, "quarter": quarter, "counts": counts}
        upsert(self._conn, series, values, key=("country", "topic"))

    def forget(self, topic: Topic, *, before: int) -> None:
        """Forget who was counted for one topic before a quarter."""
        country, about = topic
        theirs = (counted.c.country == country, counted.c.topic == about)
        self._conn.execute(delete(counted).where(*theirs, counted.c.quarter < before))

    def latest(self, topic: Topic) -> BurstRow | None:
        """Return the last burst of a country and topic."""
        country, about = topic
        row = self._conn.execute(_LATEST, {"of_country": country, "of_topic": about}).one_or_none()
        return None if row is None else _burst(row)

    def burst(self, id: str) -> BurstRow | None:  # noqa: A002 - the domain's own word
        """Return the burst of that id."""
        row = self._conn.execute(select(bursts).where(bursts.c.id == id)).one_or_none()
        return None if row is None else _burst(row)

    def by_prefix(self, prefix: str, *, limit: int = 10) -> list[BurstRow]:
        """Return the bursts whose id starts so."""
        query = select(bursts).where(bursts.c.id.startswith(prefix, autoescape=True)).order_by(bursts.c.id)
        return [_burst(row) for row in self._conn.execute(query.limit(limit))]

    def put(self, burst: BurstRow) -> None:
        """Keep a burst in its newest state."""
        upsert(self._conn, bursts, {name: getattr(burst, name) for name in BurstRow.__slots__}, key=("id",))

    def trim(self, *, before: datetime, quarter: int, most: int) -> int:
        """Forget up to *most* of each that nobody has added to since *before*, the beginning of *quarter*."""
        gone = delete_some(self._conn, bursts.c.id, bursts.c.seen_at < before, most=most)
        gone += self._conn.execute(delete(series).where(series.c.quarter < quarter)).rowcount
        return gone + delete_some(self._conn, counted.c.article, counted.c.quarter < quarter, most=most)


def _burst(row: Row[tuple[object, ...]]) -> BurstRow:
    return BurstRow(**row._asdict())
