"""Migrations make what the code expects, and take it away again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect

from tocsin.errors import StoreDamaged
from tocsin.store.everything import metadata
from tocsin.store.migrate import HEAD, migrate, revision
from tocsin.testing import a_store

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return create_engine(f"sqlite:///{tmp_path / 'm.db'}", isolation_level="AUTOCOMMIT")


def differences(conn: Connection) -> list[object]:
    context = MigrationContext.configure(conn, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(engine: Engine) -> None:
    migrate(engine)

    with engine.connect() as conn:
        assert differences(conn) == []
        assert revision(conn) == HEAD
    engine.dispose()


def test_what_was_migrated_up_can_be_migrated_down(engine: Engine) -> None:
    migrate(engine)

    migrate(engine, to="base")

    assert inspect(engine).get_table_names() == ["alembic_version"]
    migrate(engine)
    engine.dispose()


def test_a_second_migration_changes_nothing(engine: Engine) -> None:
    for _ in range(2):
        migrate(engine)

    with engine.connect() as conn:
        assert differences(conn) == []
    engine.dispose()


async def test_a_store_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await store.write(lambda tx: tx.conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreDamaged, match="9999"):
        async with a_store(tmp_path):
            pass
