"""What a worker child does with one document: parse it and give every entry its names. Pure and picklable."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ingest.identity import Item, identify
from ingest.parse import Document, Entry, parse
from ingest.parse.form import ParsedFeed
from tocsin.errors import FeedUnreadable

TEXT_LIMIT_CHARS = 100_000  # of one entry: an article of twenty thousand words; a stream record stays below 1 MB
TITLE_LIMIT_CHARS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A document and the feed that it came from."""

    feed: str
    document: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """A feed document, understood and identified. `feed` has no entries any more: they are in `items`."""

    feed: ParsedFeed
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The document is no feed. A value, not an exception: it is the feed's fault, and no record is set aside."""

    reason: str


def take_in(_: None, request: Request) -> Intake | Unreadable:
    """Parse a document and identify its entries; whatever is wrong with it is an answer."""
    try:
        parsed = parse(request.document)
    except FeedUnreadable as error:
        return Unreadable(str(error))
    entries = [_cut(entry) for entry in parsed.entries if entry.title or entry.summary or entry.url]
    return Intake(feed=replace(parsed, entries=()), items=identify(request.feed, entries))


def _cut(entry: Entry) -> Entry:
    if len(entry.title) <= TITLE_LIMIT_CHARS and len(entry.summary) + len(entry.text) <= TEXT_LIMIT_CHARS:
        return entry
    summary = entry.summary[: TEXT_LIMIT_CHARS // 4]
    return replace(
        entry,
        title=entry.title[:TITLE_LIMIT_CHARS],
        summary=summary,
        text=entry.text[: TEXT_LIMIT_CHARS - len(summary)],
    )
