"""Fixtures that give any test a real server; nothing is installed or started unless a test asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NoReturn, TypeVar

import pytest

from tests.servers import kafka_jars
from tests.servers.kafka import KafkaBroker, kafka_broker
from tests.servers.postgresql import PostgresqlServer, binaries, postgresql_server
from tests.servers.processes import KEEPER
from tests.servers.setting_up import LeftOut

S = TypeVar("S")

LEFT_OUT = pytest.StashKey[dict[str, None]]()


def leave_out(config: pytest.Config, error: LeftOut) -> NoReturn:
    """Skip the test and remember why, for the summary; with `CI` set, fail it."""
    config.stash.setdefault(LEFT_OUT, {})[str(error)] = None
    if os.environ.get("CI"):
        pytest.fail(f"left out, which CI forbids: {error}", pytrace=False)
    pytest.skip(f"left out: {error}")


@contextmanager
def _or_left_out(config: pytest.Config, server: Callable[[], AbstractContextManager[S]]) -> Iterator[S]:
    try:
        opened = server()
        value = opened.__enter__()
    except LeftOut as error:
        leave_out(config, error)
    try:
        yield value
    finally:
        opened.__exit__(None, None, None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install what the collected tests ask for before the first one runs, whose time limit is for itself."""
    if session.config.option.collectonly:
        return
    asked = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    for name, install in (("postgresql_shared", _install_postgresql), ("kafka_shared", _install_kafka)):
        if name in asked:
            try:
                install()
            except LeftOut:
                continue  # told by the fixture, in every test that it concerns


def _install_postgresql() -> None:
    binaries()


def _install_kafka() -> None:
    kafka_jars.java()
    kafka_jars.jars()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out, in one line each."""
    for reason in config.stash.get(LEFT_OUT, {}):
        terminalreporter.write_line(f"left out: {reason.splitlines()[0]}", yellow=True)


def pytest_unconfigure() -> None:
    """Let the keeper go when all is over."""
    KEEPER.close()


@pytest.fixture(scope="session")
def postgresql_shared(pytestconfig: pytest.Config) -> Iterator[PostgresqlServer]:
    """The one PostgreSQL of this session, made for speed: a test that kills a server takes one of its own."""
    with _or_left_out(pytestconfig, lambda: postgresql_server(fsync=False)) as server:
        yield server


@pytest.fixture
def postgresql(postgresql_shared: PostgresqlServer) -> Iterator[str]:
    """The dsn of a fresh and empty database."""
    dsn = postgresql_shared.create_database()
    yield dsn
    postgresql_shared.drop_database(dsn)


@pytest.fixture(scope="session")
def kafka_shared(pytestconfig: pytest.Config) -> Iterator[KafkaBroker]:
    """The one broker of this session: a test that kills a broker takes one of its own."""
    with _or_left_out(pytestconfig, kafka_broker) as broker:
        yield broker


@pytest.fixture
def kafka(kafka_shared: KafkaBroker) -> str:
    """Where a client begins; tests tell their topics and groups apart by names of their own."""
    return kafka_shared.bootstrap
