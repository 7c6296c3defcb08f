"""`tocsin tail` where no service runs here: it looks at the brokers itself, over all partitions."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.kafka.houses import KafkaHouse, a_kafka_house
from tests.servers.kafka import KafkaBroker
from tocsin.store.tx import Tx
from tocsin.stream import looking
from tocsin.stream.codec import decode_article, encode
from tocsin.stream.port import ARTICLES, StreamRecord
from tocsin.testing import MINUTE, NOON, an_article

PARTITIONS = 3
PATIENCE_S = 25.0

pytestmark = pytest.mark.timeout(90)


def emit(tx: Tx, *, first: int, count: int) -> None:
    for number in range(first, first + count):
        article = an_article(id=f"article-{number}", title=f"Item {number}", seen_at=NOON + number * MINUTE)
        tx.emit(ARTICLES, key=article.id, record_id=f"record-{number}", value=encode(article))


async def put(house: KafkaHouse, first: int, count: int) -> None:
    await house.store.write(partial(emit, first=first, count=count))
    await house.relayed()


def write_configuration(folder: Path, house: KafkaHouse, *, dsn: str) -> None:
    kafka = {
        "brokers": list(house.settings.brokers),
        "prefix": house.settings.prefix,
        "partitions": PARTITIONS,
        "replication": 1,
    }
    told = {"tocsin": {"mode": "cluster", "kafka": kafka, "postgresql": {"dsn": dsn}}}
    (folder / "tocsin.yaml").write_text(json.dumps(told))


@asynccontextmanager
async def tailing(folder: Path, *options: str) -> AsyncIterator[Callable[[int], Awaitable[list[str]]]]:
    """Run the command, and give a way to wait for so many lines of it; of each the words from the title on."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tocsin.cli", "tail", "articles"),
        *("--config", str(folder), "--data", str(folder), *options),
        stdout=asyncio.subprocess.PIPE,
    )

    async def lines(count: int) -> list[str]:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            told = [(await process.stdout.readline()).decode().rstrip() for _ in range(count)]
        return [line[line.index("Item") :] for line in told]

    try:
        yield lines
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def test_brokers_that_are_away_are_named_and_nothing_else_is_said(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        broker = f"127.0.0.1:{taken.getsockname()[1]}"
    kafka = {"brokers": [broker], "replication": 1}
    told = {"tocsin": {"mode": "cluster", "kafka": kafka, "postgresql": {"dsn": f"postgresql://u:p@{broker}/d"}}}
    (tmp_path / "tocsin.yaml").write_text(json.dumps(told))

    command = (sys.executable, "-m", "tocsin.cli", "tail", "alerts", "--config", tmp_path, "--data", tmp_path)
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr == f"tocsin: no broker answers at {broker} (tocsin.kafka.brokers): connection refused\n"


def titles(records: Sequence[StreamRecord]) -> list[str]:
    return [decode_article(record.body).title for record in records]


async def test_records_are_found_by_time_over_all_partitions(kafka: str, postgresql: str) -> None:
    async with a_kafka_house(postgresql, kafka, partitions=PARTITIONS) as house:
        await put(house, 0, 30)

        last, ends = await looking.last(house.stream, ARTICLES, 5)
        starts = await looking.since(house.stream, ARTICLES, NOON + 26 * MINUTE)
        since = [one async for one in looking.between(house.stream, ARTICLES, starts, ends)]

        assert titles(last) == [f"Item {number}" for number in range(25, 30)]
        assert titles(since) == [f"Item {number}" for number in range(26, 30)]
        assert len({record.partition for record in (*last, *since)}) > 1


def counting(house: KafkaHouse) -> list[Any]:
    """Gather the clients that are made from now on."""
    made: list[Any] = []
    make = house.stream.brokers.consumer

    def consumer(**arguments: Any) -> Any:
        made.append(make(**arguments))
        return made[-1]

    house.stream.brokers.consumer = consumer  # type: ignore[method-assign]  # to get at them
    return made


async def test_a_look_page_by_page_reaches_for_the_brokers_once(kafka: str, postgresql: str) -> None:
    async with a_kafka_house(postgresql, kafka, partitions=PARTITIONS) as house:
        await put(house, 0, 30)
        made = counting(house)

        starts = await looking.since(house.stream, ARTICLES, NOON)
        last, ends = await looking.last(house.stream, ARTICLES, 5)
        since = [one async for one in looking.between(house.stream, ARTICLES, starts, ends)]
        await house.stream.close()

    assert len(last) == 5
    assert titles(since) == [f"Item {number}" for number in range(30)]
    assert len(made) == 2  # one that looks, and the one that asks where partitions begin and end
    assert all(one._closed for one in made)


async def test_looks_at_once_do_not_wait_for_one_another(kafka: str, postgresql: str) -> None:
    async with a_kafka_house(postgresql, kafka, partitions=PARTITIONS) as house:
        await put(house, 0, 30)
        ends = {one: bounds.end for one, bounds in (await house.stream.bounds(ARTICLES)).items()}
        made = counting(house)

        for _ in range(3):
            async with asyncio.TaskGroup() as tasks:
                looks = [
                    tasks.create_task(house.stream.fetch(ARTICLES, start=0, most=100, timeout_s=0, partition=one))
                    for one in range(PARTITIONS)
                ]
            assert {one: len(look.result()) for one, look in enumerate(looks)} == ends

    assert len(made) == PARTITIONS


async def test_a_look_that_failed_does_not_spoil_the_next(own_kafka: KafkaBroker, postgresql: str) -> None:
    async with a_kafka_house(postgresql, own_kafka.bootstrap, partitions=1) as house:
        await put(house, 0, 3)
        await house.stream.fetch(ARTICLES, start=0, most=9, timeout_s=0)
        own_kafka.pause()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await house.stream.fetch(ARTICLES, start=0, most=9, timeout_s=0)
        own_kafka.resume()

        found = await house.stream.fetch(ARTICLES, start=1, most=9, timeout_s=0)

    assert titles(found) == ["Item 1", "Item 2"]


async def test_where_no_service_runs_the_brokers_are_asked_and_followed(
    tmp_path: Path, kafka: str, postgresql: str
) -> None:
    async with a_kafka_house(postgresql, kafka, partitions=PARTITIONS) as house:
        write_configuration(tmp_path, house, dsn=postgresql)
        await put(house, 0, 30)

        async with tailing(tmp_path, "-n", "2", "--follow") as lines:
            before = await lines(2)
            await put(house, 30, 6)
            after = await lines(6)

        assert before == ["Item 28", "Item 29"]
        assert sorted(after) == [f"Item {number}" for number in range(30, 36)]
