"""The same tests against both stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.servers.postgresql import PostgresqlServer
from tocsin.store.port import Store
from tocsin.store.tx import Tx
from tocsin.testing import a_cluster_store, a_cluster_transaction, a_store, a_transaction

OpenStore = Callable[[], AbstractAsyncContextManager[Store]]


@pytest.fixture(scope="session")
def with_tables(postgresql_shared: PostgresqlServer) -> str:
    """The name of a database that has all tables and no rows, to be copied."""
    dsn = postgresql_shared.create_database()
    with a_cluster_transaction(dsn):
        pass
    return dsn.rpartition("/")[2]


@pytest.fixture
def cluster(postgresql_shared: PostgresqlServer, with_tables: str) -> Iterator[str]:
    """The dsn of a database of its own that has all tables."""
    dsn = postgresql_shared.create_database(template=with_tables)
    yield dsn
    postgresql_shared.drop_database(dsn)


@pytest.fixture(params=["sqlite", "postgresql"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Return what opens a store; a second call finds what the first one left."""
    if request.param == "sqlite":
        return partial(a_store, tmp_path)
    return partial(a_cluster_store, request.getfixturevalue("cluster"))


@pytest.fixture
async def store(open_store: OpenStore) -> AsyncIterator[Store]:
    async with open_store() as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def tx(request: pytest.FixtureRequest) -> Iterator[Tx]:
    """A transaction on an empty database."""
    if request.param == "sqlite":
        with a_transaction() as transaction:
            yield transaction
    else:
        with a_cluster_transaction(request.getfixturevalue("cluster")) as transaction:
            yield transaction
