"""Bytes in, `ParsedFeed` out. Pure, and picklable both ways: it runs in a worker child that may be killed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ingest.parse.choice import Verdict, judge
from ingest.parse.forgiving import read_forgiving
from ingest.parse.form import Document, Entry, ParsedFeed
from ingest.parse.jsonfeed import read_json_feed
from ingest.parse.prepass import DEPTH_LIMIT, depth_within_limit, mend
from ingest.parse.wellformed import NotWellFormed, read_well_formed
from tocsin.errors import FeedUnreadable

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Document", "Entry", "ParsedFeed", "parse", "to_json"]

_JSON_STARTS = (b"{", b"\xef\xbb\xbf{", b"[")


def parse(document: Document) -> ParsedFeed:
    """Return what *document* says, by the fast path when that can be believed, else by the forgiving one.

    Raises:
        FeedUnreadable: it is no feed, or one that is made to harm.
    """
    if document.body[:64].lstrip().startswith(_JSON_STARTS) or "json" in document.content_type.lower():
        return read_json_feed(document)
    mended = mend(document.body, document.content_type)
    fast: ParsedFeed | None
    try:
        fast = read_well_formed(mended.text, document.url)
    except NotWellFormed:
        fast = None
    verdict = judge(fast, mended.text)
    if fast is not None and verdict is Verdict.GOOD:
        return _checked(fast, mended.warnings)
    if not depth_within_limit(mended.text):
        raise FeedUnreadable(f"tags stand deeper than {DEPTH_LIMIT}")
    slow = read_forgiving(mended.text, document.url)
    warnings = (*mended.warnings, f"read by the forgiving parser: {verdict}")
    if fast is not None and len(fast.entries) >= len(slow.entries):
        return _checked(fast, warnings)
    return _checked(slow, warnings)


def to_json(feed: ParsedFeed) -> dict[str, Any]:
    """Return *feed* in the form of `tocsin parse-feed --json`."""
    return {
        "feed": {"title": feed.title, "url": feed.url, "language": feed.language},
        "entries": [
            {
                "id": entry.id,
                "url": entry.url,
                "title": entry.title,
                "summary": entry.summary,
                "text": entry.text,
                "published": _instant(entry.published),
                "updated": _instant(entry.updated),
                "authors": list(entry.authors),
                "language": entry.language,
            }
            for entry in feed.entries
        ],
        "warnings": list(feed.warnings),
    }


def _checked(feed: ParsedFeed, warnings: tuple[str, ...]) -> ParsedFeed:
    """Add *warnings*, and refuse what has neither entries nor a feed's head."""
    if not feed.entries and not feed.title and feed.url is None:
        told = f" ({feed.warnings[0]})" if feed.warnings else ""
        raise FeedUnreadable(f"no feed: it has neither entries nor a title{told}")
    return replace(feed, warnings=(*warnings, *feed.warnings)) if warnings else feed


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
