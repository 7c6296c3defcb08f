"""The slow path: feedparser, the reference for what is not well-formed, given bytes only and nothing to follow."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import feedparser

from ingest.parse.dates import read_date
from ingest.parse.elements import resolved
from ingest.parse.form import Entry, ParsedFeed
from ingest.parse.plain import looks_like_html, plain_text, tidy
from tocsin.errors import FeedUnreadable

if TYPE_CHECKING:
    from datetime import datetime

Told = dict[str, Any]  # feedparser's own dictionaries, whose values may be anything


def read_forgiving(text: str, url: str) -> ParsedFeed:
    """Return what feedparser makes of a mended document; perhaps nothing.

    Raises:
        FeedUnreadable: feedparser itself gave up.
    """
    headers = {"content-type": "application/xml; charset=utf-8"}
    if url:
        headers["content-location"] = url
    try:
        # A stream, never bare bytes: feedparser would first try to open those as the path of a file.
        read: Any = feedparser.parse(
            io.BytesIO(text.encode("utf-8", "replace")),
            response_headers=headers,
            sanitize_html=False,  # everything becomes plain text here
            resolve_relative_uris=False,
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, RecursionError) as error:
        raise FeedUnreadable(f"no parser could read it: {type(error).__name__}: {error}") from error
    feed = read.get("feed", {})
    warnings = ("not well-formed: " + str(read.get("bozo_exception", "unknown"))[:200],) if read.get("bozo") else ()
    language = _word(feed.get("language"))
    return ParsedFeed(
        title=_prose(feed.get("title_detail")),
        url=resolved(_word(feed.get("link")), url),
        language=language,
        entries=tuple(_entry(entry, language, url) for entry in read.get("entries", ())),
        warnings=warnings,
    )


def _entry(entry: Told, language: str | None, url: str) -> Entry:
    summary = _prose(entry.get("summary_detail"))
    full = next((text for content in entry.get("content", ()) if (text := _prose(content))), "")
    if summary == full:
        full = ""
    title = entry.get("title_detail") or {}
    return Entry(
        id=_word(entry.get("id")),
        url=resolved(_word(entry.get("link")), url),
        title=_prose(title),
        summary=summary or full,
        text=full if summary else "",
        published=_date(entry, "published"),
        updated=_date(entry, "updated"),
        authors=_authors(entry),
        language=_word(title.get("language")) or language,
    )


def _authors(entry: Told) -> tuple[str, ...]:
    names = [tidy(str(author.get("name", ""))) for author in entry.get("authors", ())]
    return tuple(dict.fromkeys(name for name in names if name))


def _date(entry: Told, name: str) -> datetime | None:
    # `in`, not `get`: feedparser answers `updated` from `published`, with a warning.
    return read_date(str(entry[name])) if dict.__contains__(entry, name) else None


def _prose(detail: Told | None) -> str:
    if not detail:
        return ""
    value = str(detail.get("value") or "")
    return plain_text(value) if "html" in str(detail.get("type")) or looks_like_html(value) else tidy(value)


def _word(value: object) -> str | None:
    return re.sub(r"\s+", " ", value).strip() or None if isinstance(value, str) else None
