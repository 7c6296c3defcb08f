"""Ingest's tables, and their rows as records: feeds with their health, hosts left alone, and the articles we know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Boolean, Column, Float, Index, Integer, Table

from tocsin.store.schema import Instant, Sealed, Text, metadata

feeds = Table(
    "feeds",
    metadata,
    Column("id", Text, primary_key=True),
    # What the configuration says.
    Column("url", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("slot", Integer, nullable=False, server_default="0"),
    Column("origin", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("tier", Text, nullable=False),
    Column("language", Text),
    Column("country", Text),
    Column("weight", Float, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("listed", Boolean, nullable=False),
    Column("paused", Boolean, nullable=False),
    # What polling found.
    Column("next_due", Instant, nullable=False),
    Column("planned_at", Instant),
    Column("polled_at", Instant),
    Column("first_ok_at", Instant),
    Column("last_ok_at", Instant),
    Column("last_new_at", Instant),
    Column("failures", Integer, nullable=False),
    Column("last_error", Text),
    Column("last_status", Integer),
    Column("last_entries", Integer),
    Column("last_new", Integer),
    Column("gone", Boolean, nullable=False),
    Column("gaps", Integer, nullable=False),
    Column("etag", Text),
    Column("last_modified", Text),
    Column("body_hash", Text),
    Column("rate_per_h", Float),
    Column("hint_s", Float),
    Column("guids_churn", Boolean, nullable=False),
    Column("moving_to", Text),
    Column("moving_seen", Integer, nullable=False),
    Column("moved_to", Text),
    Column("window", Sealed),
    Column("attempts", Integer, nullable=False, server_default="0"),  # visits begun since one last came to an end
    Index("feeds_due", "next_due"),
    Index("feeds_host", "host"),
)

holds = Table(
    "ingest_holds",
    metadata,
    Column("host", Text, primary_key=True),
    Column("until", Instant, nullable=False),
)

articles = Table(
    "articles",
    metadata,
    Column("id", Text, primary_key=True),
    Column("feed", Text, nullable=False),
    Column("guid", Text),
    Column("url_key", Text),
    Column("content", Text, nullable=False),
    Column("previous", Text),
    Column("revision", Text, nullable=False),
    Column("revisions", Integer, nullable=False),
    Column("url", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("published_at", Instant),
    Column("seen_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("backfill", Boolean, nullable=False),
    Index("articles_guid", "guid"),
    Index("articles_url_key", "url_key"),
    Index("articles_url", "url"),
    Index("articles_feed_seen", "feed", "seen_at"),
    Index("articles_seen", "seen_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSetting:
    """What of a feed's settings the store keeps, for lists and for the queue.

    `host` is whom its address asks, and `slot` the one of those that workers share out in which that host lies.
    """

    id: str
    url: str
    host: str
    origin: str
    owner: str
    tier: str
    language: str | None
    country: str | None
    weight: float
    verified: bool
    paused: bool = False
    slot: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRow:
    """One feed: its settings, and what polling found. All but the settings survive a changed URL.

    `host` and `slot` are those of `moved_to` once that is set: of whoever is really asked.
    `planned_at` is when the last success wanted to look again; failures do not move it. `listed` is False for a feed
    that was taken out and is only remembered. `moved_to` is where permanent redirects led.
    """

    id: str
    url: str
    host: str
    slot: int
    origin: str
    owner: str
    tier: str
    language: str | None
    country: str | None
    weight: float
    verified: bool
    listed: bool
    paused: bool
    next_due: datetime
    planned_at: datetime | None
    polled_at: datetime | None
    first_ok_at: datetime | None
    last_ok_at: datetime | None
    last_new_at: datetime | None
    failures: int
    last_error: str | None
    last_status: int | None
    last_entries: int | None
    last_new: int | None
    gone: bool
    gaps: int
    etag: str | None
    last_modified: str | None
    body_hash: str | None
    rate_per_h: float | None
    hint_s: float | None
    guids_churn: bool
    moving_to: str | None
    moving_seen: int
    moved_to: str | None
    attempts: int = 0

    @property
    def state(self) -> str:
        """One word for lists: removed, paused, gone, failing, new or ok."""
        if not self.listed:
            return "removed"
        if self.paused:
            return "paused"
        if self.gone:
            return "gone"
        if self.failures:
            return "failing"
        return "new" if self.last_ok_at is None else "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArticleRow:
    """One article we know. `seen_at` is of its first revision, `changed_at` of its latest."""

    id: str
    feed: str
    guid: str | None
    url_key: str | None
    content: str
    previous: str | None
    revision: str
    revisions: int
    url: str
    title: str
    published_at: datetime | None
    seen_at: datetime
    changed_at: datetime
    backfill: bool
