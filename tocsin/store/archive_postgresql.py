"""The archive in PostgreSQL: one partition a week, or a day where much comes, dropped whole; with full-text search.

Dropping a partition is all that makes room, so none may be all the room there is: a week that would be more than its
share of it is cut into days. The tables are in a schema of their own, which this module makes and nobody migrates.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy import (
    BigInteger,
    LargeBinary,
    String,
    bindparam,
    column,
    create_engine,
    func,
    select,
    table,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.exc import DBAPIError

from tocsin.errors import RecordUnreadable, StoreDamaged, StoreUnavailable
from tocsin.store.archive import Kept
from tocsin.store.postgresql_session import connect, sqlstate, translated, words
from tocsin.store.schema import EPOCH, MICROSECOND
from tocsin.store.settings import Timeouts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

log = structlog.get_logger()

LOCK: Final = 0x70C51A2C  # any number: one worker at a time makes a table
AT: Final = "archive"
DAY_US: Final = 86_400_000_000
DAYS_A_WEEK: Final = 7
MONDAY: Final = 4  # of the days since 1970-01-01, a Thursday
PARTS: Final = 8  # of the allowed size: what trimming drops at once is at most such a share, or a day
LOOKED_BACK_DAYS: Final = 14  # how far, to tell what a week brings
TEXT_LIMIT: Final = 200_000  # characters
# A tsvector holds 1,048,575 bytes at most, else the row is refused. It takes 8 bytes for a word of three, which with
# its space are 4 here, and for all others less than twice what they are here.
INDEXED_BYTES: Final = 500_000
_GONE: Final = ("23514", "42P01", "3F000")  # no such week, table or schema: dropped since we looked
_REFUSED_US: Final = "42"  # rights, names: what has nothing to do with the record
_COMPRESSION: Final = 1
_NAME: Final = re.compile(r"records_\d{4}_\d{2}_\d{2}")
_BOUNDS: Final = re.compile(r"FROM \('?(?P<begin>-?\d+)'?\) TO \('?(?P<end>-?\d+)'?\)")
_LONGEST_CHARACTER: Final = 4  # bytes
_SPACE: Final = ord(" ")
_REMEMBERED: Final = 0xFFFF  # what lies beyond is rare, and a stranger could send a million of it

_SCHEMA: Final = """
CREATE SCHEMA IF NOT EXISTS archive;
CREATE TABLE IF NOT EXISTS archive.records (
    kind text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL,
    seen_at bigint NOT NULL, url text COLLATE "C" NOT NULL, words tsvector NOT NULL, value bytea NOT NULL,
    PRIMARY KEY (kind, id, seen_at)
) PARTITION BY RANGE (seen_at);
CREATE INDEX IF NOT EXISTS records_key ON archive.records (kind, key);
CREATE INDEX IF NOT EXISTS records_url ON archive.records (url) WHERE url <> '';
CREATE INDEX IF NOT EXISTS records_seen ON archive.records (kind, seen_at, id);
CREATE INDEX IF NOT EXISTS records_words ON archive.records USING gin (words);
"""
_records: Final = table(
    "records",
    column("kind", String),
    column("id", String),
    column("key", String),
    column("seen_at", BigInteger),
    column("url", String),
    column("words", TSVECTOR),
    column("value", LargeBinary),
    schema="archive",
)
_c: Final = _records.c
_FOUND: Final = select(_c.kind, _c.id, _c.key, _c.seen_at, _c.url, _c.value).where(_c.kind == bindparam("of_kind"))
_NEWEST: Final = (_c.seen_at.desc(), _c.id.desc())
_LATEST: Final = _FOUND.where(tuple_(_c.seen_at, _c.id) < tuple_(bindparam("instant"), bindparam("last")))
_BY_KEY: Final = _FOUND.where(_c.key == bindparam("of_key")).order_by(*_NEWEST)
_BY_URL: Final = _FOUND.where(_c.url == bindparam("of_url"), _c.url != "").order_by(*_NEWEST)
_SEARCH: Final = _FOUND.where(_c.words.op("@@")(func.plainto_tsquery(text("'simple'"), bindparam("terms"))))
# All rows by one statement, in binary: a statement for each takes the server twice as long, and text takes us as long.
_PUT: Final = (
    "INSERT INTO archive.records (kind, id, key, seen_at, url, words, value)"
    " SELECT kind, id, key, seen_at, url, to_tsvector('simple', told), value"
    " FROM unnest(%(kind)b::text[], %(id)b::text[], %(key)b::text[], %(seen_at)b::bigint[],"
    " %(url)b::text[], %(told)b::text[], %(value)b::bytea[])"
    " AS given (kind, id, key, seen_at, url, told, value) ON CONFLICT DO NOTHING"
)
_PARTS: Final = text(
    "SELECT child.relname AS name, pg_total_relation_size(child.oid) AS size,"
    " pg_get_expr(child.relpartbound, child.oid) AS bounds FROM pg_inherits"
    " JOIN pg_class child ON child.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent"
    " JOIN pg_namespace space ON space.oid = parent.relnamespace"
    " WHERE parent.relname = 'records' AND space.nspname = 'archive' ORDER BY child.relname"
)
_LAST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Part:
    """A partition that this module made: from *begin* to before *end*, in microseconds since 1970."""

    name: str
    begin: int
    end: int
    size: int = 0

    def holds(self, instant: int) -> bool:
        """Say whether a record of *instant* lies here."""
        return self.begin <= instant < self.end


class PostgresqlArchive:
    """`Archive` in the database of the store, `size` bytes at most. Every method blocks: call it in a thread."""

    def __init__(self, dsn: str, *, size: int, timeouts: Timeouts | None = None, name: str = "tocsin") -> None:
        timeouts = timeouts or Timeouts()
        self._engine = create_engine(
            "postgresql+psycopg://",
            creator=lambda: connect(dsn, timeouts=timeouts, name=name),
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            hide_parameters=True,
        )
        self.size = size
        self._ready = False
        self._made: list[Part] = []

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def put(self, kept: Sequence[Kept]) -> None:
        """Keep records; what is there already stays as it is.

        Raises:
            RecordUnreadable: one of them the database will never take; nothing was kept.
            StoreFull, StoreUnavailable: nothing was kept.
        """
        if not kept:
            return
        columns = _columns(kept)
        try:
            try:
                self._put(kept, columns)
            except _Gone:
                self._put(kept, columns)
        except DBAPIError as error:
            raise RecordUnreadable(f"{AT}: {words(error)}") from error

    def latest(self, kind: str, *, limit: int, before: tuple[datetime, str] | None = None) -> list[Kept]:
        """Return a page, the newest first; *before* is the instant and id of the last one seen."""
        instant, last = (_micros(before[0]), before[1]) if before else (_LAST, "")
        return self._found(_LATEST.order_by(*_NEWEST).limit(limit), of_kind=kind, instant=instant, last=last)

    def by_key(self, kind: str, key: str) -> list[Kept]:
        """Return all of one key, the newest first."""
        return self._found(_BY_KEY, of_kind=kind, of_key=key)

    def by_url(self, kind: str, url: str) -> list[Kept]:
        """Return all of one URL, the newest first."""
        return self._found(_BY_URL, of_kind=kind, of_url=url)

    def search(self, kind: str, words: str, *, limit: int = 50) -> list[Kept]:
        """Return what holds all of *words* in title or text, the newest first."""
        terms = _folded(words).strip()
        if not terms:
            return []
        return self._found(_SEARCH.order_by(*_NEWEST).limit(limit), of_kind=kind, terms=terms)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each partition by its name, the oldest first."""
        with self._asking() as conn:
            return {row.name: int(row.size) for row in conn.execute(_PARTS)}

    def trim(self, *, now: datetime, keep: timedelta) -> list[str]:
        """Drop what ended before *keep* ago, then the oldest parts while all together are larger than allowed.

        The newest part stays. Returns the names of what was dropped.
        """
        oldest_kept = _micros(now - keep)
        sizes = self.sizes()
        with self._asking() as conn:
            parts = _parts(conn)
        dropped: list[str] = []
        for part in parts[:-1]:
            if part.end <= oldest_kept or sum(sizes.values()) > self.size:
                with self._asking() as conn:
                    conn.execute(text(f"DROP TABLE IF EXISTS archive.{part.name}"))
                    conn.commit()
                self._made = [made for made in self._made if made.name != part.name]
                sizes.pop(part.name, None)
                dropped.append(part.name)
        return dropped

    def _put(self, kept: Sequence[Kept], columns: Mapping[str, list[object]]) -> None:
        with self._asking() as conn:
            self._make_for(conn, kept)
            conn.exec_driver_sql(_PUT, dict(columns))
            conn.commit()

    def _make_for(self, conn: Connection, kept: Sequence[Kept]) -> None:
        """Make the parts that *kept* falls into; several workers may want to at once."""
        days = sorted({_micros(record.seen_at) // DAY_US for record in kept})
        if all(_is_among(self._made, day) for day in days):
            return
        conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        parts = _parts(conn)
        for day in days:
            if _is_among(parts, day):
                continue
            new = next_part(day, parts, most=self.size // PARTS)
            ends = f"FROM ({new.begin}) TO ({new.end})"
            conn.execute(
                text(f"CREATE TABLE IF NOT EXISTS archive.{new.name} PARTITION OF archive.records FOR VALUES {ends}")
            )
            parts.append(new)
        conn.commit()
        self._made = parts

    def _found(self, query: Select[Any], **values: object) -> list[Kept]:
        with self._asking() as conn:
            found = conn.execute(query, values).all()
        return list(_kept(found))

    @contextmanager
    def _asking(self) -> Iterator[Connection]:
        """Hand out a connection to a database that has our tables; what it says of a record itself stays as it is."""
        try:
            with self._engine.connect() as conn:
                if not self._ready:
                    conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
                    conn.execute(text(_SCHEMA))
                    conn.commit()
                    self._ready = True
                yield conn
        except DBAPIError as error:
            self._ready = False
            self._made = []
            code = sqlstate(error)
            if code in _GONE:
                raise _Gone(f"{AT}: {words(error)}") from error
            if code.startswith(_REFUSED_US):
                raise StoreUnavailable(f"{AT}: {words(error)}") from error
            meant = translated(error, at=AT)
            if meant is error:
                raise
            # Alerts go on without an archive, so a damaged one ends no process.
            raise (StoreUnavailable(str(meant)) if isinstance(meant, StoreDamaged) else meant) from error


class _Gone(StoreUnavailable):
    """What we took to be there was dropped by another worker, or by hand."""


def _columns(kept: Sequence[Kept]) -> dict[str, list[object]]:
    return {
        "kind": [record.kind for record in kept],
        "id": [record.id for record in kept],
        "key": [record.key for record in kept],
        "seen_at": [_micros(record.seen_at) for record in kept],
        "url": [record.url for record in kept],
        "told": [_folded(f"{record.title} {record.text}") for record in kept],
        "value": [zlib.compress(record.value, _COMPRESSION) for record in kept],
    }


def _folded(told: str) -> str:
    """Return the words of *told* without accents, as the embedded archive's index folds them, as many as go into one.

    Without what stands between them: PostgreSQL would take `a/b` for a file and `c.d` for a host, and where its
    locale is C a quotation mark for a letter.
    """
    told = told[:TEXT_LIMIT]
    if told.isascii():
        return told.translate(_FOLDED).lower()
    return _cut(unicodedata.normalize("NFKD", told).casefold().translate(_FOLDED))


def _cut(folded: str) -> str:
    """Return as many words as a tsvector holds: in NFKD one character may have become six."""
    if len(folded) * _LONGEST_CHARACTER <= INDEXED_BYTES:
        return folded
    encoded = folded.encode("utf-8")
    return encoded[:INDEXED_BYTES].rpartition(b" ")[0].decode("utf-8") if len(encoded) > INDEXED_BYTES else folded


class _Folded(dict[int, int | None]):
    """What becomes of a character: letters and digits stay, marks go, all else is a space. Each is looked up once."""

    def __missing__(self, code: int) -> int | None:
        letter = chr(code)
        folded = None if unicodedata.combining(letter) else code if letter.isalnum() else _SPACE
        if code <= _REMEMBERED:
            self[code] = folded
        return folded


_FOLDED: Final = _Folded()


def _kept(rows: Iterable[Row[Any]]) -> Iterator[Kept]:
    for row in rows:
        try:
            value = zlib.decompress(row.value)
        except zlib.error as error:
            log.error("archived record unreadable", kind=row.kind, record=row.id, reason=str(error))  # noqa: TRY400 — a flipped bit has no traceback
            continue
        yield Kept(
            kind=row.kind,
            id=row.id,
            key=row.key,
            seen_at=EPOCH + row.seen_at * MICROSECOND,
            url=row.url,
            value=value,
        )


def _micros(instant: datetime) -> int:
    return (instant - EPOCH) // MICROSECOND


def next_part(day: int, parts: Sequence[Part], *, most: int) -> Part:
    """Return the part to make for a *day* (since 1970, in UTC) that none of *parts* holds.

    The rest of its week, where that can be told to stay below *most* bytes; else, or between others, that day alone.
    """
    begin, monday = day, day + DAYS_A_WEEK - (day - MONDAY) % DAYS_A_WEEK
    end = min([monday, *(part.begin // DAY_US for part in parts if part.begin >= (day + 1) * DAY_US)])
    lately = [part for part in parts if (day - LOOKED_BACK_DAYS) * DAY_US <= part.begin < day * DAY_US]
    a_day = max((part.size * DAY_US / (min(part.end, day * DAY_US) - part.begin) for part in lately), default=None)
    if a_day is None or a_day * DAYS_A_WEEK > most:
        end = day + 1
    named = EPOCH + timedelta(days=begin)
    return Part(f"records_{named:%Y_%m_%d}", begin * DAY_US, end * DAY_US)


def _parts(conn: Connection) -> list[Part]:
    """Return what we made, the oldest first; nothing that somebody made or attached by hand."""
    found = []
    for row in conn.execute(_PARTS):
        bounds = _BOUNDS.search(row.bounds or "")
        if bounds is not None and _NAME.fullmatch(row.name):
            found.append(Part(row.name, int(bounds["begin"]), int(bounds["end"]), int(row.size)))
    return sorted(found, key=lambda part: part.begin)


def _is_among(parts: Sequence[Part], day: int) -> bool:
    return any(part.holds(day * DAY_US) for part in parts)
