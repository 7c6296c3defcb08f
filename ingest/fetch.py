"""One feed asked once: conditional, guarded, bounded in time and size, redirects followed by hand."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from ingest.body import ACCEPT_ENCODING, BodyRefused, read_body
from ingest.hosts import HostHeld, Hosts
from tocsin.addresses import AddressDenied, guarded
from tocsin.errors import FeedUnreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from ingest.settings import Feed, PollingSettings
    from tocsin.clock import Clock

READ_BYTES = 64 * 1024
HEADER_LIMIT_BYTES = 16_384  # one line; a hundred of them at most
RETRY_AFTER_CAP = timedelta(hours=24)  # RFC 9110, 10.2.3 sets no limit, and a server may ask for years
DNS_CACHE_S = 60
ACCEPT = (
    "application/atom+xml, application/rss+xml, application/feed+json, application/rdf+xml, application/xml;q=0.9, "
    "text/xml;q=0.9, application/json;q=0.8, */*;q=0.5"
)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PERMANENT = frozenset({301, 308})
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validators:
    """What a feed gave us to ask "anything new?" with; opaque, sent back as it came."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A new body. `moved_to` is set when every redirect on the way was permanent; `max_age` is the publisher's hint."""

    body: bytes
    url: str
    content_type: str
    validators: Validators
    max_age: timedelta | None = None
    moved_to: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotModified:
    """Nothing new since the validators that were sent."""

    max_age: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Sessions:
    """Two ways out: `guarded` for the world, `private` for the feeds that may have a private address."""

    guarded: aiohttp.ClientSession
    private: aiohttp.ClientSession


@asynccontextmanager
async def open_sessions(polling: PollingSettings) -> AsyncIterator[Sessions]:
    """Yield the sessions; no cookies, no proxies from the environment, nothing unpacked behind our back."""

    def session(*, allow_private: bool) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=polling.at_once,
                limit_per_host=polling.per_host.at_once,
                socket_factory=guarded(allow_private=allow_private),
                ttl_dns_cache=DNS_CACHE_S,
                keepalive_timeout=30,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": polling.user_agent, "Accept": ACCEPT, "Accept-Encoding": ACCEPT_ENCODING},
            timeout=aiohttp.ClientTimeout(total=None),  # ours is around the whole exchange
            trust_env=False,
            auto_decompress=False,
            requote_redirect_url=False,
            read_bufsize=READ_BYTES,
            max_line_size=HEADER_LIMIT_BYTES,
            max_field_size=HEADER_LIMIT_BYTES,
        )

    async with session(allow_private=False) as outward, session(allow_private=True) as private:
        yield Sessions(outward, private)


async def fetch(
    sessions: Sessions,
    feed: Feed,
    *,
    url: str,
    validators: Validators,
    hosts: Hosts,
    polling: PollingSettings,
    clock: Clock,
) -> Fetched | NotModified:
    """Ask once for *feed* at *url*; the caller holds the turn of that host, further hosts are waited for here.

    The whole exchange, redirects and body included, ends within the feed's timeout or the deadline.

    Raises:
        FeedUnreachable: no usable answer, a denied address, or a body over a limit.
    """
    deadline = feed.timeout or polling.deadline
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            return await _follow(
                sessions, feed, url=url, validators=validators, hosts=hosts, polling=polling, clock=clock
            )
    except TimeoutError as error:
        raise FeedUnreachable(feed.id, f"no complete answer within {deadline.total_seconds():g} s") from error
    except AddressDenied as error:
        raise FeedUnreachable(feed.id, str(error)) from error
    except BodyRefused as error:
        raise FeedUnreachable(feed.id, f"body: {error}", status=200) from error
    except HostHeld as error:
        raise FeedUnreachable(feed.id, f"redirect: {error}") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise FeedUnreachable(feed.id, _told(error)) from error


async def _follow(
    sessions: Sessions,
    feed: Feed,
    *,
    url: str,
    validators: Validators,
    hosts: Hosts,
    polling: PollingSettings,
    clock: Clock,
) -> Fetched | NotModified:
    session = sessions.private if feed.allow_private else sessions.guarded
    here = start = _address(feed.id, url)
    seen = {here}
    moved_to: str | None = None
    permanent = True
    warnings: list[str] = []
    for hop in range(polling.redirects + 1):
        headers = _headers(feed, validators, here=here, start=start)
        elsewhere = hosts.turn(host_of(here)) if host_of(here) != host_of(start) else _no_turn()
        async with elsewhere, session.get(here, headers=headers, allow_redirects=False) as response:
            if response.status not in _REDIRECTS:
                return await _answer(
                    response,
                    feed,
                    validators=validators,
                    polling=polling,
                    moved_to=moved_to,
                    warnings=tuple(warnings),
                    now=clock.now(),
                )
            there = _target(feed.id, here, response)
            permanent = permanent and response.status in _PERMANENT
        if there in seen:
            raise FeedUnreachable(feed.id, f"redirects go in a circle at {there}", status=response.status)
        if hop == polling.redirects:
            break
        seen.add(there)
        if here.scheme == "https" and there.scheme == "http":
            warnings.append(f"redirected from https to http: {there}")
        here = there
        moved_to = str(there) if permanent else moved_to
    raise FeedUnreachable(feed.id, f"more than {polling.redirects} redirects")


