from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tocsin.store.tx import Tx
from tocsin.stream.codec import encode
from tocsin.stream.port import ALERTS, ARTICLES, DEAD_LETTERS, READINGS
from tocsin.testing import an_alert
from web.topics import PAGE_BYTES

READER, SCRAPER = ("tocsin_" + letter * 40 for letter in "rm")
Serve = Callable[..., Any]
Running = Any  # its type stands in conftest, which cannot be imported


def emit(tx: Tx, *, name: str, value: bytes, topic: str = ALERTS) -> None:
    tx.emit(topic, key=f"key of {name}", record_id=name, value=value)


async def put(running: Running, name: str, value: bytes | None = None) -> None:
    await running.store.write(partial(emit, name=name, value=value or encode(an_alert(id=name))))


async def test_every_topic_says_what_can_be_looked_at_and_where_its_schema_is(serve: Serve) -> None:
    async with serve() as running:
        await put(running, "one")
        await put(running, "two")

        told = await running.told("/api/topics", token=READER)

        assert [topic["topic"] for topic in told["items"]] == [ARTICLES, READINGS, ALERTS, DEAD_LETTERS]
        alerts = told["items"][2]
        (partition,) = alerts["partitions"]
        assert partition["partition"] == 0
        assert partition["end"] - partition["first"] == 2
        schema = await running.told(alerts["json_schema"], token=READER)
        assert schema["title"] == "org.tocsin.alert.v1"


async def test_records_are_told_as_they_are_on_the_topic_and_lead_on(serve: Serve) -> None:
    async with serve() as running:
        for name in ("one", "two", "three"):
            await put(running, name)

        first = await running.told("/api/topics/alerts.v1?limit=2", token=READER)
        rest = await running.told(f"/api/topics/alerts.v1?start={first['next']}", token=READER)
        nothing = await running.told(f"/api/topics/alerts.v1?start={rest['next']}", token=READER)

        assert [item["id"] for item in (*first["items"], *rest["items"])] == ["one", "two", "three"]
        assert (nothing["items"], nothing["next"]) == ([], rest["next"])
        one = first["items"][0]
        assert (one["partition"], one["key"], one["damage"]) == (0, "key of one", None)
        assert one["value"] == json.loads(encode(an_alert(id="one")))
        schema = await running.told("/api/schemas/alerts.v1", token=READER)
        Draft202012Validator(schema).validate(one["value"])


async def test_who_waits_is_answered_as_soon_as_a_record_comes(serve: Serve) -> None:
    async with serve() as running:
        asking = asyncio.ensure_future(running.told("/api/topics/alerts.v1?wait=5", token=READER))
        await asyncio.sleep(0.1)

        await put(running, "one")

        async with asyncio.timeout(4):
            told = await asking
        assert [item["id"] for item in told["items"]] == ["one"]


async def test_a_record_that_is_no_json_says_so_and_hides_no_other(serve: Serve) -> None:
    async with serve() as running:
        await put(running, "bad", b"\xff{")
        await put(running, "good")

        bad, good = (await running.told("/api/topics/alerts.v1", token=READER))["items"]

        assert bad["value"] is None
        assert bad["damage"].startswith("no JSON: ")
        assert good["value"]["v"] == 1


async def test_large_records_come_in_several_answers(serve: Serve) -> None:
    async with serve() as running:
        for name in ("one", "two", "three"):
            await put(running, name, json.dumps("x" * (PAGE_BYTES // 2 - 100)).encode())

        first = await running.told("/api/topics/alerts.v1", token=READER)
        rest = await running.told(f"/api/topics/alerts.v1?start={first['next']}", token=READER)

        assert [len(first["items"]), len(rest["items"])] == [2, 1]


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/api/topics/alert.v1", 404, "no topic 'alert.v1': there are articles.v1, "),
        ("/api/topics/alerts.v1?start=-1", 400, "'start' must be a number from 0 to "),
        ("/api/topics/alerts.v1?wait=6", 400, "'wait' must be a number from 0 to 5"),
        ("/api/topics/alerts.v1?partition=x", 400, "'partition' must be a number from 0 to "),
        ("/api/topics/alerts.v1?limit=0", 400, "'limit' must be a number from 1 to 200"),
        ("/api/schemas/alerts.v2", 404, "no schema 'alerts.v2': there are articles.v1.json, "),
    ],
)
async def test_a_wrong_question_is_answered_with_what_is_wrong(serve: Serve, path: str, status: int, says: str) -> None:
    async with serve() as running:
        answered, _, body = await running.ask("GET", path, token=READER)

        assert answered == status
        assert says in json.loads(body)["detail"]


@pytest.mark.parametrize("path", ["/api/topics", "/api/topics/alerts.v1", "/api/schemas", "/api/schemas/asyncapi.json"])
async def test_nobody_looks_without_the_right_to_read(serve: Serve, path: str) -> None:
    async with serve() as running:
        assert (await running.ask("GET", path))[0] == 401
        assert (await running.ask("GET", path, token=SCRAPER))[0] == 403


async def test_the_schemas_are_listed_and_the_asyncapi_document_is_among_them(serve: Serve) -> None:
    async with serve() as running:
        names = (await running.told("/api/schemas", token=READER))["items"]
        document = await running.told(f"/api/schemas/{names[-1]}", token=READER)

        assert document["asyncapi"] == "3.0.0"


async def test_the_command_line_shows_them_through_the_control_socket_and_follows(serve: Serve) -> None:
    async with serve() as running:
        for name in ("one", "two", "three"):
            await put(running, name)

        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tocsin.cli", "tail", "alerts", "-n", "2", "-f", "--data", str(running.data_dir)),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(20):
                before = [await process.stdout.readline() for _ in range(2)]
                await put(running, "four")
                after = await process.stdout.readline()
        finally:
            process.kill()
            await process.wait()

        shown = [line.decode().split()[3] for line in (*before, after)]
        assert shown == ["two", "three", "four"]
