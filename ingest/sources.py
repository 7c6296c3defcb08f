"""Which feeds there are: those of the files, those that people added, and which of them are paused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from ingest.fetch import Fetched, Validators, fetch, host_of, open_sessions
from ingest.hosts import Hosts
from ingest.parse import Document, ParsedFeed, parse
from ingest.settings import Feed, FeedDefaults, FeedSettings, PollingSettings
from tocsin.errors import FeedUnreachable, FeedUnreadable
from tocsin.records import Source
from tocsin.store.ingest import FeedSetting
from tocsin.store.overlay import Change

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tocsin.clock import Clock
    from tocsin.store.tx import Tx

log = structlog.get_logger()

ADDED = "feed"
PAUSED = "feed_pause"
CHANGED = "feeds"  # what the poller waits for


class FeedRefused(ValueError):
    """A change to the feeds that cannot be made; the message is for whoever asked."""


def listed(configured: Sequence[Feed], changes: Sequence[Change]) -> tuple[Feed, ...]:
    """Return the feeds of the files and, after them, those that people added; a file's id cannot be redefined."""
    names = {feed.id for feed in configured}
    feeds = list(configured)
    for change in changes:
        if change.kind != ADDED or change.id in names:
            continue
        try:
            settings = FeedSettings.model_validate_json(change.value)
        except ValidationError:
            log.exception("added feed left out", feed=change.id)
            continue
        feeds.append(replace(settings.feed(FeedDefaults(), origin="overlay"), id=change.id))
    return tuple(feeds)


def as_kept(feed: Feed, *, paused: bool) -> FeedSetting:
    """Return what the store keeps of a feed's settings; secrets are not among it."""
    return FeedSetting(
        id=feed.id,
        url=feed.url,
        host=host_of(feed.url),
        origin=feed.origin,
        owner=feed.source.owner,
        tier=feed.source.tier,
        language=feed.language,
        country=feed.country,
        weight=feed.weight,
        verified=feed.verified,
        paused=paused,
    )


def add_feed(tx: Tx, settings: FeedSettings, *, actor: str, at: datetime) -> None:
    """Add a feed to the overlay, or change one that was added before.

    Raises:
        FeedRefused: a file defines that id, or the settings hold secrets, which only files may.
    """
    known = tx.ingest.feed(settings.id)
    if known is not None and known.listed and known.origin == "file":
        raise FeedRefused(f"the feed {settings.id!r} is defined in a file: change it there, or pause it")
    if settings.headers or settings.allow_private:
        raise FeedRefused("headers and private addresses can only be given in a file")
    value = settings.model_dump_json(exclude_defaults=True)
    tx.overlay.put(Change(kind=ADDED, id=settings.id, value=value, actor=actor, at=at))
    tx.wake(CHANGED)


def remove_feed(tx: Tx, feed: str) -> None:
    """Take an added feed out again.

    Raises:
        FeedRefused: nobody added it.
    """
    if not tx.overlay.remove(ADDED, feed):
        raise FeedRefused(f"no feed {feed!r} was added here; one of a file is removed there, or paused")
    tx.overlay.remove(PAUSED, feed)
    tx.wake(CHANGED)


def pause_feed(tx: Tx, feed: str, *, actor: str, at: datetime) -> None:
    """Stop asking a feed until it is resumed.

    Raises:
        FeedRefused: there is no such feed.
    """
    known = tx.ingest.feed(feed)
    if known is None or not known.listed:
        raise FeedRefused(f"there is no feed {feed!r}")
    tx.overlay.put(Change(kind=PAUSED, id=feed, value="true", actor=actor, at=at))
    tx.wake(CHANGED)


def resume_feed(tx: Tx, feed: str) -> None:
    """Ask a paused feed again.

    Raises:
        FeedRefused: it is not paused.
    """
    if not tx.overlay.remove(PAUSED, feed):
        raise FeedRefused(f"the feed {feed!r} is not paused")
    tx.wake(CHANGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedReport:
    """What one look at an address found; `problem` is None when it is a feed that can be read."""

    url: str
    problem: str | None
    feed: ParsedFeed | None = None
    moved_to: str | None = None
    warnings: tuple[str, ...] = ()


async def test_feed(feed: Feed | str, *, polling: PollingSettings, clock: Clock) -> FeedReport:
    """Fetch and parse once, keeping nothing; for `tocsin feeds test`."""
    if isinstance(feed, str):
        feed = Feed(id="tested", url=feed, source=Source(owner="tested"))
    hosts = Hosts(at_once=1, gap=polling.per_host.gap, clock=clock)
    try:
        async with open_sessions(polling) as sessions:
            got = await fetch(
                sessions, feed, url=feed.url, validators=Validators(), hosts=hosts, polling=polling, clock=clock
            )
        assert isinstance(got, Fetched)  # without validators nothing is "not modified"
        parsed = parse(Document(body=got.body, url=got.url, content_type=got.content_type))
    except FeedUnreachable as error:
        return FeedReport(url=feed.url, problem=error.reason)
    except FeedUnreadable as error:
        return FeedReport(url=feed.url, problem=str(error))
    return FeedReport(
        url=got.url, problem=None, feed=parsed, moved_to=got.moved_to, warnings=(*got.warnings, *parsed.warnings)
    )


test_feed.__test__ = False  # type: ignore[attr-defined]  # a function like any other, not one for pytest
