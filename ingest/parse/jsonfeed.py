"""JSON Feed 1.0 and 1.1 (jsonfeed.org), read with patience: a field of the wrong type counts as missing."""

from __future__ import annotations

from urllib.parse import urljoin

import msgspec

from ingest.parse.dates import read_date
from ingest.parse.form import Document, Entry, ParsedFeed
from ingest.parse.plain import plain_text, tidy
from ingest.parse.prepass import decode
from tocsin.errors import FeedUnreadable

Json = dict[str, object]


def read_json_feed(document: Document) -> ParsedFeed:
    """Return what a JSON Feed says.

    Raises:
        FeedUnreadable: no JSON, or none that is a feed.
    """
    text, warnings = decode(document.body, document.content_type)
    try:
        root = msgspec.json.decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError) as error:
        raise FeedUnreadable(f"no valid JSON: {error}") from error
    if not isinstance(root, dict) or not isinstance(root.get("items"), list):
        raise FeedUnreadable("JSON, but no JSON Feed: it has no list of items")
    base = document.url
    items = [item for item in root["items"] if isinstance(item, dict)]
    if len(items) < len(root["items"]):
        warnings.append(f"{len(root['items']) - len(items)} items are no objects")
    if not str(root.get("version", "")).startswith(("https://jsonfeed.org/version/", "http://jsonfeed.org/version/")):
        warnings.append("no version of JSON Feed is told")
    language = _text(root, "language") or None
    return ParsedFeed(
        title=tidy(_text(root, "title")),
        url=_link(base, _text(root, "home_page_url")),
        language=language,
        entries=tuple(_entry(item, base=base, language=language) for item in items),
        warnings=tuple(warnings),
    )


def _entry(item: Json, *, base: str, language: str | None) -> Entry:
    html, text = _text(item, "content_html"), _text(item, "content_text")
    summary = tidy(_text(item, "summary"))
    content = plain_text(html) if html else tidy(text)
    return Entry(
        id=_identifier(item.get("id")),
        url=_link(base, _text(item, "url") or _text(item, "external_url")),
        title=tidy(_text(item, "title")),
        summary=summary or content,
        text=content if summary and content != summary else "",
        published=read_date(_text(item, "date_published")),
        updated=read_date(_text(item, "date_modified")),
        authors=_authors(item),
        language=_text(item, "language") or language,
    )


def _identifier(value: object) -> str | None:
    """Return an id as text: 1.0 feeds write numbers."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).strip() or None


def _authors(item: Json) -> tuple[str, ...]:
    told = item.get("authors")
    listed = [*(told if isinstance(told, list) else []), item.get("author")]
    names = (tidy(_text(author, "name")) for author in listed if isinstance(author, dict))
    return tuple(dict.fromkeys(name for name in names if name))


def _text(holder: Json, key: str) -> str:
    value = holder.get(key)
    return value.strip() if isinstance(value, str) else ""


def _link(base: str, link: str) -> str | None:
    try:
        return urljoin(base, link) if link else None
    except ValueError:
        return None
