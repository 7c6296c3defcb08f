from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import brotli
import pytest
from aiohttp import web
from pydantic import SecretStr

from ingest.fetch import Fetched, NotModified, Validators, fetch, open_sessions, retry_after
from ingest.hosts import Hosts
from ingest.settings import Feed, PollingSettings
from tocsin.clock import SystemClock
from tocsin.errors import FeedUnreachable

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
FEED = b"<rss><channel><title>T</title></channel></rss>"
Ask = Callable[..., Awaitable[Fetched | NotModified]]
MakeFeed = Callable[..., Feed]


@pytest.fixture
async def ask(polling: PollingSettings) -> Any:
    async with AsyncExitStack() as stack:
        sessions = await stack.enter_async_context(open_sessions(polling))
        clock = SystemClock()
        hosts = Hosts(at_once=20, gap=timedelta(0), clock=clock)

        async def asked(feed: Feed, validators: Validators = Validators()) -> Fetched | NotModified:  # noqa: B008 — frozen
            return await fetch(
                sessions, feed, url=feed.url, validators=validators, hosts=hosts, polling=polling, clock=clock
            )

        yield asked


async def failure(asked: Awaitable[object]) -> FeedUnreachable:
    with pytest.raises(FeedUnreachable) as caught:
        await asked
    return caught.value


async def test_a_feed_is_fetched_with_its_validators(site: Any, ask: Ask, a_feed: MakeFeed) -> None:
    url = site.holds(
        "/f", FEED, ETag='W/"x"', Last_Modified="Wed, 04 Mar 2026 10:00:00 GMT", Cache_Control="max-age=90"
    )

    got = await ask(a_feed(url))

    assert isinstance(got, Fetched)
    assert got.body == FEED
    assert got.validators == Validators(etag='W/"x"', last_modified="Wed, 04 Mar 2026 10:00:00 GMT")
    assert got.max_age == timedelta(seconds=90)
    assert site.asked[0].headers["User-Agent"].startswith("Tocsin/")


async def test_validators_go_back_as_they_came(site: Any, ask: Ask, a_feed: MakeFeed) -> None:
    url = site.holds("/f", b"", status=304)

    got = await ask(a_feed(url), Validators(etag='"not; "quoted', last_modified="yesterday, they say"))

    assert isinstance(got, NotModified)
    assert site.asked[0].headers["If-None-Match"] == '"not; "quoted'
    assert site.asked[0].headers["If-Modified-Since"] == "yesterday, they say"


async def test_an_unasked_304_is_no_answer(site: Any, ask: Ask, a_feed: MakeFeed) -> None:
    url = site.holds("/f", b"", status=304)

    error = await failure(ask(a_feed(url)))

    assert error.status == 304


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda b: zlib.compress(b)[2:-4]),
        ("br", brotli.compress),
    ],
)
async def test_packed_bodies_are_unpacked(
    site: Any, ask: Ask, a_feed: MakeFeed, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    body = FEED * 20_000
    url = site.holds("/f", pack(body), Content_Encoding=encoding)

    got = await ask(a_feed(url))

    assert isinstance(got, Fetched)
    assert got.body == body


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("br", brotli.compress)])
async def test_a_bomb_is_refused_before_it_goes_off(
    site: Any, ask: Ask, a_feed: MakeFeed, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    url = site.holds("/f", pack(b"\0" * 100_000_000), Content_Encoding=encoding)

    error = await failure(ask(a_feed(url)))

    assert "in unpacking" in error.reason or "larger than" in error.reason


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(FEED * 100)[:-20], "gzip"),
        (brotli.compress(FEED * 100)[:-5], "br"),
        (FEED, "gzip"),
        (FEED, "zstd"),
    ],
)
async def test_a_body_that_cannot_be_unpacked_is_told(
    site: Any, ask: Ask, a_feed: MakeFeed, body: bytes, encoding: str
) -> None:
    url = site.holds("/f", body, Content_Encoding=encoding)

    error = await failure(ask(a_feed(url)))

    assert error.reason.startswith("body: ")


async def test_an_announced_flood_is_not_even_read(site: Any, ask: Ask, a_feed: MakeFeed) -> None:
    url = site.holds("/f", b"x" * 3_000_000)

    error = await failure(ask(a_feed(url)))

    assert "it announces 3000000" in error.reason


async def test_an_unannounced_flood_is_cut_off(site: Any, ask: Ask, a_feed: MakeFeed) -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(800):
            await response.write(b"x" * 65_536)
        return response

    error = await failure(ask(a_feed(site.at("/f", flood))))

    assert "larger than 2000000 bytes" in error.reason


async def test_a_dripping_feed_ends_at_the_deadline(site: Any, ask: Ask, a_feed: MakeFeed) -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.05)

    error = await failure(ask(a_feed(site.at("/f", drip), timeout=timedelta(milliseconds=300))))

    assert error.reason == "no complete answer within 0.3 s"


