from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tocsin.quantities import Rate

READER, OPERATOR, SCRAPER = ("tocsin_" + letter * 40 for letter in "rom")
Serve = Callable[..., Any]
Running = Any  # its type stands in conftest, which cannot be imported


@pytest.mark.parametrize(
    ("method", "path", "token", "expected"),
    [
        ("GET", "/api/alerts", None, 401),
        ("GET", "/api/alerts", "tocsin_" + "x" * 40, 401),
        ("GET", "/api/alerts", SCRAPER, 403),
        ("GET", "/api/alerts", READER, 200),
        ("GET", "/api/alerts", OPERATOR, 200),
        ("GET", "/metrics", None, 401),
        ("GET", "/metrics", SCRAPER, 200),
        ("GET", "/metrics", READER, 200),
        ("GET", "/api/audit", READER, 403),
        ("GET", "/api/audit", OPERATOR, 200),
        ("POST", "/-/reload", None, 401),
        ("POST", "/-/reload", READER, 403),
        ("POST", "/-/reload", OPERATOR, 200),
        ("GET", "/healthz", None, 200),
        ("GET", "/readyz", None, 200),
        ("GET", "/api/openapi.json", None, 200),
        ("GET", "/", None, 303),
        ("GET", "/nowhere", READER, 404),
        ("PUT", "/api/alerts", OPERATOR, 405),
    ],
)
async def test_each_caller_gets_what_its_scope_allows(
    serve: Serve, method: str, path: str, token: str | None, expected: int
) -> None:
    async with serve() as running:
        status, _, body = await running.ask(method, path, token=token)

    assert status == expected, body


async def test_an_error_is_problem_json_and_does_not_repeat_the_token(serve: Serve) -> None:
    wrong = "tocsin_" + "s" * 40
    async with serve() as running:
        status, headers, body = await running.ask("GET", "/api/alerts", token=wrong)

    assert headers["content-type"] == "application/problem+json"
    assert headers["www-authenticate"].startswith("Bearer")
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": status,
        "detail": "this token is not known here",
    }


async def test_without_tokens_loopback_may_read_but_not_change(serve: Serve) -> None:
    async with serve(tokens=()) as running:
        read = await running.ask("GET", "/api/alerts")
        changed = await running.ask("POST", "/-/reload")

    assert (read[0], changed[0]) == (200, 401)
    assert running.service.reloads == 0


@pytest.mark.parametrize("path", ["/", "/api/alerts", "/nowhere", "/healthz", "/static/tocsin.css"])
async def test_every_answer_carries_the_security_headers(serve: Serve, path: str) -> None:
    async with serve(tokens=()) as running:
        _, headers, _ = await running.ask("GET", path)

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "server" not in headers


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", 200),
        ("127.0.0.1:1234", 200),
        ("[::1]:80", 200),
        ("desk.example", 200),
        ("tocsin.example.org", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example@127.0.0.1", 400),
        ("a/b", 400),
    ],
)
async def test_only_our_own_names_are_served(serve: Serve, host: str, expected: int) -> None:
    async with serve(hosts=("desk.example",), public_url="https://tocsin.example.org") as running:
        status, _, _ = await running.ask("GET", "/healthz", headers={"host": host})

    assert status == expected


async def test_while_reading_is_open_neither_the_public_name_nor_a_proxy_is_served(serve: Serve) -> None:
    async with serve(tokens=(), public_url="https://tocsin.example.org") as running:
        named = await running.ask("GET", "/api/alerts", headers={"host": "tocsin.example.org"})
        forwarded = await running.ask("GET", "/api/alerts", headers={"x-forwarded-for": "192.0.2.1"})

    assert (named[0], forwarded[0]) == (421, 403)


async def test_a_body_that_declares_too_much_is_refused_unread(serve: Serve) -> None:
    async with serve(body_limit=2048) as running:
        status, headers, _ = await running.ask("POST", "/api/feeds", token=OPERATOR, data=b"x" * 4096)

    assert status == 413
    assert headers["content-type"] == "application/problem+json"


