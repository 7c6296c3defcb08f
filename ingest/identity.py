"""Which article an entry is: its GUID where the feed proves that unique and stable, else its address, else its content.

Nothing is believed blindly. A GUID or an address that several entries of one document share proves nothing there; a
GUID that moves from one address to another, or changes while address and title stay, is not stable.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from ingest.parse import Entry
from tocsin.records import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# Two caches behind one address may tell an old and a new text in turn; that is no news each time.
FLAPPING = timedelta(minutes=10)

# PostgreSQL's index of addresses takes none above some 2,700 bytes, and refuses the whole document with it.
URL_LIMIT_BYTES = 2_000

_TRACKING = re.compile(
    r"utm_\w+|mtm_\w+|pk_\w+|piwik_\w+|at_\w+|ns_\w+|hsa_\w+|_hs\w+|mc_[ce]id|fbclid|gclid|gclsrc|igshid|twclid|wbraid|gbraid|"
    r"msclkid|dclid|yclid|wt_?\.?mc(?:_o)?|wt_zmc|xtor|cmpid|cmp|icid|ito|ocid|ncid|ftag|feature|ref_?src|ref_url|src_rss|"
    r"fromrss|from_rss|rss|output_?type|amp|partner|smid|smtyp|traffic_source|spm|_ga|_gl|s_cid|sr_share|ceid|trk|"
    r"mkt_tok|vero_id|oly_\w+_id|__twitter_impression|referrer|fb_action_ids|fb_ref|share",
    re.IGNORECASE,
)
_AMP_PATH = re.compile(r"(?:/amp/?|\.amp)$|^/amp(?=/)", re.IGNORECASE)
_INDEX = re.compile(r"/index\.(?:html?|php)$", re.IGNORECASE)


class Change(StrEnum):
    """What an entry is to what we know."""

    NEW = "new"
    REVISED = "revised"
    SAME = "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One entry with the names it could go by. `by_guid` and `by_url` are missing where they prove nothing.

    `url_key` is the same for all twins of an address, whatever the feed; `content` is what a revision is. `url` is
    empty where the address is too long to be kept; the names made of it stay.
    """

    feed: str
    by_guid: str | None
    by_url: str | None
    url_key: str | None
    content: str
    entry: Entry
    url: str

    @property
    def name(self) -> str:
        """The id that this entry's article has when it is new and its feed in order."""
        return self.by_guid or self.by_url or self.by_content

    @property
    def by_content(self) -> str:
        """The name of last resort."""
        return digest(self.feed, "content", self.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What we remember of an article."""

    id: str
    guid: str | None
    url_key: str | None
    content: str
    revision: str
    title: str
    previous: str | None
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One entry and the article that it is."""

    item: Item
    id: str
    change: Change
    revision: str
    supersedes: str | None = None
    previous: str | None = None


def identify(feed: str, entries: Sequence[Entry]) -> tuple[Item, ...]:
    """Return each entry of one document with its names, and what is told twice only once."""
    made = list(
        {(item.by_guid, item.by_url, item.content): item for item in (_item(feed, entry) for entry in entries)}.values()
    )
    guids = Counter(item.by_guid for item in made)
    addresses = Counter(item.by_url for item in made)
    return tuple(_proven(item, guids, addresses) for item in made)


def match(
    items: Sequence[Item], known: Iterable[Known], *, guids_churn: bool, now: datetime
) -> tuple[list[Match], bool]:
    """Return which article each of *items* is, and whether this feed's GUIDs are proven unstable (now or before).

    *known* has what shares an id, a GUID or an address with any of *items*.
    """
    known = list(known)
    by_guid = {row.guid: row for row in known if row.guid is not None}
    by_url = {row.url_key: row for row in known if row.url_key is not None}
    by_id = {row.id: row for row in known}
    guids_churn = guids_churn or any(_disproves_guids(item, by_guid, by_url) for item in items)
    matches: list[Match] = []
    taken: set[str] = set()
    for item in items:
        row = _known(item, by_guid=by_guid, by_url=by_url, guids_churn=guids_churn)
        identity = row.id if row is not None else _new_id(item, guids_churn=guids_churn)
        row = row or by_id.get(identity)
        if identity in taken:
            # Two entries claim one article: the second is told apart by what it says.
            identity = item.by_content
            row = by_id.get(identity)
            if identity in taken:
                continue
        taken.add(identity)
        matches.append(_judged(item, identity, row, now))
    return matches, guids_churn


def content_key(title: str, summary: str, text: str) -> str:
    """Return the digest of what an entry says; spacing, width and composition of letters do not count."""
    return digest("content", _normal(title), _normal(summary), _normal(text))


def clean_url(url: str) -> str:
    """Return *url* for people to open: without tracking parameters, otherwise as the feed wrote it."""
    if "?" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if not parts.query:
        return url
    kept = [pair for pair in parts.query.split("&") if not _TRACKING.fullmatch(pair.partition("=")[0])]
    return urlunsplit(parts._replace(query="&".join(kept)))


def shown_url(url: str | None) -> str:
    """Return *url* for people to open, or nothing when there is none or none that a store could keep."""
    cleaned = clean_url(url or "")
    return cleaned if len(cleaned.encode()) <= URL_LIMIT_BYTES else ""


def url_key(url: str | None) -> str | None:
    """Return a name for the page at *url* that http and https, `www.` and AMP twins share; None when it names none.

    A bare host names no article: many feeds give it as the link of every entry.
    """
    if not url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    host = parts.hostname.lower().rstrip(".")
    for prefix in ("www.", "amp."):
        if host.startswith(prefix) and host.count(".") > 1:
            host = host.removeprefix(prefix)
    if port is not None and port not in {80, 443}:
        host = f"{host}:{port}"
    path = _INDEX.sub("/", _AMP_PATH.sub("", quote(unquote(parts.path), safe="/%"))).rstrip("/")
    pairs = sorted(pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not _TRACKING.fullmatch(pair[0]))
    query = urlencode(pairs)
    fragment = parts.fragment if parts.fragment.startswith(("!", "/")) else ""
    if not path and not query and not fragment:
        return None
    return digest("url", host, path, query, fragment)


def _item(feed: str, entry: Entry) -> Item:
    content = content_key(entry.title, entry.summary, entry.text)
    key = url_key(entry.url)
    return Item(
        feed=feed,
        by_guid=digest(feed, "guid", entry.id) if entry.id else None,
        by_url=digest(feed, "url", key) if key else None,
        url_key=key,
        content=content,
        entry=entry,
        url=shown_url(entry.url),
    )


def _proven(item: Item, guids: Mapping[str | None, int], addresses: Mapping[str | None, int]) -> Item:
    """Take away the names that *item* shares with another entry of its document."""
    if item.by_guid is not None and guids[item.by_guid] > 1:
        item = replace(item, by_guid=None)
    if item.by_url is not None and addresses[item.by_url] > 1:
        item = replace(item, by_url=None, url_key=None)
    return item


def _disproves_guids(item: Item, by_guid: Mapping[str, Known], by_url: Mapping[str, Known]) -> bool:
    if item.by_guid is None or item.url_key is None:
        return False
    page = by_url.get(item.url_key)
    if page is None or page.guid is None or page.guid == item.by_guid:
        return False
    same_guid = by_guid.get(item.by_guid)
    if same_guid is not None:
        return True  # the GUID of another page: GUIDs are handed on, as numbers of a position are
    return _normal(page.title) == _normal(item.entry.title)  # a new GUID for a page that is otherwise as it was


def _known(item: Item, *, by_guid: Mapping[str, Known], by_url: Mapping[str, Known], guids_churn: bool) -> Known | None:
    page = by_url.get(item.url_key) if item.url_key is not None else None
    if guids_churn:
        return page
    row = by_guid.get(item.by_guid) if item.by_guid is not None else None
    if row is not None:
        return row
    if page is not None and (page.guid is None or item.by_guid is None):
        return page
    return None


def _new_id(item: Item, *, guids_churn: bool) -> str:
    if item.by_guid is not None and not guids_churn:
        return item.by_guid
    return item.by_url or item.by_content


def _judged(item: Item, identity: str, row: Known | None, now: datetime) -> Match:
    if row is None:
        return Match(item=item, id=identity, change=Change.NEW, revision=item.content)
    flaps = row.previous == item.content and timedelta(0) <= now - row.changed_at < FLAPPING
    if row.content == item.content or flaps:
        return Match(item=item, id=identity, change=Change.SAME, revision=row.revision)
    return Match(
        item=item,
        id=identity,
        change=Change.REVISED,
        # An article that returns to an earlier wording is a further revision, not the earlier one seen again.
        revision=digest("revision", row.revision, item.content),
        supersedes=row.revision,
        previous=row.content,
    )


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())
