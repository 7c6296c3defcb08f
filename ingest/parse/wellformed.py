"""The fast path: RSS 0.9x to 2.0, RDF and Atom 0.3 and 1.0 that are well-formed XML once mended, read with lxml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from lxml import etree

from ingest.parse.dates import read_date
from ingest.parse.elements import RDF, XML, Children, Names, atom_prose, base_of, prose, resolved
from ingest.parse.form import Entry, ParsedFeed
from ingest.parse.plain import tidy

_NAME_IN_EMAIL = re.compile(r"[^()@\s]+@[^()\s]+\s*\(([^()]+)\)")
_COUNT = re.compile(r"0*[1-9]\d{0,5}", re.ASCII)
_PERIODS = {"hourly": 1, "daily": 24, "weekly": 7 * 24, "monthly": 30 * 24, "yearly": 365 * 24}
_PUBLISHED = ("pubdate", "atom:published", "atom:issued", "dcterms:issued", "published", "issued")
_UPDATED = ("atom:updated", "atom:modified", "dcterms:modified", "dc:date", "updated", "modified", "lastbuilddate")


class NotWellFormed(Exception):
    """libxml2 does not accept the text as XML."""


@dataclass(frozen=True, slots=True)
class Context:
    """What holds for every entry of one document. `has_bases` spares the walk up when no `xml:base` occurs."""

    names: Names
    base: str
    language: str | None
    is_atom: bool
    has_bases: bool

    def base_for(self, element: etree._Element) -> str:
        """Return what relative links in *element* start from."""
        return base_of(element, self.base) if self.has_bases else self.base


def read_well_formed(text: str, url: str) -> ParsedFeed:
    """Return what a mended document says; without entries when its root is no feed's.

    Raises:
        NotWellFormed: it is no XML.
    """
    root = _root(text)
    names = Names(root)
    kind = names.of(root).rpartition(":")[2]
    is_atom = kind in {"feed", "entry"}
    if not is_atom and kind not in {"rss", "rdf", "channel"}:
        return ParsedFeed(warnings=(f"the root is <{etree.QName(root).localname}>, no feed's",))
    head = Children(root if is_atom else _channel(root, names), names)
    language = _language(head)
    context = Context(names, url, language, is_atom, has_bases="xml:base" in text)
    base = context.base_for(head.element)
    read = _atom_entry if is_atom else _rss_entry
    return ParsedFeed(
        title=atom_prose(head.first("atom:title", "title")) if is_atom else prose(head.first("title", "dc:title")),
        url=_atom_link(head, base) if is_atom else resolved(head.word("link"), base) or _atom_link(head, base),
        language=language,
        every=_wish(head),
        entries=tuple(read(Children(item, names), context) for item in _items(root, names)),
    )


def _root(text: str) -> etree._Element:
    # A parser each: one that is shared keeps the names of every document it ever saw.
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(text.encode("utf-8", "replace"), parser)
    except etree.XMLSyntaxError as error:
        raise NotWellFormed(str(error)) from error
    if root is None:
        raise NotWellFormed("no element")
    return root


def _channel(root: etree._Element, names: Names) -> etree._Element:
    return next((child for child in root if names.of(child) == "channel"), root)


def _items(root: etree._Element, names: Names) -> list[etree._Element]:
    if names.of(root).rpartition(":")[2] == "entry":
        return [root]
    wanted = {"item", "entry", "atom:entry"}
    found = []
    for item in root.iter("{*}item", "{*}entry", "{*}Item"):
        parent = item.getparent()
        if names.of(item) in wanted and (parent is None or names.of(parent) not in wanted):
            found.append(item)
    return found


def _rss_entry(item: Children, context: Context) -> Entry:
    base = context.base_for(item.element)
    guid = item.first("guid", "atom:id", "id")
    identifier = item.element.get(RDF + "about") or (guid.text if guid is not None else None)
    identifier = identifier.strip() or None if identifier else None
    media = _media(item, context.names)
    summary = (
        prose(item.first("description", "dc:description", "summary", "atom:summary"))
        or prose(item.first("itunes:summary", "media:description", "itunes:subtitle"))
        or (prose(media.first("media:description")) if media else "")
    )
    full = prose(item.first("content:encoded", "xhtml:body", "xhtml:div", "fullitem", "body")) or atom_prose(
        item.first("atom:content")
    )
    return Entry(
        id=identifier,
        url=_rss_link(item, base, identifier, guid),
        title=prose(item.first("title", "dc:title", "atom:title", "media:title", "itunes:title")),
        summary=summary or full,
        text=full if summary and full != summary else "",
        published=_date(item, _PUBLISHED),
        updated=_date(item, _UPDATED),
        authors=_authors(item, context.names),
        language=item.element.get(XML + "lang") or item.word("dc:language") or context.language,
    )


def _atom_entry(item: Children, context: Context) -> Entry:
    base = context.base_for(item.element)
    identifier = item.word("atom:id", "id") or None
    media = _media(item, context.names)
    summary = atom_prose(item.first("atom:summary", "summary", "atom:tagline")) or prose(
        item.first("dc:description", "media:description") or (media.first("media:description") if media else None)
    )
    full = atom_prose(item.first("atom:content", "content")) or prose(item.first("content:encoded"))
    url = _atom_link(item, base)
    if url is None and identifier is not None and identifier.startswith(("http://", "https://")):
        url = identifier
    return Entry(
        id=identifier,
        url=url,
        title=atom_prose(item.first("atom:title", "title")) or prose(item.first("dc:title", "media:title")),
        summary=summary or full,
        text=full if summary and full != summary else "",
        published=_date(item, _PUBLISHED) or _date(item, ("dcterms:created", "atom:created", "created")),
        updated=_date(item, _UPDATED),
        authors=_authors(item, context.names),
        language=item.element.get(XML + "lang") or context.language,
    )


def _rss_link(item: Children, base: str, identifier: str | None, guid: etree._Element | None) -> str | None:
    for link in item.every("link"):
        if url := resolved(link.text or link.get("href"), base):
            return url
    if url := _atom_link(item, base):
        return url
    if guid is not None and (guid.get("isPermaLink") or guid.get("ispermalink") or "true").lower() != "false":
        return resolved(identifier, base)
    if identifier is not None and identifier.startswith(("http://", "https://")):
        return identifier
    return None


def _atom_link(holder: Children, base: str) -> str | None:
    """Return the page that a feed or an entry is about: `alternate`, an HTML one rather than another."""
    other = None
    for link in holder.every("atom:link", "link"):
        if (link.get("rel") or "alternate").lower() not in {
            "alternate",
            "http://www.iana.org/assignments/relation/alternate",
        }:
            continue
        url = resolved(link.get("href"), base_of(link, base) if link.get(XML + "base") else base)
        if url is not None and "html" in (link.get("type") or "html").lower():
            return url
        other = other or url
    return other


def _media(item: Children, names: Names) -> Children | None:
    group = item.first("media:group", "media:content")
    return None if group is None else Children(group, names)


def _date(item: Children, wanted: tuple[str, ...]) -> datetime | None:
    for name in wanted:
        for element in item.every(name):
            if element.text and (found := read_date(element.text)) is not None:
                return found
    return None


def _authors(item: Children, names: Names) -> tuple[str, ...]:
    found: list[str] = []
    for element in item.every("atom:author", "author", "dc:creator", "dc:author", "itunes:author"):
        inner = Children(element, names)
        name = inner.word("atom:name", "name", "atom:email", "email") if len(element) else prose(element)
        if match := _NAME_IN_EMAIL.fullmatch(name):
            name = match[1]
        if name := tidy(name):
            found.append(name)
    return tuple(dict.fromkeys(found))


def _language(head: Children) -> str | None:
    element: etree._Element | None = head.element
    while element is not None:
        if told := element.get(XML + "lang"):
            return told.strip() or None
        element = element.getparent()
    return head.word("language", "dc:language") or None


def _wish(head: Children) -> timedelta | None:
    """Return how often the publisher wants to be asked (RSS 2.0 `ttl` in minutes; the syndication module)."""
    ttl = head.word("ttl")
    if _COUNT.fullmatch(ttl):
        return timedelta(minutes=int(ttl))
    hours = _PERIODS.get(head.word("sy:updateperiod").lower())
    if hours is None:
        return None
    times = head.word("sy:updatefrequency")
    return timedelta(hours=hours) / (int(times) if _COUNT.fullmatch(times) else 1)
