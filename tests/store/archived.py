"""A record for the archive of which a test names only what it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.store.archive import Kept
from tocsin.stream.port import ARTICLES
from tocsin.testing import NOON

if TYPE_CHECKING:
    from datetime import datetime


def kept(
    name: str,
    *,
    at: datetime = NOON,
    key: str | None = None,
    title: str = "",
    text: str = "",
    url: str = "",
    value: bytes = b"v",
) -> Kept:
    """Return an article of that name."""
    key = name if key is None else key
    return Kept(kind=ARTICLES, id=name, key=key, seen_at=at, url=url, title=title, text=text, value=value)