async def test_headers_without_end_are_refused(ask: Ask, a_feed: MakeFeed) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        try:
            for number in range(100_000):
                writer.write(b"X-%d: %s\r\n" % (number, b"y" * 100))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(endless, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await failure(ask(a_feed(f"http://127.0.0.1:{port}/f")))

    assert error.status is None


async def test_a_status_that_is_no_answer_is_told(site: Any, ask: Ask, a_feed: MakeFeed) -> None:
    error = await failure(ask(a_feed(site.holds("/f", b"", status=410))))

    assert (error.status, error.reason) == (410, "HTTP 410")


async def test_a_host_that_asks_for_silence_says_how_long(site: Any, ask: Ask, a_feed: MakeFeed) -> None:
    error = await failure(ask(a_feed(site.holds("/f", b"", status=429, Retry_After="17"))))

    assert (error.status, error.retry_after_s) == (429, 17.0)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", timedelta(seconds=120)),
        ("Wed, 04 Mar 2026 12:05:00 GMT", timedelta(minutes=5)),
        ("Wed, 04 Mar 2026 11:00:00 GMT", timedelta(0)),
        ("99999999999999999", timedelta(hours=24)),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str | None, wait: timedelta | None) -> None:
    assert retry_after(value, NOW) == wait


def redirect(site: Any, path: str, to: str, status: int = 302) -> str:
    return str(site.holds(path, b"", status=status, Location=to))


async def test_permanent_redirects_all_the_way_tell_a_new_address(site: Any, ask: Ask, a_feed: MakeFeed) -> None:
    site.holds("/c", FEED)
    redirect(site, "/b", "/c", 308)
    start = redirect(site, "/a", "b", 301)

    got = await ask(a_feed(start))

    assert isinstance(got, Fetched)
    assert got.url == got.moved_to == site.url + "/c"


async def test_a_temporary_redirect_moves_nothing(site: Any, ask: Ask, a_feed: MakeFeed) -> None:
    site.holds("/b", FEED)

    got = await ask(a_feed(redirect(site, "/a", "/b", 302)))

    assert isinstance(got, Fetched)
    assert got.moved_to is None


@pytest.mark.parametrize(
    "to", ["/a", "/b", "//", "ftp://127.0.0.1/x", "file:///etc/passwd", "javascript:1", "http://[", ""]
)
async def test_redirects_that_lead_nowhere_end_at_once(site: Any, ask: Ask, a_feed: MakeFeed, to: str) -> None:
    redirect(site, "/b", "/a")

    error = await failure(ask(a_feed(redirect(site, "/a", to))))

    assert len(site.asked) <= 2
    assert error.reason


async def test_redirects_are_counted(site: Any, ask: Ask, a_feed: MakeFeed) -> None:
    for number in range(20):
        redirect(site, f"/{number}", f"/{number + 1}")

    error = await failure(ask(a_feed(site.url + "/0")))

    assert error.reason == "more than 5 redirects"
    assert len(site.asked) == 6


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://0.0.0.0/",
    ],
)
async def test_not_even_a_feed_of_the_house_leads_to_the_metadata_service(
    site: Any, ask: Ask, a_feed: MakeFeed, to: str
) -> None:
    error = await failure(ask(a_feed(redirect(site, "/a", to))))

    assert "reserved address" in error.reason


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
async def test_a_feed_of_the_world_has_no_private_address(site: Any, ask: Ask, a_feed: MakeFeed, host: str) -> None:
    site.holds("/f", FEED)
    port = site.url.rpartition(":")[2]

    error = await failure(ask(a_feed(f"http://{host}:{port}/f", allow_private=False)))

    assert "private address" in error.reason
    assert site.asked == []


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f000001", "0177.0.0.1", "127。0。0。1"])
async def test_an_address_in_disguise_gets_nowhere(site: Any, ask: Ask, a_feed: MakeFeed, host: str) -> None:
    site.holds("/f", FEED)
    port = site.url.rpartition(":")[2]

    await failure(ask(a_feed(f"http://{host}:{port}/f", allow_private=False)))

    assert site.asked == []


async def test_a_secret_header_stays_with_its_host(site: Any, ask: Ask, a_feed: MakeFeed) -> None:
    port = site.url.rpartition(":")[2]
    site.holds("/b", FEED)
    start = redirect(site, "/a", f"http://localhost:{port}/b")

    await ask(a_feed(start, headers=(("X-Key", SecretStr("s3cret")),)))

    assert [request.headers.get("X-Key") for request in site.asked] == ["s3cret", None]


async def test_cookies_are_neither_kept_nor_sent(site: Any, ask: Ask, a_feed: MakeFeed) -> None:
    feed = a_feed(site.holds("/f", FEED, Set_Cookie="a=b"))

    await ask(feed)
    await ask(feed)

    assert all("Cookie" not in request.headers for request in site.asked)


async def test_nobody_at_home_is_told_in_one_line(ask: Ask, a_feed: MakeFeed) -> None:
    error = await failure(ask(a_feed("http://127.0.0.1:1/f")))

    assert error.status is None
    assert "\n" not in error.reason
