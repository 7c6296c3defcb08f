"""What a document is before parsing and after: one form, whichever path read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Bytes that claim to be a feed. `url` is where they came from after redirects: relative links are resolved on it.

    `content_type` is the whole HTTP header, charset included; empty when nobody told one.
    """

    body: bytes
    url: str = ""
    content_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One item of a feed as the feed told it: all plain text, links resolved, dates in UTC.

    `id` is the feed's own (guid, atom:id, rdf:about) and may be missing or repeated. A date that is missing or
    absurd is None, never a reason to leave the entry out. `text` is the full text where the feed carries one
    beside its `summary`.
    """

    id: str | None = None
    url: str | None = None
    title: str = ""
    summary: str = ""
    text: str = ""
    published: datetime | None = None
    updated: datetime | None = None
    authors: tuple[str, ...] = ()
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedFeed:
    """One feed document, understood. `every` is the publisher's own wish (ttl, syn:updatePeriod), if it told one."""

    title: str = ""
    url: str | None = None
    language: str | None = None
    every: timedelta | None = None
    entries: tuple[Entry, ...] = ()
    warnings: tuple[str, ...] = ()
