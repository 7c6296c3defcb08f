from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tocsin.errors import Problem, StoreFull
from tocsin.records import Alert, DeadLetter, IncidentState
from tocsin.store.archive import Kept
from tocsin.store.incidents import AlertRow, IncidentRow
from tocsin.store.ingest_tables import FeedSetting
from tocsin.store.tx import Tx
from tocsin.stream.codec import encode
from tocsin.stream.port import ARTICLES
from tocsin.testing import MINUTE, NOON, an_alert, an_article

READER, OPERATOR = ("tocsin_" + letter * 40 for letter in "ro")
Serve = Callable[..., Any]
Running = Any  # its type stands in conftest, which cannot be imported


def keep_alert(tx: Tx, alert: Alert) -> None:
    tx.incidents.add_alert(
        AlertRow(
            id=alert.id,
            incident=alert.incident,
            revision=alert.revision,
            step=alert.step.value,
            severity=alert.severity,
            seen_at=alert.seen_at,
            late=alert.late,
            article="article-1",
            headline=alert.headline,
            body=encode(alert),
        )
    )


def list_feeds(tx: Tx, *ids: str) -> None:
    wanted = [
        FeedSetting(
            id=id_,
            url=f"https://news.example/{id_}",
            host="news.example",
            origin="file",
            owner="Northern Wire",
            tier="wire",
            language="en",
            country=None,
            weight=1.0,
            verified=True,
        )
        for id_ in ids
    ]
    tx.ingest.sync(wanted, dict.fromkeys(ids, NOON))


async def all_pages(running: Running, path: str) -> list[Mapping[str, Any]]:
    items: list[Mapping[str, Any]] = []
    after = ""
    while True:
        page = await running.told(f"{path}{after}", token=READER)
        items += page["items"]
        if page["next"] is None:
            return items
        after = f"&after={page['next']}"


