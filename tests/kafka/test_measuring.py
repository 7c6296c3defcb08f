"""What is told of a cluster's process while the brokers or the database are away: that is when somebody asks."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.requests import Request

from tests.kafka.houses import a_stream, relaying, some_settings
from tests.servers.postgresql import PostgresqlServer
from tocsin import metrics
from tocsin.actions import LAG_S, STORE_S, Actions
from tocsin.clock import SystemClock
from tocsin.store.archive_postgresql import PostgresqlArchive
from tocsin.store.port import Store
from tocsin.store.postgresql import PostgresqlStore
from tocsin.stream.port import ARTICLES
from tocsin.stream.relay import Relay
from tocsin.testing import MINUTE, FakeClock, a_cluster_store
from web import api, probes
from web.ports import House

NOBODY = "127.0.0.1:9"  # discard: nothing listens there
SLACK_S = 2.0  # of a machine that others use as well


@asynccontextmanager
async def telling(store: PostgresqlStore, dsn: str, *, clock: FakeClock) -> AsyncIterator[House]:
    """Yield what the web asks in a process whose brokers are away, and whose relay tries to reach them."""
    with closing(PostgresqlArchive(dsn, size=10**9)) as archive:
        async with a_stream(some_settings(NOBODY), store) as stream:
            stream.ready.set()
            everything: Any = {
                "settings": lambda: SimpleNamespace(detectors=SimpleNamespace(version="r1"), notifier=None),
                "reload": None,
                "pool": None,
            }
            actions = Actions(**everything, store=store, stream=stream, archive=archive, clock=clock)
            health = SimpleNamespace(unready=lambda: ["the brokers are away"], stages=lambda: ())
            web = SimpleNamespace(store=store, archive=archive, health=health, actions=actions, clock=clock)
            async with relaying(Relay(stream, clock=SystemClock()), store):
                yield cast("House", web)


async def put_out(store: Store, clock: FakeClock) -> None:
    at = clock.now()
    await store.write(lambda tx: tx.topics.append(ARTICLES, key="k", record_id="a", value=b"x", at=at))


async def scraped(house: House) -> str:
    scope = {"type": "http", "headers": [], "method": "GET", "path": "/metrics"}
    return bytes((await probes.metrics(Request(scope), house)).body).decode()


async def test_the_age_of_what_waits_for_the_relay_grows_while_no_broker_answers(postgresql: str) -> None:
    clock = FakeClock()
    async with a_cluster_store(postgresql) as store, telling(store, postgresql, clock=clock) as house:
        before = await scraped(house)
        await put_out(store, clock)
        await clock.move(MINUTE)
        after_one = await scraped(house)
        await clock.move(MINUTE)
        after_two = await scraped(house)
        await store.write(
            lambda tx: tx.outbox.remove({row.position: row.id for row in tx.outbox.lowest(most=9, most_bytes=9)})
        )
        at_last = await scraped(house)

    assert "tocsin_relay_oldest_seconds 0.0\n" in before
    assert "tocsin_relay_oldest_seconds 60.0\n" in after_one
    assert "tocsin_relay_oldest_seconds 120.0\n" in after_two
    assert "tocsin_relay_oldest_seconds 0.0\n" in at_last


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "says nothing"])
async def test_numbers_and_reasons_are_told_while_the_database_is_away(
    own_postgresql: PostgresqlServer, silent: bool
) -> None:
    clock = FakeClock()
    dsn = own_postgresql.create_database()
    async with a_cluster_store(dsn) as store, telling(store, dsn, clock=clock) as house:
        await put_out(store, clock)
        before = await api.status_of(house)
        if silent:
            own_postgresql.pause()
        else:
            own_postgresql.stop("immediate")
        metrics.STORE_TROUBLE.labels(kind="unavailable").set(1)
        await clock.move(MINUTE)

        began = time.monotonic()
        text = await scraped(house)
        status = await api.status_of(house)
        took_s = time.monotonic() - began

        if silent:
            own_postgresql.resume()
        metrics.STORE_TROUBLE.labels(kind="unavailable").set(0)

    assert 'tocsin_store_trouble{kind="unavailable"} 1.0\n' in text
    assert "tocsin_relay_oldest_seconds 60.0\n" in text  # nobody can have taken it away
    assert took_s < 2 * (STORE_S + LAG_S) + SLACK_S
    assert before.ready is False
    assert before.unready == ["the brokers are away"]
    assert status.unready[0] == "the brokers are away"
    assert status.unready[1].startswith("the numbers are of before: ")
    assert status.store_bytes == before.store_bytes
    assert status.lag == before.lag == {f"relay {ARTICLES}": 1}
