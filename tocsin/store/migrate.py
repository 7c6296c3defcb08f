"""Bring a database to the schema of this version, or say that it is of a later one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect, text

from tocsin.errors import StoreDamaged

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

HEAD: Final = "0003"
SCRIPTS: Final = Path(__file__).with_name("migrations")

# One process migrates at a time; the others wait as long as that takes, and then find nothing to do.
_BEGIN: Final = {
    "sqlite": ("BEGIN IMMEDIATE",),
    "postgresql": (
        "BEGIN",
        "SET LOCAL lock_timeout = 0",
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL idle_in_transaction_session_timeout = 0",
        "SELECT pg_advisory_xact_lock(8101410353310985)",  # any number, of this use alone
    ),
}


def migrate(engine: Engine, *, to: str = HEAD) -> None:
    """Bring the schema to revision *to*, in one transaction.

    Alembic is imported only when there is something to do: it costs 1.3 s.

    Raises:
        StoreDamaged: the database was written by a later version.
    """
    with engine.connect() as conn:
        if _is_there(conn, to):
            return
        from alembic import command  # noqa: PLC0415 — see above
        from alembic.config import Config  # noqa: PLC0415 — see above

        config = Config()
        config.set_main_option("script_location", str(SCRIPTS))
        config.attributes["connection"] = conn
        for statement in _BEGIN[conn.dialect.name]:
            conn.exec_driver_sql(statement)
        try:
            found = revision(conn)
            if not _is_there(conn, to):
                down = found is not None and (to == "base" or to < found)
                (command.downgrade if down else command.upgrade)(config, to)
        except BaseException:
            conn.exec_driver_sql("ROLLBACK")
            raise
        conn.exec_driver_sql("COMMIT")


def _is_there(conn: Connection, to: str) -> bool:
    found = revision(conn)
    if found is not None and found > HEAD:
        raise StoreDamaged(f"the store's schema is {found}, this version knows {HEAD}: run the version that wrote it")
    return found == to


def revision(conn: Connection) -> str | None:
    """Return the schema's revision; None for a new database."""
    if not inspect(conn).has_table("alembic_version"):
        return None
    found = conn.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)
