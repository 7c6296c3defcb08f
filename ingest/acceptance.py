"""The unit of work of one poll: what is new goes out, and only with it what the feed gave us to ask with next time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from ingest import schedule
from ingest.fetch import Validators
from ingest.identity import Change, Item, Known, Match, match
from tocsin.records import Article, digest
from tocsin.store.ingest_tables import ArticleRow, FeedRow
from tocsin.stream.codec import encode
from tocsin.stream.port import ARTICLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ingest.settings import Feed
    from tocsin.store.tx import Tx

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What a document, or a part of a long one, brought. `ids` are all articles that it lists."""

    ids: frozenset[str] = frozenset()
    new: int = 0
    revised: int = 0
    guids_churn: bool = False

    def __add__(self, other: Accepted) -> Accepted:
        return Accepted(
            ids=self.ids | other.ids,
            new=self.new + other.new,
            revised=self.revised + other.revised,
            guids_churn=self.guids_churn or other.guids_churn,
        )


def accept(
    tx: Tx, feed: Feed, row: FeedRow, items: Sequence[Item], *, language: str | None, now: datetime, backfill: bool
) -> Accepted:
    """Put every new or changed entry on the stream and remember it.

    Called again with the same document, it changes nothing.

    Raises:
        StoreFull: there is something new, and no room for it.
    """
    known = [_known(found) for found in _lookup(tx, row, items)]
    matches, guids_churn = match(items, known, guids_churn=row.guids_churn, now=now)
    changed = [found for found in matches if found.change is not Change.SAME]
    # Oldest first, so that a story that unfolds within one document is told in order.
    changed.sort(key=lambda found: (_published(found.item) or now, found.id))
    if changed:
        tx.require_room()
    new: list[ArticleRow] = []
    revised: list[ArticleRow] = []
    records: list[tuple[str, str, bytes]] = []
    for found in changed:
        article = _article(feed, found, language=language, now=now, backfill=backfill)
        (new if found.change is Change.NEW else revised).append(_kept(found, article))
        records.append((article.id, digest(article.id, article.revision), encode(article)))
    tx.emit_all(ARTICLES, records)
    tx.ingest.add_articles(new)
    tx.ingest.revise_articles(revised)
    return Accepted(
        ids=frozenset(found.id for found in matches), new=len(new), revised=len(revised), guids_churn=guids_churn
    )


def keep_window(tx: Tx, feed: str, accepted: Accepted) -> bool:
    """Remember what the document listed; tell whether it shared nothing with the one before."""
    if not accepted.new:
        return False
    before = tx.ingest.window(feed)
    if before is None:
        tx.after(partial(log.error, "feed's window found damaged", feed=feed))
        before = frozenset()
    if before != accepted.ids:
        tx.ingest.save_window(feed, accepted.ids)
    return bool(before) and not accepted.ids & before


def validators_of(row: FeedRow) -> Validators:
    """Return what to ask with: what the feed gave us together with articles that are safe."""
    return Validators(etag=row.etag, last_modified=row.last_modified)


def rate(row: FeedRow, items: Sequence[Item], accepted: Accepted, now: datetime) -> float | None:
    """Return the feed's learnt rate after this poll."""
    if row.last_ok_at is None:
        return schedule.first_rate([moment for item in items if (moment := _published(item))], now)
    return schedule.learnt(row.rate_per_h, new=accepted.new, since=now - row.last_ok_at)


def _lookup(tx: Tx, row: FeedRow, items: Sequence[Item]) -> list[ArticleRow]:
    if row.first_ok_at is None and not tx.ingest.articles_of(row.id, limit=1):
        return []
    likely = {item.name: item for item in items}
    found = tx.ingest.known(row.id, ids=list(likely))
    # An entry that is found under its usual name, at its usual address, needs no second look.
    settled = {each.id for each in found if likely[each.id].url_key == each.url_key}
    open_ = [item for name, item in likely.items() if name not in settled]
    if open_:
        found += tx.ingest.known(
            row.id,
            ids=[item.by_content for item in open_ if item.name != item.by_content],
            guids=[item.by_guid for item in open_ if item.by_guid],
            url_keys=[item.url_key for item in open_ if item.url_key],
        )
    return found


def _known(row: ArticleRow) -> Known:
    return Known(
        id=row.id,
        guid=row.guid,
        url_key=row.url_key,
        content=row.content,
        revision=row.revision,
        title=row.title,
        previous=row.previous,
        changed_at=row.changed_at,
    )


def _published(item: Item) -> datetime | None:
    return item.entry.published or item.entry.updated


def _article(feed: Feed, found: Match, *, language: str | None, now: datetime, backfill: bool) -> Article:
    entry = found.item.entry
    return Article(
        id=found.id,
        revision=found.revision,
        supersedes=found.supersedes,
        feed=feed.id,
        source=feed.source,
        # The operator knows his feed; many feeds say "en-us" whatever they are written in.
        language=feed.language or entry.language or language,
        country=feed.country,
        url=found.item.url,
        title=entry.title,
        summary=entry.summary,
        text=entry.text,
        published_at=_published(found.item),
        seen_at=now,
        backfill=backfill,
    )


def _kept(found: Match, article: Article) -> ArticleRow:
    return ArticleRow(
        id=article.id,
        feed=article.feed,
        guid=found.item.by_guid,
        url_key=found.item.url_key,
        content=found.item.content,
        previous=found.previous,
        revision=article.revision,
        revisions=1,
        url=article.url,
        title=article.title,
        published_at=article.published_at,
        seen_at=article.seen_at,
        changed_at=article.seen_at,
        backfill=article.backfill,
    )
