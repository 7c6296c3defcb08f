"""Feeds with their health, and the articles we know: what ingest asks of its tables."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import msgspec
from sqlalchemy import (
    Select,
    String,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)

from tocsin.errors import Fenced, RecordUnreadable
from tocsin.store.ingest_tables import ArticleRow, FeedRow, FeedSetting, articles, feeds, holds
from tocsin.store.schema import insert_ignore, insert_ignore_all

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, RowMapping

LOOKUP_SIZES = (4, 32, 256)
DELETE_AT_ONCE = 200
FEEDS_AT_ONCE = 100

_strings = msgspec.json.Decoder(list[str])

_FEED = [feeds.c[name] for name in FeedRow.__slots__]
_ARTICLE = [articles.c[name] for name in ArticleRow.__slots__]
_FRESH = {
    "failures": 0,
    "gone": False,
    "gaps": 0,
    "guids_churn": False,
    "moving_seen": 0,
}
_ACTIVE = and_(feeds.c.listed, ~feeds.c.paused)
_SAVE_FEED = update(feeds).where(feeds.c.id == bindparam("of_id"))
_STILL_THERE = and_(
    feeds.c.id == bindparam("of_id"),
    feeds.c.url == bindparam("of_url"),
    feeds.c.moved_to.is_not_distinct_from(bindparam("of_moved_to")),
)
# What says when to ask next, and with what: of a feed that is to be asked sooner or later than when its visit began, a
# visit does not change it (somebody wants it asked anew, or its host wants silence).
_NEXT = ("next_due", "etag", "last_modified", "body_hash")
_UNLESS_MOVED = {
    name: case(
        (
            feeds.c.next_due == bindparam("of_next_due", type_=feeds.c.next_due.type),
            bindparam(f"new_{name}", type_=feeds.c[name].type),
        ),
        else_=feeds.c[name],
    )
    for name in _NEXT
}
_IS_STILL_THERE = select(feeds.c.id).where(_STILL_THERE)
# Each IN list has one of a few lengths, filled up with NULL, so that its statement is built once and kept. The feed is
# compared as something that has no index: PostgreSQL, while it knows nothing of a young table, would rather read every
# article of the feed than look the names up.
_LOOKUPS = {
    (column, size): select(*_ARTICLE).where(
        articles.c[column].in_([bindparam(f"n{place}", type_=String) for place in range(size)]),
        articles.c.feed.concat(literal_column("''")) == bindparam("of_feed"),
    )
    for column in ("id", "guid", "url_key")
    for size in LOOKUP_SIZES
}
_REVISE_ARTICLE = update(articles).where(articles.c.id == bindparam("of_id")).values(revisions=articles.c.revisions + 1)


_READ_SINCE = select(feeds.c.first_ok_at).where(feeds.c.id == bindparam("name"))


class IngestRepository:
    """Feeds and articles."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    # ---------------------------------------------------------------------------------------------------- feeds

    def sync(self, wanted: Sequence[FeedSetting], due: Mapping[str, datetime], *, most: int | None = None) -> bool:
        """Make the listed feeds exactly *wanted*. A new one is due at `due[id]`; a known one keeps what was found.

        A changed URL drops the validators and what was learnt of redirects, and is due at once; the articles stay.
        With *most* no more feeds are changed than that; False when there are others to be changed yet.
        """
        columns = [feeds.c[name] for name in (*FeedSetting.__slots__, "listed", "moved_to")]
        known = {row.id: row for row in self._conn.execute(select(*columns))}
        names = {setting.id for setting in wanted}
        changes: dict[str, dict[str, Any]] = {}
        changes |= {name: {"listed": False} for name, row in known.items() if row.listed and name not in names}
        fresh: list[dict[str, Any]] = []
        for setting in wanted:
            values: dict[str, Any] = {name: getattr(setting, name) for name in FeedSetting.__slots__} | {"listed": True}
            row = known.get(setting.id)
            if row is None:
                fresh.append(values | _FRESH | {"next_due": due[setting.id]})
                continue
            changed = {name: value for name, value in values.items() if getattr(row, name) != value}
            if "url" in changed:
                changed |= {"next_due": due[setting.id], "etag": None, "last_modified": None, "body_hash": None}
                changed |= {"moving_to": None, "moving_seen": 0, "moved_to": None, "gone": False, "failures": 0}
                changed["attempts"] = 0
                changed["first_ok_at"] = None  # another page, perhaps: what it holds already is no news
            else:
                if row.moved_to is not None:
                    changed = {name: value for name, value in changed.items() if name not in ("host", "slot")}
                if "listed" in changed:
                    changed["next_due"] = due[setting.id]
            if changed:
                changes[setting.id] = changed
        for name, changed in islice(changes.items(), most):
            self._conn.execute(_SAVE_FEED, {"of_id": name, **changed})
        room = None if most is None else max(0, most - len(changes))
        insert_ignore_all(self._conn, feeds, fresh[:room])  # another worker may bring the same ones at this moment
        return most is None or len(changes) + len(fresh) <= most

    def save(self, id: str, values: Mapping[str, object]) -> None:  # noqa: A002 — the domain's own word
        """Change columns of one feed, whatever its visits are about; nothing happens when there is none of that id."""
        self._conn.execute(_SAVE_FEED, {"of_id": id, "attempts": 0, **values})

    def end_visit(self, row: FeedRow, values: Mapping[str, object]) -> None:
        """Change columns of the feed whose visit began with *row* and came to an end.

        When it is due next, and what to ask with, stay as they are if somebody has changed them meanwhile.

        Raises:
            Fenced: it is asked at another address by now, of which this visit says nothing.
        """
        next_ = {name: _UNLESS_MOVED[name] for name in _NEXT if name in values}
        others = {name: value for name, value in values.items() if name not in next_}
        given = {f"new_{name}": values[name] for name in next_} | ({"of_next_due": row.next_due} if next_ else {})
        ended = update(feeds).where(_STILL_THERE).values({"attempts": 0, **others, **next_})
        if not self._conn.execute(ended, {**_where(row), **given}).rowcount:
            raise _elsewhere(row)

    def check_address(self, row: FeedRow) -> None:
        """Make sure that what a visit brings, that began with *row*, is of the feed's address.

        Raises:
            Fenced: it is asked at another one by now.
        """
        if self._conn.execute(_IS_STILL_THERE, _where(row)).first() is None:
            raise _elsewhere(row)

    def due(self, now: datetime, *, limit: int, slots: Collection[int] | None = None) -> list[FeedRow]:
        """Return the feeds that are to be asked now, the longest overdue first; with *slots* only those in them."""
        query = select(*_FEED).where(_ACTIVE, feeds.c.next_due <= now).order_by(feeds.c.next_due, feeds.c.id)
        return [_feed(row) for row in self._conn.execute(_within(query, slots).limit(limit)).mappings()]

    def upcoming(self, *, limit: int, slots: Collection[int] | None = None) -> list[tuple[str, datetime]]:
        """Return (feed, when due) of the next ones, overdue ones included; with *slots* only those in them."""
        query = select(feeds.c.id, feeds.c.next_due).where(_ACTIVE).order_by(feeds.c.next_due, feeds.c.id).limit(limit)
        return [(row.id, row.next_due) for row in self._conn.execute(_within(query, slots))]

    def feed(self, id: str) -> FeedRow | None:  # noqa: A002 — the domain's own word
        """Return one feed, listed or not."""
        row = self._conn.execute(select(*_FEED).where(feeds.c.id == id)).mappings().one_or_none()
        return None if row is None else _feed(row)

    def read_since(self, id: str) -> tuple[bool, datetime | None]:  # noqa: A002 — the domain's own word
        """Say whether a feed is known, and since when it is read as it is now; None when it could not be yet."""
        row = self._conn.execute(_READ_SINCE, {"name": id}).one_or_none()
        return (False, None) if row is None else (True, row.first_ok_at)

    def list_feeds(self, *, all: bool = False, limit: int = 100_000, offset: int = 0) -> list[FeedRow]:  # noqa: A002 — reads as what it does
        """Return the listed feeds in order of id, with health; *all* adds those that were taken out."""
        query = select(*_FEED).order_by(feeds.c.id).limit(limit).offset(offset)
        rows = self._conn.execute(query if all else query.where(feeds.c.listed)).mappings()
        return [_feed(row) for row in rows]

    def needing_care(self, *, limit: int) -> list[FeedRow]:
        """Return the listed feeds that fail, are gone or are paused: the longest failing first, the paused last."""
        query = select(*_FEED).where(feeds.c.listed, or_(feeds.c.failures > 0, feeds.c.gone, feeds.c.paused))
        query = query.order_by(feeds.c.paused, feeds.c.failures.desc(), feeds.c.id).limit(limit)
        return [_feed(row) for row in self._conn.execute(query).mappings()]

    def feeds_at(self, url: str) -> list[FeedRow]:
        """Return the feeds whose address, written or moved to, is *url*."""
        query = select(*_FEED).where(or_(feeds.c.url == url, feeds.c.moved_to == url)).order_by(feeds.c.id)
        return [_feed(row) for row in self._conn.execute(query).mappings()]

    def hold_host(self, host: str, until: datetime) -> int:
        """Let no feed of *host* be due before *until*, and remember that; return how many were moved."""
        if not insert_ignore(self._conn, holds, {"host": host, "until": until}):
            self._conn.execute(update(holds).where(holds.c.host == host, holds.c.until < until).values(until=until))
        moved = update(feeds).where(feeds.c.host == host, feeds.c.next_due < until).values(next_due=until)
        return self._conn.execute(moved).rowcount

    def holds(self, now: datetime) -> list[tuple[str, datetime]]:
        """Return (host, until when) of those that are still to be left alone."""
        query = select(holds.c.host, holds.c.until).where(holds.c.until > now).order_by(holds.c.host)
        return [(row.host, row.until) for row in self._conn.execute(query)]

    def forget_holds(self, now: datetime) -> None:
        """Forget which hosts had asked for a silence that is over."""
        self._conn.execute(delete(holds).where(holds.c.until <= now))

    def drop_validators(self) -> None:
        """Forget what would let a server answer "nothing new": the next polls fetch everything again."""
        self._conn.execute(update(feeds).values(etag=None, last_modified=None, body_hash=None))

    def begin_visit(self, feed: str) -> int:
        """Note that a feed is about to be visited; return how often that was noted since a visit came to an end."""
        mine = feeds.c.id == feed
        self._conn.execute(update(feeds).where(mine).values(attempts=feeds.c.attempts + 1))
        return self._conn.execute(select(feeds.c.attempts).where(mine)).scalar() or 0

    def withdraw_visit(self, feed: str) -> None:
        """Take back one note that a feed is about to be visited."""
        mine = (feeds.c.id == feed, feeds.c.attempts > 0)
        self._conn.execute(update(feeds).where(*mine).values(attempts=feeds.c.attempts - 1))

    def window(self, feed: str) -> frozenset[str] | None:
        """Return the ids of the articles that the feed's last document held; None when what was kept is damaged."""
        try:
            raw = self._conn.execute(select(feeds.c.window).where(feeds.c.id == feed)).scalar()
        except RecordUnreadable:
            return None
        return frozenset(_strings.decode(raw)) if raw else frozenset()

    def save_window(self, feed: str, ids: Iterable[str]) -> None:
        """Keep the ids of the articles that the feed's last document held."""
        self.save(feed, {"window": msgspec.json.encode(list(ids))})

    # -------------------------------------------------------------------------------------------------- articles

    def known(
        self, feed: str, *, ids: Sequence[str] = (), guids: Sequence[str] = (), url_keys: Sequence[str] = ()
    ) -> list[ArticleRow]:
        """Return the articles of *feed* that go by any of these names."""
        found: dict[str, ArticleRow] = {}
        for column, names in (("id", ids), ("guid", guids), ("url_key", url_keys)):
            for start in range(0, len(names), LOOKUP_SIZES[-1]):
                some = names[start : start + LOOKUP_SIZES[-1]]
                size = next(size for size in LOOKUP_SIZES if size >= len(some))
                values: dict[str, str | None] = {f"n{place}": name for place, name in enumerate(some)}
                values |= {f"n{place}": None for place in range(len(some), size)}
                rows = self._conn.execute(_LOOKUPS[column, size], {"of_feed": feed, **values})
                found |= {row.id: _article(row._mapping) for row in rows}  # noqa: SLF001 — SQLAlchemy's own public name
        return list(found.values())

    def add_articles(self, rows: Sequence[ArticleRow]) -> None:
        """Remember articles; one whose id is known already stays as it is."""
        insert_ignore_all(self._conn, articles, [_values(row) for row in rows])

    def revise_articles(self, rows: Sequence[ArticleRow]) -> None:
        """Give known articles their new revision; `seen_at` and `backfill` stay those of the first."""
        for row in rows:
            self._conn.execute(
                _REVISE_ARTICLE,
                {"of_id": row.id, **{name: value for name, value in _values(row).items() if name in _REVISED}},
            )

    def article(self, id: str) -> ArticleRow | None:  # noqa: A002 — the domain's own word
        """Return one article."""
        row = self._conn.execute(select(*_ARTICLE).where(articles.c.id == id)).mappings().one_or_none()
        return None if row is None else _article(row)

    def articles_at(self, *, url: str, url_key: str | None = None, limit: int = 20) -> list[ArticleRow]:
        """Return the articles at *url*, in all feeds, the newest first; with *url_key* its twins as well."""
        at = articles.c.url == url if url_key is None else or_(articles.c.url_key == url_key, articles.c.url == url)
        return self._newest(at, limit=limit)

    def articles_saying(self, words: str, *, limit: int = 20) -> list[ArticleRow]:
        """Return the articles whose title holds all of *words*, whatever their case, the newest first."""
        wanted = [word for word in words.casefold().split() if word]
        if not wanted:
            return []
        return self._newest(and_(*(articles.c.words.contains(word, autoescape=True) for word in wanted)), limit=limit)

    def articles_of(self, feed: str | None = None, *, limit: int = 100, offset: int = 0) -> list[ArticleRow]:
        """Return the articles of one feed, or of all, the newest first."""
        return self._newest(None if feed is None else articles.c.feed == feed, limit=limit, offset=offset)

    def count_articles(self) -> int:
        """Return how many articles we remember."""
        return self._conn.execute(select(func.count()).select_from(articles)).scalar() or 0

    def trim(
        self, *, before: datetime, after: str = "", feeds_at_once: int = FEEDS_AT_ONCE, most: int = 5_000
    ) -> str | None:
        """Forget up to *most* articles that did not change since *before*, of the feeds whose ids follow *after*.

        Returns the *after* to go on with; None when no feed is left. What a listed feed still shows is kept:
        forgotten, it would come back as new and ring again.
        """
        page = self._conn.execute(
            select(feeds.c.id, feeds.c.listed).where(feeds.c.id > after).order_by(feeds.c.id).limit(feeds_at_once)
        ).all()
        windows = self._windows([row.id for row in page if row.listed])
        kept = frozenset[str]().union(*(window for window in windows.values() if window is not None))
        known = [row.id for row in page if windows.get(row.id, kept) is not None]  # the others until a poll has come
        old = (articles.c.feed.in_(known), articles.c.seen_at < before, articles.c.changed_at < before)
        limit = most + len(kept)
        found = self._conn.execute(select(articles.c.id).where(*old).limit(limit)).scalars().all()
        names = [name for name in found if name not in kept][:most]
        for start in range(0, len(names), DELETE_AT_ONCE):
            some = names[start : start + DELETE_AT_ONCE]
            self._conn.execute(delete(articles).where(articles.c.id.in_(some)))
        if len(found) == limit:
            return after
        return page[-1].id if len(page) == feeds_at_once else None

    def _windows(self, names: Sequence[str]) -> Mapping[str, frozenset[str] | None]:
        """Return what `window` does, for several feeds."""
        try:
            rows = self._conn.execute(select(feeds.c.id, feeds.c.window).where(feeds.c.id.in_(names))).all()
        except RecordUnreadable:
            return {name: self.window(name) for name in names}
        return {row.id: frozenset(_strings.decode(row.window)) if row.window else frozenset() for row in rows}

    def _newest(self, condition: Any, *, limit: int, offset: int = 0) -> list[ArticleRow]:  # noqa: ANN401 — SQLAlchemy's own name for it is generic
        query = select(*_ARTICLE) if condition is None else select(*_ARTICLE).where(condition)
        query = query.order_by(articles.c.seen_at.desc(), articles.c.id).limit(limit).offset(offset)
        return [_article(row) for row in self._conn.execute(query).mappings()]


_REVISED = frozenset(
    {"guid", "url_key", "content", "previous", "revision", "url", "title", "words", "published_at", "changed_at"}
)


def _where(row: FeedRow) -> dict[str, object]:
    return {"of_id": row.id, "of_url": row.url, "of_moved_to": row.moved_to}


def _elsewhere(row: FeedRow) -> Fenced:
    return Fenced(f"feed {row.id!r}: its address changed while {row.moved_to or row.url} was asked")


def _within(query: Select[Any], slots: Collection[int] | None) -> Select[Any]:
    return query if slots is None else query.where(feeds.c.slot.in_(sorted(slots)))


def _feed(row: RowMapping) -> FeedRow:
    return FeedRow(**cast("dict[str, Any]", row))


def _article(row: RowMapping) -> ArticleRow:
    return ArticleRow(**cast("dict[str, Any]", row))


def _values(row: ArticleRow) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(row, name) for name in ArticleRow.__slots__}
    values["words"] = row.title.casefold()
    return values
