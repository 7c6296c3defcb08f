"""What the elements of RSS, RDF, Atom and their companions are called here, whatever prefix a feed gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin

from lxml import etree

from ingest.parse.plain import looks_like_html, plain_text, tidy

if TYPE_CHECKING:
    from collections.abc import Iterator

XML = "{http://www.w3.org/XML/1998/namespace}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"

_NAMESPACES = {
    "": "",
    "http://my.netscape.com/rdf/simple/0.9/": "",
    "http://channel.netscape.com/rdf/simple/0.9/": "",
    "http://purl.org/rss/1.0/": "",
    "http://purl.org/net/rss1.1#": "",
    "http://backend.userland.com/rss": "",
    "http://backend.userland.com/rss2": "",
    "http://blogs.law.harvard.edu/tech/rss": "",
    "http://www.w3.org/2005/atom": "atom:",
    "http://purl.org/atom/ns#": "atom:",
    "http://example.com/newformat#": "atom:",
    "http://purl.org/atom/app#": "app:",
    "http://purl.org/dc/elements/1.1/": "dc:",
    "http://purl.org/dc/terms/": "dcterms:",
    "http://purl.org/rss/1.0/modules/content/": "content:",
    "http://purl.org/rss/1.0/modules/syndication/": "sy:",
    "http://search.yahoo.com/mrss": "media:",
    "http://search.yahoo.com/mrss/": "media:",
    "http://www.itunes.com/dtds/podcast-1.0.dtd": "itunes:",
    "http://www.w3.org/1999/xhtml": "xhtml:",
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf:",
}


class Names:
    """The house's name for each tag of one document: `title`, `atom:link`, `dc:date`; a stranger is `?`."""

    def __init__(self, root: etree._Element) -> None:
        self._known: dict[object, str] = {}
        # Whatever namespace the root has is the feed's own: RSS appears in many that no list holds.
        namespace = etree.QName(root).namespace or ""
        self._own = namespace if namespace.lower() not in _NAMESPACES else None

    def of(self, element: etree._Element) -> str:
        """Return the name of *element*, lower-cased."""
        tag = element.tag
        name = self._known.get(tag)
        if name is None:
            name = self._known[tag] = self._name(tag)
        return name

    def _name(self, tag: object) -> str:
        if not isinstance(tag, str):
            return "?"
        namespace, _, local = tag[1:].partition("}") if tag.startswith("{") else ("", "", tag)
        prefix = "" if namespace == self._own else _NAMESPACES.get(namespace.lower(), "?")
        return "?" if prefix == "?" else prefix + local.lower()


class Children:
    """The children of one element by name, in order."""

    def __init__(self, element: etree._Element, names: Names) -> None:
        self.element = element
        self._by_name: dict[str, list[etree._Element]] = {}
        for child in element:
            self._by_name.setdefault(names.of(child), []).append(child)

    def first(self, *names: str) -> etree._Element | None:
        """Return the first child of the first of *names* that there is."""
        for name in names:
            found = self._by_name.get(name)
            if found:
                return found[0]
        return None

    def every(self, *names: str) -> Iterator[etree._Element]:
        """Yield all children with one of *names*, name by name."""
        for name in names:
            yield from self._by_name.get(name, ())

    def word(self, *names: str) -> str:
        """Return the bare text of the first of *names* that has one."""
        for name in names:
            for child in self._by_name.get(name, ()):
                if child.text and (text := child.text.strip()):
                    return text
        return ""


def prose(element: etree._Element | None) -> str:
    """Return the text of an RSS element as people see it: HTML in any wrapping becomes plain text."""
    if element is None:
        return ""
    if len(element):
        return plain_text(etree.tostring(element, encoding="unicode", with_tail=False))
    return plain_text(element.text) if element.text else ""


def atom_prose(element: etree._Element | None) -> str:
    """Return the text of an Atom construct, obeying its `type` (RFC 4287, 3.1) or Atom 0.3's `type` and `mode`."""
    if element is None:
        return ""
    if len(element):
        return plain_text(etree.tostring(element, encoding="unicode", with_tail=False))
    text = element.text
    if not text:
        return ""
    kind = (element.get("type") or "").lower()
    if "html" in kind or (not kind and looks_like_html(text)):
        return plain_text(text)
    if element.get("mode") == "base64" or (kind and "text" not in kind and not kind.endswith("xml")):
        return ""
    return tidy(text)


def resolved(link: str | None, base: str) -> str | None:
    """Return *link* as an absolute address; None when there is none or it cannot be one."""
    link = "".join(link.split()) if link else ""
    if not link:
        return None
    if not base or link.startswith(("https://", "http://")):
        return link
    try:
        return urljoin(base, link)
    except ValueError:
        return None


def base_of(element: etree._Element, base: str) -> str:
    """Return what *element*'s relative links start from: every `xml:base` above it, on the document's own address."""
    told = [above.get(XML + "base") for above in (element, *element.iterancestors())]
    for part in reversed(told):
        if part:
            base = resolved(part, base) or base
    return base
