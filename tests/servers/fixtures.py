"""Fixtures that give any test a real server; nothing is installed or started unless a test asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NoReturn, TypeVar

import pytest

from tests.servers.kafka import KafkaBroker, KafkaCluster, kafka_broker, kafka_cluster as open_cluster
from tests.servers.postgresql import PostgresqlServer, postgresql_server
from tests.servers.processes import KEEPER
from tests.servers.setting_up import LeftOut

S = TypeVar("S")

LEFT_OUT = pytest.StashKey[dict[str, None]]()
TIMER = pytest.StashKey[tuple[pytest.Item, object] | None]()


def leave_out(config: pytest.Config, error: LeftOut) -> NoReturn:
    """Skip the test and remember why, for the summary; with `CI` set, fail it."""
    config.stash.setdefault(LEFT_OUT, {})[str(error)] = None
    if os.environ.get("CI"):
        pytest.fail(f"left out, and with CI set nothing may be: {error}", pytrace=False)
    pytest.skip(f"left out: {error}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out, in one line each."""
    for reason in config.stash.get(LEFT_OUT, {}):
        terminalreporter.write_line(f"left out: {reason.splitlines()[0]}", yellow=True)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: object) -> None:
    """Note that pytest-timeout has begun to count the time of a test."""
    item.config.stash[TIMER] = (item, settings)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> None:
    """Note that it has stopped."""
    item.config.stash[TIMER] = None


@contextmanager
def unhurried(config: pytest.Config) -> Iterator[None]:
    """Let what is done here, which has limits of its own, not count as time of the test that happens to be first."""
    timer = config.stash.get(TIMER, None)
    if timer is None:
        yield
        return
    item, settings = timer
    config.hook.pytest_timeout_cancel_timer(item=item)
    try:
        yield
    finally:
        config.hook.pytest_timeout_set_timer(item=item, settings=settings)


@contextmanager
def or_left_out(config: pytest.Config, server: Callable[[], AbstractContextManager[S]]) -> Iterator[S]:
    """Open a server without hurry; where it can't be had the test is left out.

    For fixtures of one's own: `with or_left_out(pytestconfig, lambda: kafka_broker(settings=…)) as broker:`.
    """
    with unhurried(config):
        try:
            opened = server()
            value = opened.__enter__()
        except LeftOut as error:
            leave_out(config, error)
    try:
        yield value
    finally:
        opened.__exit__(None, None, None)


def pytest_unconfigure() -> None:
    """Let the keeper go when all is over."""
    KEEPER.close()


@pytest.fixture(scope="session")
def postgresql_shared(pytestconfig: pytest.Config) -> Iterator[PostgresqlServer]:
    """The one PostgreSQL of this session, made for speed: a test that kills a server takes one of its own."""
    with or_left_out(pytestconfig, lambda: postgresql_server(fsync=False)) as server:
        yield server


@pytest.fixture
def postgresql(postgresql_shared: PostgresqlServer) -> Iterator[str]:
    """The dsn of a fresh and empty database."""
    dsn = postgresql_shared.create_database()
    yield dsn
    postgresql_shared.drop_database(dsn)


@pytest.fixture
def own_postgresql(pytestconfig: pytest.Config) -> Iterator[PostgresqlServer]:
    """A server for this test alone, to be stopped and killed; it writes to disk in earnest."""
    with or_left_out(pytestconfig, postgresql_server) as server:
        yield server


@pytest.fixture(scope="session")
def kafka_shared(pytestconfig: pytest.Config) -> Iterator[KafkaBroker]:
    """The one broker of this session: a test that kills a broker takes one of its own."""
    with or_left_out(pytestconfig, kafka_broker) as broker:
        yield broker


@pytest.fixture
def kafka(kafka_shared: KafkaBroker) -> str:
    """Where a client begins; tests tell their topics and groups apart by names of their own."""
    return kafka_shared.bootstrap


@pytest.fixture
def own_kafka(pytestconfig: pytest.Config) -> Iterator[KafkaBroker]:
    """A broker for this test alone, to be stopped and killed."""
    with or_left_out(pytestconfig, kafka_broker) as broker:
        yield broker


@pytest.fixture(scope="session")
def secured_kafka(pytestconfig: pytest.Config) -> Iterator[KafkaBroker]:
    """The one broker of this session that wants to know who comes: see `broker.security` and `broker.address(…)`."""
    with or_left_out(pytestconfig, lambda: kafka_broker(secured=True)) as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_cluster_shared(pytestconfig: pytest.Config) -> Iterator[KafkaCluster]:
    """The one cluster of this session; ask for `kafka_cluster`, which heals it after each test."""
    with or_left_out(pytestconfig, open_cluster) as cluster:
        yield cluster


@pytest.fixture
def kafka_cluster(pytestconfig: pytest.Config, kafka_cluster_shared: KafkaCluster) -> Iterator[KafkaCluster]:
    """Three brokers, all there at the start of each test, which may pause and kill them one by one."""
    yield kafka_cluster_shared
    with unhurried(pytestconfig):
        kafka_cluster_shared.heal()
