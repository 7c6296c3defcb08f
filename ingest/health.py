"""What a poll leaves behind in its feed's row. Pure: the chance (0 to 1) and the instant come from outside."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ingest import schedule
from ingest.fetch import host_of
from ingest.schedule import Bounds, Rhythm
from ingest.slots import slot_of

if TYPE_CHECKING:
    from ingest.fetch import Fetched
    from ingest.settings import Feed
    from tocsin.store.ingest_tables import FeedRow

MOVED_AFTER = 3  # sightings of a permanent redirect whose target could be read
MOVED_GIVEN_UP_AFTER = 3  # failures at the new address before the written one is tried again
LAST_ERROR_CHARS = 500
GONE_STATUS = 410

Values = dict[str, object]


def succeeded(
    feed: Feed,
    bounds: Bounds,
    *,
    now: datetime,
    chance: float,
    hint: timedelta | None,
    rate_per_h: float | None,
    mostly_new: bool = False,
) -> Values:
    """Return what any answer leaves behind: when to ask next, and a clean sheet."""
    rhythm = Rhythm(every=feed.every, rate_per_h=rate_per_h, weight=feed.weight, hint=hint)
    due = schedule.next_due(now, rhythm, bounds, mostly_new=mostly_new, chance=chance)
    return {
        "next_due": due,
        "planned_at": due,
        "polled_at": now,
        "last_ok_at": now,
        "failures": 0,
        "gone": False,
        "last_error": None,
        "last_status": None,
        "rate_per_h": rate_per_h,
        "hint_s": None if hint is None else hint.total_seconds(),
    }


def failed(
    feed: Feed,
    row: FeedRow,
    bounds: Bounds,
    *,
    now: datetime,
    chance: float,
    reason: str,
    status: int | None = None,
    retry_after: timedelta | None = None,
) -> Values:
    """Return what a failure leaves behind; articles, validators and rhythm stay as they are."""
    failures = row.failures + 1
    gone = status == GONE_STATUS
    rhythm = Rhythm(every=feed.every, rate_per_h=row.rate_per_h, weight=feed.weight)
    due = schedule.next_try(now, rhythm, bounds, failures=failures, chance=chance, retry_after=retry_after, gone=gone)
    values: Values = {
        "next_due": due,
        "polled_at": now,
        "failures": failures,
        "gone": gone,
        "last_error": reason[:LAST_ERROR_CHARS],
        "last_status": status,
    }
    if row.moved_to is not None and failures >= MOVED_GIVEN_UP_AFTER:
        values |= {"moved_to": None, "moving_to": None, "moving_seen": 0, **place(row.url)}
    return values


def cut_off(*, now: datetime, chance: float, reason: str) -> Values:
    """Return what is left behind when our own line seems to be down: no failure of the feed's."""
    told = f"most hosts fail at once, so this may be our own line: {reason}"
    return {
        "next_due": now + schedule.OUTAGE_RETRY * (1 + chance),
        "polled_at": now,
        "last_error": told[:LAST_ERROR_CHARS],
    }


def validators(got: Fetched) -> Values:
    """Return what the feed gave us to ask with next time."""
    return {"etag": got.validators.etag, "last_modified": got.validators.last_modified}


def moving(row: FeedRow, got: Fetched) -> Values:
    """Count the sightings of a permanent redirect; after `MOVED_AFTER` that could be read, go there directly."""
    if got.moved_to is None:
        return {"moving_to": None, "moving_seen": 0}
    if got.moved_to != row.moving_to:
        return {"moving_to": got.moved_to, "moving_seen": 1}
    if row.moving_seen + 1 < MOVED_AFTER:
        return {"moving_seen": row.moving_seen + 1}
    return {"moving_to": None, "moving_seen": 0, "moved_to": got.moved_to, **place(got.moved_to)}


def place(url: str) -> Values:
    """Return where a feed lies that is asked at *url*."""
    host = host_of(url)
    return {"host": host, "slot": slot_of(host)}


def hint(max_age: timedelta | None, row: FeedRow) -> timedelta | None:
    """Return the publisher's wish when no document tells one: the header's, else the last one told."""
    return max_age if max_age is not None or row.hint_s is None else timedelta(seconds=row.hint_s)


def rate_without_news(row: FeedRow, now: datetime) -> float | None:
    """Return the learnt rate after a poll that brought nothing."""
    if row.last_ok_at is None or row.rate_per_h is None:
        return row.rate_per_h
    return schedule.learnt(row.rate_per_h, new=0, since=now - row.last_ok_at)
