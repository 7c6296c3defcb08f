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
from ingest.slots import slot_of
from tocsin.errors import FeedUnreachable, FeedUnreadable
from tocsin.records import Source
from tocsin.store.ingest_tables import FeedSetting
from tocsin.store.overlay import FEED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.clock import Clock
    from tocsin.store.overlay import Change

log = structlog.get_logger()


def listed(configured: Sequence[Feed], changes: Sequence[Change]) -> tuple[Feed, ...]:
    """Return the feeds of the files and, after them, those that people added; a file's id cannot be redefined."""
    names = {feed.id for feed in configured}
    feeds = list(configured)
    for change in changes:
        if change.kind != FEED or change.id in names:
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
    host = host_of(feed.url)
    return FeedSetting(
        id=feed.id,
        url=feed.url,
        host=host,
        slot=slot_of(host),
        origin=feed.origin,
        owner=feed.source.owner,
        tier=feed.source.tier,
        language=feed.language,
        country=feed.country,
        weight=feed.weight,
        verified=feed.verified,
        paused=paused,
    )


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
