"""Migrations make what the code expects, and take it away again, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect

from tocsin.errors import StoreDamaged
from tocsin.store.everything import metadata
from tocsin.store.migrate import HEAD, migrate, revision
from tocsin.store.postgresql_session import engine as cluster_engine
from tocsin.store.settings import Timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from sqlalchemy import Engine

    from tocsin.store.port import Store

TIMEOUTS = Timeouts()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        made = create_engine(f"sqlite:///{tmp_path / 'm.db'}", isolation_level="AUTOCOMMIT")
    else:
        made = cluster_engine(request.getfixturevalue("postgresql"), timeouts=TIMEOUTS, name="migration")
    yield made
    made.dispose()


def differences(conn: Connection) -> list[object]:
    context = MigrationContext.configure(conn, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(engine: Engine) -> None:
    migrate(engine)

    with engine.connect() as conn:
        assert differences(conn) == []
        assert revision(conn) == HEAD


def test_what_was_migrated_up_can_be_migrated_down(engine: Engine) -> None:
    migrate(engine)

    migrate(engine, to="base")

    with engine.connect() as conn:
        assert inspect(conn).get_table_names() == ["alembic_version"]
    migrate(engine)


def test_each_step_leads_to_what_the_next_one_needs_and_back(engine: Engine) -> None:
    for to in ("0001", "0002", HEAD, "0002", "0001", HEAD):
        migrate(engine, to=to)

        with engine.connect() as conn:
            assert revision(conn) == to


def test_a_second_migration_changes_nothing(engine: Engine) -> None:
    for _ in range(2):
        migrate(engine)

    with engine.connect() as conn:
        assert differences(conn) == []


def test_a_migration_that_fails_leaves_everything_as_it_was(engine: Engine) -> None:
    with engine.connect() as conn:
        conn.exec_driver_sql("CREATE TABLE stream_seen (mine INTEGER)")

    with pytest.raises(Exception, match="stream_seen"):
        migrate(engine)

    with engine.connect() as conn:
        assert inspect(conn).get_table_names() == ["stream_seen"]


def test_workers_that_start_at_once_on_an_empty_database_do_not_collide(postgresql: str) -> None:
    def start(number: int) -> None:
        migrate(cluster_engine(postgresql, timeouts=TIMEOUTS, name=f"worker {number}"))

    with ThreadPoolExecutor(6) as workers:
        list(workers.map(start, range(6)))

    with cluster_engine(postgresql, timeouts=TIMEOUTS, name="look").connect() as conn:
        assert differences(conn) == []


async def test_a_store_of_a_later_version_is_left_alone(
    open_store: Callable[[], AbstractAsyncContextManager[Store]],
) -> None:
    async with open_store() as store:
        await store.write(lambda tx: tx.conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreDamaged, match="9999"):
        async with open_store():
            pass


def test_text_is_in_byte_order_on_postgresql_whatever_the_database_speaks(postgresql: str) -> None:
    query = """
        SELECT table_name || '.' || column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name <> 'alembic_version'
            AND data_type IN ('text', 'character varying') AND collation_name IS DISTINCT FROM 'C'
    """
    engine = cluster_engine(postgresql, timeouts=TIMEOUTS, name="look")
    migrate(engine)
    with engine.connect() as conn:
        otherwise = conn.exec_driver_sql(query).scalars().all()

    assert otherwise == [], "use tocsin.store.schema.Text"
