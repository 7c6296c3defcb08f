"""The four forms in which outlets publish, as real publishers write them: RSS 2.0, Atom, RDF (RSS 1.0), JSON Feed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from html import escape
from typing import TYPE_CHECKING, Final

from tocsin.demo.story import Edition, Format, Outlet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A text in its feed: since when this article is there, and since when it reads so."""

    edition: Edition
    published: datetime
    updated: datetime


CONTENT_TYPES: Final[Mapping[Format, str]] = {
    Format.RSS: "application/rss+xml; charset=utf-8",
    Format.ATOM: "application/atom+xml; charset=utf-8",
    Format.RDF: "application/rdf+xml; charset=utf-8",
    Format.JSON: "application/feed+json; charset=utf-8",
}


def written(outlet: Outlet, window: Sequence[Shown]) -> bytes:
    """Return *outlet*'s feed with the items of *window*, the newest first."""
    return _WRITERS[outlet.format](outlet, window).encode()


def _rss(outlet: Outlet, window: Sequence[Shown]) -> str:
    items = "".join(
        f"""
    <item>
      <title>{escape(shown.edition.title, quote=False)}</title>
      <link>{shown.edition.url}</link>
      <guid isPermaLink="false">{outlet.id}:{shown.edition.article}</guid>
      <pubDate>{format_datetime(shown.published)}</pubDate>
      <description>{escape(shown.edition.lead, quote=False)}</description>
      <content:encoded><![CDATA[{_html(shown.edition)}]]></content:encoded>
    </item>"""
        for shown in window
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/">
  <channel>
    <title>{escape(outlet.name)}</title>
    <link>{outlet.site}</link>
    <description>{escape(outlet.name)}</description>
    <language>{outlet.language}</language>{items}
  </channel>
</rss>
"""


def _atom(outlet: Outlet, window: Sequence[Shown]) -> str:
    entries = "".join(
        f"""
  <entry>
    <id>{_tag(outlet, shown.edition)}</id>
    <title type="html">{escape(escape(shown.edition.title, quote=False))}</title>
    <link rel="alternate" href="{shown.edition.url}"/>
    <published>{_iso(shown.published)}</published>
    <updated>{_iso(shown.updated)}</updated>
    <summary>{escape(shown.edition.lead, quote=False)}</summary>
    <content type="html">{escape(_html(shown.edition))}</content>
  </entry>"""
        for shown in window
    )
    updated = max((shown.updated for shown in window), default=None)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="{outlet.language}">
  <id>{outlet.site}/</id>
  <title>{escape(outlet.name)}</title>
  <link rel="alternate" href="{outlet.site}"/>
  <updated>{_iso(updated) if updated else "1970-01-01T00:00:00+00:00"}</updated>
  <author><name>{escape(outlet.name)}</name></author>{entries}
</feed>
"""


def _rdf(outlet: Outlet, window: Sequence[Shown]) -> str:
    contents = "".join(f'\n        <rdf:li rdf:resource="{shown.edition.url}"/>' for shown in window)
    items = "".join(
        f"""
  <item rdf:about="{shown.edition.url}">
    <title>{escape(shown.edition.title, quote=False)}</title>
    <link>{shown.edition.url}</link>
    <description>{escape(" ".join((shown.edition.lead, *shown.edition.body)), quote=False)}</description>
    <dc:date>{_iso(shown.published)}</dc:date>
    <dc:creator>{escape(outlet.name)}</dc:creator>
  </item>"""
        for shown in window
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<rdf:RDF xmlns="http://purl.org/rss/1.0/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
         xmlns:dc="http://purl.org/dc/elements/1.1/">
  <channel rdf:about="{outlet.site}/">
    <title>{escape(outlet.name)}</title>
    <link>{outlet.site}</link>
    <description>{escape(outlet.name)}</description>
    <dc:language>{outlet.language}</dc:language>
    <items>
      <rdf:Seq>{contents}
      </rdf:Seq>
    </items>
  </channel>{items}
</rdf:RDF>
"""


def _json(outlet: Outlet, window: Sequence[Shown]) -> str:
    return json.dumps(
        {
            "version": "https://jsonfeed.org/version/1.1",
            "title": outlet.name,
            "home_page_url": outlet.site,
            "language": outlet.language,
            "items": [
                {
                    "id": f"{outlet.id}:{shown.edition.article}",
                    "url": shown.edition.url,
                    "title": shown.edition.title,
                    "summary": shown.edition.lead,
                    "content_html": _html(shown.edition),
                    "date_published": _iso(shown.published),
                    "date_modified": _iso(shown.updated),
                }
                for shown in window
            ],
        },
        ensure_ascii=False,
        indent=1,
    )


def _html(edition: Edition) -> str:
    return "".join(f"<p>{escape(paragraph, quote=False)}</p>" for paragraph in (edition.lead, *edition.body))


def _tag(outlet: Outlet, edition: Edition) -> str:
    return f"tag:{outlet.site.removeprefix('https://')},2026:{edition.article}"


def _iso(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds")


_WRITERS: Final[Mapping[Format, Callable[[Outlet, Sequence[Shown]], str]]] = {
    Format.RSS: _rss,
    Format.ATOM: _atom,
    Format.RDF: _rdf,
    Format.JSON: _json,
}
