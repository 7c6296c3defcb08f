"""Dead letters over HTTP: filtered, shown, replayed and dropped by those who may, with a trace of who did."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tocsin.records import DeadLetter
from tocsin.stream.codec import encode
from tocsin.testing import MINUTE, NOON, an_article

READER, OPERATOR = ("tocsin_" + letter * 40 for letter in "ro")
Serve = Callable[..., Any]
Running = Any  # its type stands in conftest, which cannot be imported


def a_letter(number: int = 0, *, stage: str = "detectors", **parts: Any) -> DeadLetter:
    value = encode(an_article(title="<script>alert(1)</script>"))
    named = {"topic": "articles.v1", "record_id": f"r{number}", "reason": "<b>poison</b>", "key": "k", "offset": 7}
    defaults = {
        "id": f"{number:032x}",
        "stage": stage,
        "value": value,
        "size": len(value),
        "at": NOON + number * MINUTE,
    }
    return DeadLetter(**{**named, **defaults, **parts})


async def keep(running: Running, *letters: DeadLetter) -> None:
    await running.store.write(lambda tx: [tx.dead_letters.add(letter) for letter in letters])


async def left(running: Running) -> list[str]:
    return [letter.record_id for letter in await running.store.read(lambda tx: tx.dead_letters.list())]


async def audit(running: Running) -> list[tuple[str, str, str]]:
    entries = (await running.told("/api/audit", token=OPERATOR))["items"]
    return [(entry["actor"], entry["action"], entry["target"]) for entry in entries]


@pytest.mark.parametrize(
    ("query", "records"),
    [
        ("stage=archive", ["r2"]),
        ("topic=articles.v1&since=2026-03-04T12:01:00Z", ["r2", "r1"]),
        ("until=2026-03-04T13:00:00%2B01:00", ["r0"]),
        ("stage=nobody", []),
    ],
)
async def test_dead_letters_are_listed_as_far_as_they_are_asked_for(
    serve: Serve, query: str, records: list[str]
) -> None:
    async with serve() as running:
        await keep(running, a_letter(0), a_letter(1), a_letter(2, stage="archive"))

        page = await running.told(f"/api/dead-letters?{query}", token=READER)

    assert [item["record_id"] for item in page["items"]] == records
    assert page["total"] == len(records)


async def test_a_dead_letter_is_shown_with_what_it_holds_and_where_it_broke(serve: Serve) -> None:
    async with serve() as running:
        await keep(running, a_letter(0, traceback="Traceback: here"))
        await keep(running, a_letter(1))

        shown = await running.told(f"/api/dead-letters/{0:032x}", token=READER)

    assert shown["record"]["record"]["title"] == "<script>alert(1)</script>"
    assert (shown["traceback"], shown["key"], shown["offset"]) == ("Traceback: here", "k", 7)


async def test_a_dead_letter_is_replayed_and_another_dropped_and_the_audit_tells_who(serve: Serve) -> None:
    async with serve() as running:
        await keep(running, a_letter(0), a_letter(1), a_letter(2, value=b"", size=0))
        path = "/api/dead-letters"

        answers = [
            await running.ask("POST", f"{path}/{0:032x}/replay", token=OPERATOR),
            await running.ask("POST", f"{path}/{0:032x}/replay", token=OPERATOR),
            await running.ask("DELETE", f"{path}/{1:032x}", token=OPERATOR),
            await running.ask("DELETE", f"{path}/{1:032x}", token=OPERATOR),
            await running.ask("POST", f"{path}/{2:032x}/replay", token=OPERATOR),
        ]
        noted = await audit(running)
        waiting = await running.store.read(lambda tx: tx.replays.waiting())

    assert [answer[0] for answer in answers] == [202, 404, 204, 404, 409]
    assert json.loads(answers[0][2]) == {"id": f"{0:032x}", "stage": "detectors"}
    assert "nothing to replay" in json.loads(answers[4][2])["detail"]
    assert waiting == {"detectors": 1}
    assert noted == [
        ("token:operator", "dead_letter.drop", f"{1:032x}"),
        ("token:operator", "dead_letter.replay", f"{0:032x}"),
    ]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/api/dead-letters/{0:032x}/replay"),
        ("DELETE", f"/api/dead-letters/{0:032x}"),
        ("POST", "/api/dead-letters/replay"),
        ("POST", "/api/dead-letters/drop"),
    ],
)
async def test_who_may_only_read_changes_no_dead_letter(serve: Serve, method: str, path: str) -> None:
    async with serve() as running:
        await keep(running, a_letter(0))

        nobody = await running.ask(method, path, json={"all": True})
        reader = await running.ask(method, path, token=READER, json={"all": True})

        assert (nobody[0], reader[0]) == (401, 403)
        assert await left(running) == ["r0"]


async def test_many_are_handled_at_once_and_what_stays_says_why(serve: Serve) -> None:
    async with serve() as running:
        await keep(running, a_letter(0), a_letter(1, value=b"", size=0), a_letter(2, stage="archive"))

        replayed = await running.ask(
            "POST", "/api/dead-letters/replay", token=OPERATOR, json={"stage": "detectors", "until": NOON.isoformat()}
        )
        rest = await running.ask("POST", "/api/dead-letters/replay", token=OPERATOR, json={"stage": "detectors"})
        dropped = await running.ask("POST", "/api/dead-letters/drop", token=OPERATOR, json={"all": True})
        noted = await audit(running)

    told = [json.loads(answer[2]) for answer in (replayed, rest, dropped)]
    assert [(one["done"], one["left"], one["next"]) for one in told] == [(1, 0, None), (0, 1, None), (2, 0, None)]
    assert told[1]["refused"][0]["id"] == f"{1:032x}"
    assert [(action, target) for _, action, target in noted] == [
        ("dead_letter.drop_many", "all"),
        ("dead_letter.replay_many", "detectors"),
    ]


@pytest.mark.parametrize(
    "body", [{}, {"until": "2026-03-04T12:00:00Z"}, {"stages": "x", "all": True}, {"since": "now"}]
)
async def test_many_must_be_named_before_anything_is_done_to_them(serve: Serve, body: dict[str, Any]) -> None:
    async with serve() as running:
        await keep(running, a_letter(0))

        status, _, _ = await running.ask("POST", "/api/dead-letters/drop", token=OPERATOR, json=body)

        assert status == 422
        assert await left(running) == ["r0"]


async def test_a_wrong_instant_is_refused_in_words(serve: Serve) -> None:
    async with serve() as running:
        status, _, body = await running.ask("GET", "/api/dead-letters?since=yesterday", token=READER)

    assert status == 400
    assert "'since'" in json.loads(body)["detail"]


async def test_the_front_page_and_the_status_say_which_stage_sets_aside_how_much(serve: Serve) -> None:
    async with serve(tokens=()) as running:
        _, _, quiet = await running.ask("GET", "/")
        await keep(running, a_letter(0), a_letter(1), a_letter(2, stage="archive"))

        _, _, page = await running.ask("GET", "/")
        status = await running.told("/api/status")

    assert b"No <a" in quiet
    assert b'<a href="/dead-letters">3 dead letters</a>' in page
    assert re.sub(rb"\s+", b" ", page).count(b"archive 1, detectors 2") == 1
    assert (status["dead_letters"], status["set_aside"]) == (3, {"detectors": 2, "archive": 1})


async def test_the_page_shows_what_was_set_aside_as_text_and_lets_only_an_operator_decide(serve: Serve) -> None:
    async with serve(tokens=()) as running:
        await keep(running, *(a_letter(number) for number in range(60)), a_letter(99, stage="<i>"))

        _, _, page = await running.ask("GET", "/dead-letters")
        older = re.search(rb'href="(/dead-letters\?after=[^"]+)"', page)
        assert older is not None
        _, _, rest = await running.ask("GET", older[1].decode())

    assert b"&lt;b&gt;poison&lt;/b&gt;" in page
    assert b"<b>" not in page
    assert b"<i>" not in page
    assert b"<button" not in page
    assert page.count(b"<tr>") + rest.count(b"<tr>") == 61 + 2


async def test_a_button_of_the_page_replays_and_drops(serve: Serve) -> None:
    async with serve() as running:
        await keep(running, a_letter(0), a_letter(1))
        elsewhere = await running.ask("GET", "/dead-letters")
        _, _, form = await running.ask("GET", "/sign-in")
        await running.ask("POST", "/sign-in", data={"csrf_token": token_of(form), "token": OPERATOR, "next": "/"})
        _, _, page = await running.ask("GET", "/dead-letters")
        headers = {"origin": running.url, "sec-fetch-site": "same-origin"}
        filled = {"csrf_token": token_of(page)}

        forged = await running.ask("POST", f"/dead-letters/{0:032x}/replay", data={}, headers=headers)
        replayed = await running.ask("POST", f"/dead-letters/{0:032x}/replay", data=filled, headers=headers)
        dropped = await running.ask("POST", f"/dead-letters/{1:032x}/drop", data=filled, headers=headers)

        assert elsewhere[1]["location"] == "/sign-in?next=/dead-letters"
        assert [answer[0] for answer in (forged, replayed, dropped)] == [403, 303, 303]
        assert await left(running) == []
        assert [actor for actor, action, _ in await audit(running) if action.startswith("dead")] == [
            "token:operator"
        ] * 2


def token_of(page: bytes) -> str:
    found = re.search(rb'name="csrf_token" value="([0-9a-f]{64})"', page)
    assert found is not None
    return found[1].decode()
