"""What `tocsin scan` is given, as plain title and text: an article as text, a web page, or the items of a feed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ingest.parse import Document

TITLE_LIMIT: Final = 250  # characters; a longer first line is the text itself
_FEED: Final = re.compile(rb"<(?:rss|feed|rdf:RDF)[\s>]", re.IGNORECASE)
_PAGE: Final = re.compile(rb"<(?:!doctype html|html|head|body|article|p|div)[\s>/]", re.IGNORECASE)
_BLOCKS: Final = "p, h2, h3, h4, li, blockquote, figcaption, pre"
_NO_TEXT: Final = "script, style, noscript, template, svg, nav, footer, aside, form, iframe, button, select"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One article to scan. `published` is as the source wrote it, in ISO form, or None."""

    id: str
    title: str
    text: str
    language: str | None = None
    published: str | None = None


def pieces(document: Document, name: str) -> list[Piece]:
    """Return the articles in *document*: the entries of a feed, or the one that a page or a text is.

    Raises:
        FeedUnreadable: it looks like a feed and is none.
    """
    head = document.body[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if _FEED.search(head) or (head.startswith(b"{") and b"jsonfeed.org" in head):
        return _entries(document)
    if "html" in document.content_type or _PAGE.search(head):
        return [_page(document.body, name)]
    return [_plain(document.body.decode("utf-8-sig", "replace"), name)]


def _plain(text: str, name: str) -> Piece:
    """Take the first line as the title where it stands alone, the rest as the text."""
    first, _, rest = text.strip().partition("\n")
    title = first.strip() if rest.strip() and len(first) <= TITLE_LIMIT else ""
    return Piece(id=name, title=title, text=rest.strip() if title else text.strip())


def _page(body: bytes, name: str) -> Piece:
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(body)
    tree.strip_tags(_NO_TEXT.split(", "))
    headline = tree.css_first("h1") or tree.css_first("title")
    root = tree.css_first("article") or tree.css_first("main") or tree.body
    innermost = [node for node in (root.css(_BLOCKS) if root else ()) if len(node.css(_BLOCKS)) <= 1]  # itself counts
    blocks = [" ".join(node.text(separator="").split()) for node in innermost]
    text = "\n\n".join(dict.fromkeys(block for block in blocks if block))
    if not text and root:
        text = root.text(separator="\n").strip()
    language = tree.root.attributes.get("lang") if tree.root else None
    dated = tree.css_first("meta[property='article:published_time']")
    return Piece(
        id=name,
        title=" ".join(headline.text(separator=" ").split()) if headline else "",
        text=text,
        language=language[:2].lower() if language else None,
        published=dated.attributes.get("content") if dated else None,
    )


def _entries(document: Document) -> list[Piece]:
    from ingest.parse import parse

    feed = parse(document)
    return [
        Piece(
            id=entry.id or entry.url or f"#{number}",
            title=entry.title,
            text="\n\n".join(dict.fromkeys(part for part in (entry.summary, entry.text) if part)),
            language=entry.language or feed.language,
            published=entry.published.isoformat() if entry.published else None,
        )
        for number, entry in enumerate(feed.entries, start=1)
    ]
