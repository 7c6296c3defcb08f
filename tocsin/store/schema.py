"""What all tables share: their metadata, how an instant and a sealed blob are kept, portable upserts."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary, MetaData, String, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeDecorator
from typing_extensions import override

from tocsin.errors import RecordUnreadable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Column, ColumnElement, Connection, Executable, Table

metadata = MetaData()

# In the order of its bytes everywhere: a page that ends at an id goes on behind it, whatever language a server speaks.
Text = String().with_variant(String(collation="C"), "postgresql")
Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers a row by itself only when its key is INTEGER

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SEAL_BYTES = 4


def seal(value: bytes) -> bytes:
    """Return *value* behind its CRC-32, so that a flipped bit is noticed when it is read."""
    return zlib.crc32(value).to_bytes(SEAL_BYTES, "big") + value


def unseal(stored: bytes, *, what: str) -> bytes:
    """Return what `seal` was given.

    Raises:
        RecordUnreadable: the bytes are not those that were stored.

    """
    value = stored[SEAL_BYTES:]
    if len(stored) < SEAL_BYTES or zlib.crc32(value).to_bytes(SEAL_BYTES, "big") != stored[:SEAL_BYTES]:
        raise RecordUnreadable(f"{what}: checksum does not match")
    return value


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as whole microseconds since 1970 in UTC."""

    impl = BigInteger
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - EPOCH) // MICROSECOND

    @override
    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + int(value) * MICROSECOND


class Sealed(TypeDecorator[bytes]):
    """Bytes with a checksum; reading damaged ones raises `RecordUnreadable`."""

    impl = LargeBinary
    cache_ok = True

    @override
    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return None if value is None else seal(value)

    @override
    def process_result_value(self, value: Any | None, dialect: Dialect) -> bytes | None:
        return None if value is None else unseal(bytes(value), what="stored state")


def insert_ignore(conn: Connection, table: Table, values: Mapping[str, object]) -> bool:
    """Insert one row; return False, and change nothing, when a unique key is there already."""
    return conn.execute(_insert_ignore(table, conn.dialect.name), dict(values)).rowcount == 1


def insert_ignore_all(conn: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> int:
    """Insert all *rows* that collide with no unique key; return how many those are."""
    return conn.execute(_insert_ignore(table, conn.dialect.name), [dict(row) for row in rows]).rowcount if rows else 0


@lru_cache(maxsize=256)
def _insert_ignore(table: Table, dialect: str) -> Executable:
    """Build the statement once a table: building it costs as much as running it."""
    build = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return build(table).on_conflict_do_nothing()


def upsert(conn: Connection, table: Table, values: Mapping[str, object], *, key: Sequence[str]) -> None:
    """Insert one row, or give the row with the same *key* these values."""
    conn.execute(_upsert(table, conn.dialect.name, tuple(values), tuple(key)), dict(values))


@lru_cache(maxsize=256)
def _upsert(table: Table, dialect: str, names: tuple[str, ...], key: tuple[str, ...]) -> Executable:
    build = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = build(table)
    changed = {name: statement.excluded[name] for name in names if name not in key}
    return statement.on_conflict_do_update(index_elements=list(key), set_=changed)


def delete_some(conn: Connection, key: Column[Any], *conditions: ColumnElement[bool], most: int) -> int:
    """Delete the rows of up to *most* values of *key* that *conditions* hold for; return how many rows.

    One delete of everything would keep the store's writer from everybody else for as long as it takes.
    """
    some = select(key).where(*conditions).limit(most)
    return conn.execute(delete(key.table).where(key.in_(some), *conditions)).rowcount