async def test_a_chunked_body_is_counted_as_it_comes(serve: Serve) -> None:
    async with serve(body_limit=2048) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(running.url.rpartition(":")[2]))
        head = f"POST /api/feeds HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {OPERATOR}\r\n"
        writer.write(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        for _ in range(3):  # and no end: what is refused is refused before the last chunk
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()

    assert b" 413 " in answer.splitlines()[0]
    assert b"connection: close" in answer.lower()


async def test_a_stranger_may_send_no_more_than_a_sign_in_needs(serve: Serve) -> None:
    async with serve() as running:
        status, _, _ = await running.ask("POST", "/sign-in", data=b"x" * 20_000)

    assert status == 413


async def test_too_many_requests_are_told_to_come_back_later(serve: Serve) -> None:
    async with serve(requests=Rate(1, timedelta(minutes=1)), burst=10) as running:
        statuses = [(await running.ask("GET", "/healthz"))[0] for _ in range(11)]
        _, headers, _ = await running.ask("GET", "/healthz")

    assert statuses == [200] * 10 + [429]
    assert 1 <= int(headers["retry-after"]) <= 60


async def test_guessing_tokens_uses_up_the_allowance_sooner(serve: Serve) -> None:
    async with serve(requests=Rate(1, timedelta(minutes=1)), burst=50) as running:
        guesses = [(await running.ask("GET", "/api/alerts", token="tocsin_" + "z" * 40))[0] for _ in range(5)]

    assert guesses[:2] == [401, 401]
    assert guesses[-1] == 429


def csrf_of(page: bytes) -> str:
    found = re.search(rb'name="csrf_token" value="([0-9a-f]{64})"', page)
    assert found is not None
    return found[1].decode()


async def signed_in(running: Running, token: str) -> None:
    _, _, page = await running.ask("GET", "/sign-in")
    form = {"csrf_token": csrf_of(page), "token": token, "next": "/"}
    status, headers, _ = await running.ask("POST", "/sign-in", data=form)
    assert (status, headers["location"]) == (303, "/")


async def test_a_browser_signs_in_reads_and_signs_out(serve: Serve) -> None:
    async with serve() as running:
        await signed_in(running, READER)
        _, _, page = await running.ask("GET", "/")
        read = await running.ask("GET", "/api/alerts")
        out = await running.ask("POST", "/sign-out", data={"csrf_token": csrf_of(page)})
        after = await running.ask("GET", "/api/alerts")

    assert b"token:reader" in page
    assert (read[0], out[0], after[0]) == (200, 303, 401)


async def test_the_session_cookie_is_out_of_reach_for_scripts_and_other_sites(serve: Serve) -> None:
    async with serve() as running:
        _, _, page = await running.ask("GET", "/sign-in")
        form = {"csrf_token": csrf_of(page), "token": READER}
        _, headers, _ = await running.ask("POST", "/sign-in", data=form)
        kept = await running.store.read(
            lambda tx: tx.conn.exec_driver_sql("SELECT id, token FROM access_sessions").all()
        )

    cookie = headers["set-cookie"].lower()
    value = cookie.partition("=")[2].partition(";")[0]
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert all(value not in str(row).lower() for row in kept)
    assert [row.token for row in kept] == ["reader"]


async def test_a_wrong_token_signs_nobody_in(serve: Serve) -> None:
    async with serve() as running:
        _, _, page = await running.ask("GET", "/sign-in")
        form = {"csrf_token": csrf_of(page), "token": "tocsin_" + "z" * 40}
        status, headers, _ = await running.ask("POST", "/sign-in", data=form)

    assert status == 401
    assert "tocsin-session" not in headers.get("set-cookie", "")


@pytest.mark.parametrize("next_", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"])
async def test_signing_in_leads_to_no_other_site(serve: Serve, next_: str) -> None:
    async with serve() as running:
        _, _, page = await running.ask("GET", "/sign-in")
        form = {"csrf_token": csrf_of(page), "token": READER, "next": next_}
        _, headers, _ = await running.ask("POST", "/sign-in", data=form)

    assert headers["location"] == "/"


@pytest.mark.parametrize(
    "attack",
    [
        {"headers": {"sec-fetch-site": "cross-site"}},
        {"headers": {"sec-fetch-site": "same-site"}},
        {"headers": {"origin": "https://evil.example"}},
        {"headers": {"origin": "null"}},
        {"form": {"csrf_token": ""}},
        {"form": {"csrf_token": "0" * 64}},
        {"form": {}},
    ],
)
async def test_another_page_cannot_change_anything_with_a_visitors_cookies(
    serve: Serve, attack: dict[str, Any]
) -> None:
    async with serve() as running:
        await signed_in(running, OPERATOR)
        await running.ask("POST", "/api/feeds", token=OPERATOR, json={"id": "wire", "url": "https://news.example/f"})
        _, _, page = await running.ask("GET", "/")
        form = attack.get("form", {"csrf_token": csrf_of(page)})
        status, _, _ = await running.ask("POST", "/feeds/wire/pause", data=form, headers=attack.get("headers", {}))
        changed = await running.store.read(lambda tx: tx.overlay.get("feed_pause", "wire"))

    assert status == 403
    assert changed is None


async def test_our_own_form_changes_what_it_says_with_actor_and_time(serve: Serve) -> None:
    async with serve() as running:
        await signed_in(running, OPERATOR)
        await running.ask("POST", "/api/feeds", token=OPERATOR, json={"id": "wire", "url": "https://news.example/f"})
        _, _, page = await running.ask("GET", "/")
        headers = {"origin": running.url, "sec-fetch-site": "same-origin"}
        status, _, _ = await running.ask(
            "POST", "/feeds/wire/pause", data={"csrf_token": csrf_of(page)}, headers=headers
        )
        changed = await running.store.read(lambda tx: tx.overlay.get("feed_pause", "wire"))

    assert status == 303
    assert changed is not None
    assert changed.actor == "token:operator"


async def test_a_form_of_one_session_is_no_good_in_another(serve: Serve) -> None:
    async with serve() as running:
        await signed_in(running, READER)
        _, _, page = await running.ask("GET", "/")
        await signed_in(running, OPERATOR)
        status, _, _ = await running.ask("POST", "/sign-out", data={"csrf_token": csrf_of(page)})

    assert status == 403
