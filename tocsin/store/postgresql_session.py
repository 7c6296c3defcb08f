"""One connection to PostgreSQL: how it is opened, when it counts as lost, and what its errors mean for the work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.dbapi20 import Binary, BinaryBinaryDumper
from psycopg.pq import TransactionStatus
from psycopg.types.string import StrBinaryDumper, StrDumper, StrDumperUnknown
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from typing_extensions import override

from tocsin.addresses import is_loopback
from tocsin.errors import StoreDamaged, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg.abc import Buffer, PQGen
    from sqlalchemy import Connection

    from tocsin.store.settings import Timeouts

RV = TypeVar("RV")

OLDEST_VERSION: Final = 130000  # the oldest that was tried
PATIENCE_S: Final = 5.0  # beyond what the server itself allows a statement: then it is the server that hangs
WAIT_TICK_S: Final = 0.1  # psycopg's own
_KEEPALIVES: Final = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_UNACKNOWLEDGED_MS: Final = 10_000  # bytes that the other machine's kernel did not confirm

ERRORS: Final = (psycopg.Error, DBAPIError)

PROGRAM: Final = "tocsin"  # by which sessions of ours are known among all of the database
_VANISHED_AFTER_S: Final = 10  # without an answer of the other machine's kernel: what its sessions hold is let go

_LOST: Final = ("08", "57P01", "57P02", "57P03", "57P05", "25P03")
_CONFLICT: Final = ("40001", "40P01", "55P03")
_PASSING: Final = ("08", "25006", "25P03", "28", "3D000", "53", "55000", "57", "58")
_DAMAGED: Final = ("XX001", "XX002")
_DISK_FULL: Final = "53100"

_SET_UP: Final = """
SELECT pg_backend_pid() AS pid,
       (SELECT backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()) AS started,
       current_setting('server_encoding') AS encoding,
       current_setting('server_version_num')::int AS version,
       set_config('statement_timeout', %(statement)s, false),
       set_config('lock_timeout', %(lock)s, false),
       set_config('idle_in_transaction_session_timeout', %(idle)s, false),
       set_config('tcp_keepalives_idle', %(half)s, false),
       set_config('tcp_keepalives_interval', '1', false),
       set_config('tcp_keepalives_count', %(half)s, false),
       set_config('jit', 'off', false),
       CASE current_setting('synchronous_commit')
           WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which backend a connection has; process ids come again."""

    pid: int
    started: str


class Session(psycopg.Connection[Any]):
    """A connection that gives up on a server which does not answer."""

    patience_s: float = 30.0
    identity: Identity

    @override
    def wait(self, gen: PQGen[RV], interval: float = WAIT_TICK_S, timeout: float | None = None) -> RV:
        return super().wait(gen, interval, self.patience_s if timeout is None else timeout)

    @property
    def is_lost(self) -> bool:
        """Whether nothing more can be said over it."""
        return self.closed or self.broken

    @property
    def has_refused(self) -> bool:
        """Whether a statement of this transaction failed, so that nothing of it can be committed."""
        return self.info.transaction_status == TransactionStatus.INERROR


def storable(text: str) -> bytes:
    """Return *text* as PostgreSQL takes it: no NUL and no half of a surrogate, which SQLite would keep."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace")


class _Text(StrDumper):
    @override
    def dump(self, obj: str) -> Buffer | None:
        return storable(obj)


class _TextUnknown(StrDumperUnknown):
    @override
    def dump(self, obj: str) -> Buffer | None:
        return storable(obj)


class _TextBinary(StrBinaryDumper):
    @override
    def dump(self, obj: str) -> Buffer | None:
        return storable(obj)


def parsed(dsn: str) -> dict[str, Any]:
    """Return the parts of a connection string.

    Raises:
        ValueError: it is none. Nothing of it is shown, as it holds a password.
    """
    try:
        return dict(conninfo.conninfo_to_dict(dsn))
    except psycopg.Error:
        pass
    raise ValueError("this is no connection string: write postgresql://USER:PASSWORD@HOST:PORT/DATABASE")


def goes_abroad(parts: Mapping[str, Any]) -> bool:
    """Whether what is said on such a connection leaves this machine."""
    hosts = [name for key in ("host", "hostaddr") for name in str(parts.get(key) or "").split(",") if name]
    return not all(host.startswith(("/", "@")) or is_loopback(host) for host in hosts)


def where(dsn: str) -> str:
    """Return what a connection string leads to, for messages."""
    parts = parsed(dsn)
    return f"database {parts.get('dbname') or parts.get('user')!r} at {parts.get('host') or 'this machine'}"


