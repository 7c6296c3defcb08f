"""What aiokafka's clients do not do, and ours do: dial nobody else, make nothing, leave nothing behind."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import NewTopic
from aiokafka.structs import BrokerMetadata
from structlog.testing import capture_logs

from tests.kafka.houses import a_stream, some_settings
from tests.servers.fixtures import or_left_out
from tests.servers.kafka import KafkaBroker, kafka_broker
from tocsin.errors import StreamUnavailable, TopicsWrong
from tocsin.stream.brokers import Brokers
from tocsin.stream.inside import let_go
from tocsin.stream.port import ARTICLES
from tocsin.stream.settings import KafkaSettings
from tocsin.testing import a_store

ELSEWHERE = "k1.example.org"


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names and addresses that anybody here wants to reach; none but loopback is reached."""
    hosts: list[str] = []
    look_up = asyncio.BaseEventLoop.getaddrinfo

    async def noted(loop: asyncio.BaseEventLoop, host: str, *rest: Any, **more: Any) -> Any:
        hosts.append(host)
        if host != "127.0.0.1":
            raise OSError(f"{host} is not to be looked up")
        return await look_up(loop, host, *rest, **more)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", noted)
    return hosts


@pytest.fixture(scope="module")
def sends_elsewhere(pytestconfig: pytest.Config) -> Iterator[KafkaBroker]:
    """A broker on loopback that tells its clients to come to another machine, as one behind a tunnel does."""
    way = {"advertised.listeners": f"PLAINTEXT://{ELSEWHERE}:9092", "auto.create.topics.enable": "true"}
    with or_left_out(pytestconfig, lambda: kafka_broker(settings=way)) as broker:
        yield broker


async def test_a_broker_that_sends_us_to_another_machine_in_the_open_stops_the_start(
    sends_elsewhere: KafkaBroker, asked_for: list[str], tmp_path: Path
) -> None:
    async with a_store(tmp_path) as store, a_stream(some_settings(sends_elsewhere.bootstrap), store) as stream:
        with pytest.raises(TopicsWrong, match=rf"calls itself {ELSEWHERE}:9092, which is another machine"):
            await stream.prepare()

    assert ELSEWHERE not in asked_for


async def test_who_only_looks_is_not_sent_to_another_machine_in_the_open_either(
    sends_elsewhere: KafkaBroker, asked_for: list[str], tmp_path: Path
) -> None:
    async with a_store(tmp_path) as store, a_stream(some_settings(sends_elsewhere.bootstrap), store) as stream:
        with pytest.raises(StreamUnavailable, match=rf"calls itself {ELSEWHERE}:9092, which is another machine"):
            await stream.fetch(ARTICLES, start=0, most=1, timeout_s=0)
        with pytest.raises(StreamUnavailable, match=ELSEWHERE):
            await stream.bounds(ARTICLES)

    assert ELSEWHERE not in asked_for


async def test_a_broker_that_moves_to_another_machine_later_is_not_dialled(kafka: str, asked_for: list[str]) -> None:
    brokers = Brokers(some_settings(kafka))
    consumer = brokers.consumer(group_id=None)
    await brokers.start(consumer)
    try:
        inner = consumer._client
        inner.cluster._brokers = {1: BrokerMetadata(1, ELSEWHERE, 9092, None)}  # as an update of metadata does
        for connection in inner._conns.values():
            connection.close()
        with capture_logs() as said:
            dialled = [await inner.ready(1), await inner.ready(1)]
    finally:
        await let_go(consumer)

    assert dialled == [False, False]
    assert ELSEWHERE not in asked_for
    (told,) = [line for line in said if line["event"] == "broker not dialled"]
    assert told["reason"].startswith(f"a broker calls itself {ELSEWHERE}:9092, which is another machine")


async def topics_of(settings: KafkaSettings) -> list[str]:
    admin = Brokers(settings).admin()
    await admin.start()
    try:
        return list(await admin.list_topics())
    finally:
        await admin.stop()


@pytest.mark.timeout(60)
async def test_a_topic_that_is_missing_is_not_made_by_asking_for_it(pytestconfig: pytest.Config) -> None:
    making = {"auto.create.topics.enable": "true"}
    with or_left_out(pytestconfig, lambda: kafka_broker(settings=making)) as broker:
        settings = some_settings(broker.bootstrap)
        brokers = Brokers(settings)
        consumer, producer = brokers.consumer(group_id=None), brokers.producer()
        for client, inner in ((consumer, consumer._client), (producer, producer.client)):
            await brokers.start(client)
            try:
                async with asyncio.timeout(1):
                    await inner._wait_on_metadata(f"{settings.prefix}missing")
            except TimeoutError:
                pass
            finally:
                await let_go(client)

        assert await topics_of(settings) == []


async def test_a_client_whose_parting_is_cut_short_leaves_nothing_behind(own_kafka: KafkaBroker) -> None:
    brokers = Brokers(some_settings(own_kafka.bootstrap))
    before = asyncio.all_tasks()
    consumer, producer = brokers.consumer(group_id="g"), brokers.producer()
    admin = brokers.admin()
    await brokers.start(admin)
    await admin.create_topics([])
    for client in (consumer, producer):
        await brokers.start(client)
    consumer.subscribe(["t"])
    await asyncio.sleep(0.5)
    connections = [*consumer._client._conns.values(), *producer.client._conns.values(), *admin._client._conns.values()]
    own_kafka.pause()

    for client in (consumer, producer, admin):
        parting = asyncio.ensure_future(let_go(client))
        await asyncio.sleep(0.2)
        parting.cancel()
        await asyncio.wait([parting])
    await asyncio.sleep(0.1)
    left = asyncio.all_tasks() - before

    own_kafka.resume()
    assert left == set()
    assert connections
    assert not any(connection.connected() for connection in connections)


async def test_a_producer_whose_parting_is_cut_short_with_a_batch_under_way_leaves_nothing_behind(
    own_kafka: KafkaBroker,
) -> None:
    settings = some_settings(own_kafka.bootstrap)
    brokers = Brokers(settings)
    admin = brokers.admin()
    await brokers.start(admin)
    await topics_made(admin, settings)
    await let_go(admin)
    before = asyncio.all_tasks()
    producer = brokers.producer(enable_idempotence=True)
    await brokers.start(producer)
    await producer.send_and_wait(f"{settings.prefix}t", b"x")
    own_kafka.pause()
    landing = await producer.send(f"{settings.prefix}t", b"y")

    parting = asyncio.ensure_future(let_go(producer))
    await asyncio.sleep(0.3)
    parting.cancel()
    await asyncio.wait([parting])
    await asyncio.sleep(0.1)
    left = asyncio.all_tasks() - before

    own_kafka.resume()
    assert left == set()
    landing.cancel()


async def topics_made(admin: Any, settings: KafkaSettings) -> None:
    await admin.create_topics([NewTopic(f"{settings.prefix}t", 1, 1)])
    await asyncio.sleep(0.5)


async def test_a_broker_that_says_nothing_does_not_make_the_others_seem_away(kafka: str, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        first = f"127.0.0.1:{silent.getsockname()[1]}"
        settings = some_settings(kafka, brokers=[first, kafka])
        async with a_store(tmp_path) as store, a_stream(settings, store) as stream:
            with capture_logs() as said:
                await stream.prepare()
                bounds = await stream.bounds(ARTICLES)
                again = await stream.probe.ends(f"{settings.prefix}{ARTICLES}", [0])

    assert bounds[0].end == 0
    assert again == {0: 0}
    assert stream.trouble is None
    assert [line for line in said if line["event"] in {"brokers did not answer", "brokers answered again"}] == []