async def _answer(
    response: aiohttp.ClientResponse,
    feed: Feed,
    *,
    validators: Validators,
    polling: PollingSettings,
    moved_to: str | None,
    warnings: tuple[str, ...],
    now: datetime,
) -> Fetched | NotModified:
    status = response.status
    if status == 304 and validators != Validators():  # noqa: PLR2004 — Not Modified
        return NotModified(max_age=_max_age(response.headers))
    if status != 200:  # noqa: PLR2004 — OK
        wait_s = _retry_after_s(response.headers.get("Retry-After"), now) if status in {429, 503} else None
        raise FeedUnreachable(feed.id, f"HTTP {status}", status=status, retry_after_s=wait_s)
    if response.content_length is not None and response.content_length > polling.body_limit:
        raise BodyRefused(f"larger than {polling.body_limit} bytes: it announces {response.content_length}")
    body = await read_body(
        response.content.iter_chunked(READ_BYTES),
        encoding=response.headers.get("Content-Encoding", ""),
        limit=polling.body_limit,
        ratio_limit=polling.ratio_limit,
    )
    return Fetched(
        body=body,
        url=str(response.url),
        content_type=response.headers.get("Content-Type", "")[:200],
        validators=Validators(
            etag=_short(response.headers.get("ETag")), last_modified=_short(response.headers.get("Last-Modified"))
        ),
        max_age=_max_age(response.headers),
        moved_to=moved_to,
        warnings=warnings,
    )


def host_of(url: URL | str) -> str:
    """Return what manners are counted by: host and port."""
    url = url if isinstance(url, URL) else URL(url)
    return f"{url.host or ''}:{url.port or 0}"


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Read `Retry-After` in either form, seconds or a date (RFC 9110, 10.2.3); at most a day."""
    if not value:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(timedelta(seconds=int(value[:9])), RETRY_AFTER_CAP)
    try:
        until = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(timedelta(0), min(until - now, RETRY_AFTER_CAP))


def _retry_after_s(value: str | None, now: datetime) -> float | None:
    wait = retry_after(value, now)
    return None if wait is None else wait.total_seconds()


def _headers(feed: Feed, validators: Validators, *, here: URL, start: URL) -> dict[str, str]:
    headers: dict[str, str] = {}
    if here.origin() == start.origin():  # a secret is for the host it was given for
        headers |= {name: value.get_secret_value() for name, value in feed.headers}
    if validators.etag:
        headers["If-None-Match"] = validators.etag
    if validators.last_modified:
        headers["If-Modified-Since"] = validators.last_modified
    return headers


def _address(feed: str, text: str) -> URL:
    try:
        url = URL(text)
        if url.scheme not in {"http", "https"} or not url.host:
            raise FeedUnreachable(feed, f"{text[:200]!r} is no address on the web")
        return url.with_fragment(None)
    except ValueError as error:
        raise FeedUnreachable(feed, f"{text[:200]!r} is no address: {error}") from error


def _target(feed: str, here: URL, response: aiohttp.ClientResponse) -> URL:
    location = response.headers.get("Location", "").strip()
    if not location:
        raise FeedUnreachable(feed, f"HTTP {response.status} without a Location", status=response.status)
    try:
        there = here.join(URL(location))
    except ValueError as error:
        raise FeedUnreachable(
            feed, f"redirected to {location[:200]!r}, which is no address", status=response.status
        ) from error
    return _address(feed, str(there))


def _max_age(headers: Mapping[str, str]) -> timedelta | None:
    match = _MAX_AGE.search(headers.get("Cache-Control", ""))
    return timedelta(seconds=int(match[1])) if match else None


def _short(validator: str | None) -> str | None:
    """Keep a validator only when it can be sent back: one line that is not absurdly long."""
    return validator if validator and len(validator) <= 2000 and validator.isprintable() else None  # noqa: PLR2004 — far over any real one


def _told(error: BaseException) -> str:
    """Say in one line what went wrong, the denied address before aiohttp's words around it."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    text = " ".join(str(inner).split()) or type(error).__name__
    return f"{type(inner).__name__}: {text}"[:300] if not isinstance(inner, AddressDenied) else text[:300]


@asynccontextmanager
async def _no_turn() -> AsyncIterator[None]:
    """Stand in for a turn that the caller holds already."""
    yield