def connect(dsn: str, *, timeouts: Timeouts, name: str, patience_s: float | None = None) -> Session:
    """Open a connection and set it up; what *dsn* itself says of it is left as it is.

    Raises:
        psycopg.Error: it cannot be had.
        StoreDamaged: the database is of no use to us as it was made.
    """
    ours: dict[str, Any] = {
        **_KEEPALIVES,
        "tcp_user_timeout": _UNACKNOWLEDGED_MS,
        "connect_timeout": max(2, round(timeouts.connect.total_seconds())),
        "target_session_attrs": "read-write",  # after a fail-over: the new primary, not the old one
        "client_encoding": "UTF8",
    }
    theirs = parsed(dsn)
    named = f"{PROGRAM} {theirs.pop('application_name', None) or name}".strip()  # by which `PROGRAM` finds it
    if goes_abroad(theirs):
        ours["sslmode"] = "require"  # libpq's own default goes on in plain text when the server has no TLS
    session = Session.connect(
        conninfo.make_conninfo("", **{**ours, **theirs, "application_name": named}), autocommit=True
    )
    try:
        session.patience_s = timeouts.connect.total_seconds()
        for dumper in (_TextBinary, _Text, _TextUnknown):  # the last one is taken where the type is not known
            session.adapters.register_dumper(str, dumper)
        session.adapters.register_dumper(Binary, BinaryBinaryDumper)  # else written out in hexadecimal digits
        limits = {
            "statement": str(round(timeouts.statement.total_seconds() * 1000)),
            "lock": str(round(timeouts.lock.total_seconds() * 1000)),
            "idle": str(round(timeouts.idle_in_transaction.total_seconds() * 1000)),
            "half": str(_VANISHED_AFTER_S // 2),
        }
        session.identity = _known(session.execute(_SET_UP, limits).fetchone(), at=where(dsn))
        session.patience_s = timeouts.statement.total_seconds() + PATIENCE_S if patience_s is None else patience_s
    except BaseException:
        session.close()
        raise
    return session


def _known(row: Any, *, at: str) -> Identity:  # noqa: ANN401 — psycopg's rows are untyped
    pid, started, encoding, version, *_ = row
    if version < OLDEST_VERSION:
        raise StoreDamaged(f"{at} is PostgreSQL {version // 10000}: 13 or later is needed")
    if encoding != "UTF8":
        raise StoreDamaged(f"{at} is encoded as {encoding}: make it anew with ENCODING 'UTF8'")
    return Identity(pid=pid, started=started)


def engine(dsn: str, *, timeouts: Timeouts, name: str, patience_s: float | None = None) -> Engine:
    """Return an engine that keeps no connection by itself; BEGIN and COMMIT are its user's."""
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(dsn, timeouts=timeouts, name=name, patience_s=patience_s),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        use_native_hstore=False,
        execution_options={"preserve_rowcount": True},  # of an INSERT as well: `insert_ignore` asks for it
        hide_parameters=True,  # they are texts of articles, and what people are called
    )


def session_of(conn: Connection) -> Session:
    """Return the driver's connection behind *conn*."""
    session = conn.connection.driver_connection
    assert isinstance(session, Session)
    return session


def sqlstate(error: BaseException) -> str:
    """Return PostgreSQL's code for *error*, or that of its cause; nothing when the server did not say one."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return (cause.sqlstate or "") if isinstance(cause, psycopg.Error) else ""


def words(error: BaseException) -> str:
    """Return in one line what the database says; what was asked of it is left out."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return " ".join(str(cause).split()) or type(cause).__name__


def is_loss(error: BaseException) -> bool:
    """Whether *error* means that the connection is gone, or that the server no longer answers on it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = sqlstate(error)
    return code.startswith(_LOST) or (not code and isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError))


def lost() -> Exception:
    """Return the error of a connection that is gone, where nothing raised it."""
    return psycopg.OperationalError("the connection was lost")


def is_conflict(error: BaseException) -> bool:
    """Whether *error* comes of another transaction and is mended by running ours again."""
    return sqlstate(error).startswith(_CONFLICT)


def translated(error: Exception, *, at: str) -> Exception:
    """Turn the database's error into the fate it means for the work; a unit's own mistakes stay as they are."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(cause, psycopg.Error):
        return error
    code = sqlstate(error)
    said = f"{at}: {words(error)}"
    if code == _DISK_FULL:
        return StoreFull(said)
    if code in _DAMAGED:
        return StoreDamaged(said)
    return StoreUnavailable(said) if is_loss(error) or is_conflict(error) or code.startswith(_PASSING) else error