async def test_alerts_are_paged_without_a_gap_or_a_double_even_within_one_instant(serve: Serve) -> None:
    made = [an_alert(revision=number + 1, seen_at=NOON + MINUTE * (number // 3)) for number in range(10)]

    def unit(tx: Tx) -> None:
        for alert in made:
            keep_alert(tx, alert)

    async with serve() as running:
        await running.store.write(unit)
        items = await all_pages(running, "/api/alerts?limit=4")

    assert sorted(item["id"] for item in items) == sorted(alert.id for alert in made)
    assert [item["seen_at"] for item in items] == sorted((item["seen_at"] for item in items), reverse=True)
    assert items[0]["facts"][0]["quote"].startswith("Three people")


async def test_an_incident_is_told_with_its_steps(serve: Serve) -> None:
    alert = an_alert()
    row = IncidentRow(
        id=alert.incident,
        state=IncidentState.OPEN,
        country="EE",
        happening="unrest",
        severity=alert.severity,
        opened_at=NOON,
        last_seen=NOON,
        revision=1,
        articles=1,
        headline=alert.headline,
    )

    def unit(tx: Tx) -> None:
        tx.incidents.put(row, body=b"state", face=b"face")
        tx.incidents.place_article("article-1", row.id)
        keep_alert(tx, alert)

    async with serve() as running:
        await running.store.write(unit)
        listed = await running.told("/api/incidents", token=READER)
        one = await running.told(f"/api/incidents/{alert.incident}", token=READER)
        none = await running.ask("GET", "/api/incidents/nothing", token=READER)

    assert [item["id"] for item in listed["items"]] == [alert.incident]
    assert [step["id"] for step in one["alerts"]] == [alert.id]
    assert one["article_ids"] == ["article-1"]
    assert none[0] == 404


async def test_articles_are_paged_and_searched(serve: Serve) -> None:
    made = [
        an_article(url=f"https://news.example/{number}", title=f"Report {number}", seen_at=NOON + number * MINUTE)
        for number in range(5)
    ]
    kept = [
        Kept(kind=ARTICLES, id=each.id, key=each.id, seen_at=each.seen_at, title=each.title, value=encode(each))
        for each in made
    ]
    async with serve() as running:
        running.archive.put(kept)
        items = await all_pages(running, "/api/articles?limit=2")
        found = await running.told("/api/articles?q=report+3", token=READER)

    assert [item["title"] for item in items] == [f"Report {number}" for number in (4, 3, 2, 1, 0)]
    assert [item["title"] for item in found["items"]] == ["Report 3"]


async def test_a_wrong_page_is_refused_in_words(serve: Serve) -> None:
    async with serve() as running:
        for path in (
            "/api/alerts?limit=0",
            "/api/alerts?limit=201",
            "/api/alerts?limit=-1",
            "/api/alerts?limit=many",
            "/api/alerts?after=!!!",
            "/api/alerts?after=MTIz4oKs",
            "/api/alerts?severity=awful",
            "/api/feeds?after=bm90aGluZw",
            "/api/incidents?state=wild",
            "/api/why",
        ):
            status, headers, body = await running.ask("GET", path, token=READER)

            assert status == 400, (path, body)
            assert headers["content-type"] == "application/problem+json"
            assert "'" in json.loads(body)["detail"]


async def test_dead_letters_are_listed_and_shown(serve: Serve) -> None:
    letters = [
        DeadLetter(
            id=f"letter-{number}",
            stage="detectors",
            topic="articles.v1",
            record_id="r",
            reason="overran its deadline",
            value=b"\xff{}",
            at=NOON + number * MINUTE,
        )
        for number in range(3)
    ]
    async with serve() as running:
        await running.store.write(lambda tx: [tx.dead_letters.add(letter) for letter in letters])
        items = await all_pages(running, "/api/dead-letters?limit=2")
        one = await running.told("/api/dead-letters/letter-1", token=READER)

    assert [item["id"] for item in items] == ["letter-2", "letter-1", "letter-0"]
    assert {item["value"] for item in items} == {None}
    assert one["reason"] == "overran its deadline"
    assert one["value"] == "\N{REPLACEMENT CHARACTER}{}"
    assert (one["record"], one["size_bytes"], one["times"]) == (None, 3, 1)


async def test_a_feed_is_added_paused_resumed_and_removed_and_the_audit_tells_who(serve: Serve) -> None:
    feed = {
        "id": "local-no",
        "url": "https://news.example/local.xml",
        "language": "nb",
        "country": "NO",
        "every": "10m",
    }
    async with serve() as running:
        seen = running.store.mark("feeds")
        added = await running.ask("POST", "/api/feeds", token=OPERATOR, json=feed)
        woken = running.store.mark("feeds")
        again = await running.ask("POST", "/api/feeds", token=OPERATOR, json=feed)
        reason = {"reason": "noisy"}
        paused = await running.ask("POST", "/api/feeds/local-no/pause", token=OPERATOR, json=reason)
        overlay = await running.told("/api/overlay", token=READER)
        resumed = await running.ask("POST", "/api/feeds/local-no/resume", token=OPERATOR)
        removed = await running.ask("DELETE", "/api/feeds/local-no", token=OPERATOR)
        gone = await running.ask("DELETE", "/api/feeds/local-no", token=OPERATOR)
        audit = await running.told("/api/audit", token=OPERATOR)

    assert [answer[0] for answer in (added, again, paused, resumed, removed, gone)] == [201, 409, 200, 204, 204, 404]
    assert woken > seen
    assert [(item["kind"], item["value"]) for item in overlay["items"]] == [("feed", feed), ("feed_pause", reason)]
    assert [(entry["actor"], entry["action"], entry["target"]) for entry in reversed(audit["items"])] == [
        ("token:operator", action, "local-no") for action in ("feed.add", "feed.pause", "feed.resume", "feed.remove")
    ]


async def test_a_feed_of_a_file_can_be_paused_but_not_redefined_or_removed(serve: Serve) -> None:
    async with serve() as running:
        await running.store.write(lambda tx: list_feeds(tx, "afp-fr", "wire"))
        body = {"id": "wire", "url": "https://evil.example/"}
        added = await running.ask("POST", "/api/feeds", token=OPERATOR, json=body)
        removed = await running.ask("DELETE", "/api/feeds/wire", token=OPERATOR)
        paused = await running.ask("POST", "/api/feeds/wire/pause", token=OPERATOR)
        items = await all_pages(running, "/api/feeds?limit=1")

    assert (added[0], removed[0], paused[0]) == (409, 409, 200)
    assert [item["id"] for item in items] == ["afp-fr", "wire"]
    assert items[1]["paused_by"] == "token:operator"
    assert items[1]["url"] == "https://news.example/wire"


async def test_what_only_files_may_say_of_a_feed_is_refused(serve: Serve) -> None:
    feed = {"id": "x", "url": "https://news.example/"}
    wrong: Sequence[Mapping[str, object]] = (
        {**feed, "allow_private": True},
        {**feed, "headers": {"authorization": "x"}},
        {**feed, "token_file": "/etc/passwd"},
        {**feed, "url": "file:///etc/passwd"},
        {**feed, "url": "https://user:secret@news.example/"},
        {**feed, "url": "https://news.example/${HOME}"},
        {**feed, "url": "https://internal.example/"},
        {**feed, "id": "../x"},
        {**feed, "every": "1s"},
        {"id": "x"},
    )
    async with serve() as running:
        for body in wrong:
            status, _, answer = await running.ask("POST", "/api/feeds", token=OPERATOR, json=body)

            assert status == 422, body
            assert json.loads(answer)["errors"]
            assert b"secret" not in answer
        overlay = await running.told("/api/overlay", token=READER)

    assert overlay["items"] == []


async def test_a_reload_with_mistakes_tells_each_with_its_place(serve: Serve) -> None:
    async with serve() as running:
        running.service.problems.append(Problem(file="feeds.yaml", line=3, column=5, message="unknown key 'ulr'"))
        status, _, body = await running.ask("POST", "/-/reload", token=OPERATOR)

    assert status == 422
    assert json.loads(body)["errors"] == ["feeds.yaml:3:5: unknown key 'ulr'"]


async def test_status_and_readiness_say_what_is_wrong_to_those_who_may_read(serve: Serve) -> None:
    async with serve() as running:
        running.service.reasons.append("stage 'poller' is down")
        status = await running.told("/api/status", token=READER)
        stranger = await running.ask("GET", "/readyz")
        reader = await running.ask("GET", "/readyz", token=READER)

    assert not status["ready"]
    assert status["lag"] == {"detectors articles.v1": 7}
    assert (stranger[0], stranger[2]) == (503, b"not ready\n")
    assert b"poller" in reader[2]


async def test_metrics_are_prometheus_text(serve: Serve) -> None:
    async with serve() as running:
        _, headers, body = await running.ask("GET", "/metrics", token=READER)

    assert headers["content-type"].startswith("text/plain; version=")
    assert b"# TYPE tocsin_articles_total counter" in body


async def test_what_a_feed_wrote_is_text_on_the_page_and_never_markup(serve: Serve) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)> & \"'"
    alert = an_alert(headline=evil)
    source = alert.sources[0]
    bad = type(source)(**{name: getattr(source, name) for name in source.__slots__} | {"url": "javascript:alert(3)"})
    alert = an_alert(headline=evil, sources=(bad,))
    async with serve(tokens=()) as running:
        await running.store.write(lambda tx: keep_alert(tx, alert))
        status, headers, page = await running.ask("GET", "/")

    assert status == 200
    assert "script-src 'self'" in headers["content-security-policy"]
    assert b"&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert b"&lt;b&gt;boom&lt;/b&gt;" in page
    assert not re.search(rb"<(script|img|b)\b|javascript:|<[^>]*\s(on\w+|style)=", page)


async def test_the_openapi_document_describes_what_is_answered(serve: Serve) -> None:
    alert = an_alert()
    async with serve() as running:
        await running.store.write(lambda tx: keep_alert(tx, alert))
        document = await running.told("/api/openapi.json")
        answer = await running.told("/api/alerts", token=READER)

    assert document["openapi"] == "3.1.0"
    schema = document["paths"]["/api/alerts"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer)
    assert document["paths"]["/api/feeds"]["post"]["security"] == [{"token": ["operate"]}]


async def test_a_session_ends_when_its_token_is_changed_or_its_time_is_over(serve: Serve) -> None:
    async with serve(session=timedelta(minutes=1)) as running:
        _, _, page = await running.ask("GET", "/sign-in")
        token = re.search(rb'name="csrf_token" value="(\w+)"', page)
        assert token is not None
        await running.ask("POST", "/sign-in", data={"csrf_token": token[1].decode(), "token": READER})
        before = await running.ask("GET", "/api/alerts")
        change = "UPDATE access_sessions SET token_hash = 'blake2b:other'"
        await running.store.write(lambda tx: tx.conn.exec_driver_sql(change).rowcount)
        after = await running.ask("GET", "/api/alerts")

    assert (before[0], after[0]) == (200, 401)


async def test_a_full_store_is_told_as_such_and_when_to_come_back(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_unit: object) -> None:
        raise StoreFull("the quota is used up")

    async with serve() as running:
        monkeypatch.setattr(running.store, "write", full)
        feed = {"id": "wire", "url": "https://news.example/f"}
        status, headers, body = await running.ask("POST", "/api/feeds", token=OPERATOR, json=feed)
        monkeypatch.undo()

    assert status == 503
    assert headers["retry-after"] == "5"
    assert json.loads(body)["detail"] == "not now: the quota is used up"


async def test_a_mistake_of_ours_is_answered_without_its_details(serve: Serve) -> None:
    async def broken(_query: str) -> Mapping[str, object]:
        raise RuntimeError("secret inside")

    async with serve() as running:
        running.service.why = broken
        status, headers, body = await running.ask("GET", "/api/why?q=x", token=READER)

    assert status == 500
    assert headers["content-type"] == "application/problem+json"
    assert b"secret" not in body
