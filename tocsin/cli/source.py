"""What a command is pointed at: a file, standard input, or an address that is fetched like any feed."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tocsin.errors import Stop

if TYPE_CHECKING:
    from ingest.parse import Document

LIMIT_BYTES: Final = 64 * 1024 * 1024


def is_url(source: str) -> bool:
    """Whether *source* is to be fetched."""
    return source.startswith(("http://", "https://"))


def open_source(source: str, *, content_type: str | None = None, base_url: str | None = None) -> Document:
    """Return the bytes behind *source* with what is known of them; what the caller says wins.

    Raises:
        Stop: the file cannot be read.
        FeedUnreachable: the address gave no usable answer.
    """
    from ingest.parse import Document

    if is_url(source):
        body, url, told = asyncio.run(_fetched(source))
        return Document(body=body, url=base_url or url, content_type=content_type or told)
    return Document(body=_read(source), url=base_url or "", content_type=content_type or "")


def _read(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read(LIMIT_BYTES)
    try:
        with Path(source).open("rb") as stream:
            return stream.read(LIMIT_BYTES)
    except OSError as error:
        raise Stop(f"{source}: {error.strerror}") from error


async def _fetched(url: str) -> tuple[bytes, str, str]:
    """Fetch through the same guard, limits and deadline as a feed.

    Whoever types a private address means it; a public name must not lead, or be redirected, to one.
    """
    from ingest.fetch import Fetched, Validators, fetch, open_sessions
    from ingest.hosts import Hosts
    from ingest.settings import Feed, PollingSettings
    from tocsin.clock import SystemClock
    from tocsin.records import Source

    polling, clock = PollingSettings(), SystemClock()
    feed = Feed(id=url, url=url, source=Source(owner=""), allow_private=_is_private(url))
    async with open_sessions(polling) as sessions:
        got = await fetch(
            sessions,
            feed,
            url=url,
            validators=Validators(),
            hosts=Hosts(at_once=1, gap=timedelta(0), clock=clock),
            polling=polling,
            clock=clock,
        )
    assert isinstance(got, Fetched)  # without validators there is no 304
    return got.body, got.url, got.content_type


def _is_private(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost"
