"""What a worker child does with one document: parse it and give every entry its names. Pure and picklable."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ingest.identity import Item, identify
from ingest.parse import Document, Entry, parse
from ingest.parse.form import ParsedFeed
from tocsin.errors import FeedUnreadable

TEXT_LIMIT_CHARS = 100_000  # of one entry: an article of twenty thousand words; a stream record stays below 1 MB
TITLE_LIMIT_CHARS = 2_000
# What XML forbids and JSON can bring all the same: no database keeps half a surrogate, PostgreSQL not even a NUL, and
# an article that cannot be stored would come back at every poll.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


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
    entries = [_cut(_storable(entry)) for entry in parsed.entries if entry.title or entry.summary or entry.url]
    return Intake(feed=replace(parsed, entries=()), items=identify(request.feed, entries))


def _storable(entry: Entry) -> Entry:
    texts = (entry.id, entry.url, entry.title, entry.summary, entry.text, entry.language)
    whole = "".join(text for text in texts if text)
    if "\x00" not in whole and _is_unicode(whole):  # thirty times faster than to search for both
        return entry
    id_, url, title, summary, text, language = (text and _UNSTORABLE.sub("", text) for text in texts)
    return replace(entry, id=id_, url=url, title=title or "", summary=summary or "", text=text or "", language=language)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
