"""Why something rang, or which stage said no: walks an article's way from the feed to the receivers.

The question is a URL, words of a title, or the beginning of an alert's or incident's id.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from ingest.identity import url_key
from tocsin.errors import RecordUnreadable
from tocsin.stream.codec import decode_alert, decode_article, decode_reading
from tocsin.stream.port import ARTICLES, READINGS

if TYPE_CHECKING:
    from datetime import datetime

    from ingest.settings import Feed
    from tocsin.records import Alert, Article, Delivery, Detection
    from tocsin.store.incidents import AlertRow, Judged
    from tocsin.store.ingest_tables import ArticleRow, FeedRow
    from tocsin.store.notifier import NotedVerdict
    from tocsin.store.port import Archive, Store
    from tocsin.store.tx import Tx

Explain = Callable[["Article"], Awaitable[Sequence[str]]]

ARTICLES_SHOWN: Final = 5
_URL: Final = ("http://", "https://")
_ID: Final = re.compile(r"[0-9a-f]{6,32}")
_YES, _NO, _OPEN = "yes", "no", "not yet"

_AT_ONCE: Final = nullcontext()

CHANGES: Final[Mapping[str, str]] = {
    "nothing new": "nothing: what the article says was known. A new fact, a higher toll or a surer source would ring",
    "too old to open an incident": "a larger `incidents.recency`, or an earlier sighting: poll the feed more often",
    "denies what nobody claimed": "nothing: a denial rings only when what it denies was told before",
    "not meant": "the subscription's `when:`: types, countries, severity or certainty do not fit",
    "step unwanted": "the subscription's `steps:`",
    "never told": "nothing: this receiver was never told of the incident, so it gets no update of it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One stage of the way: what it said of the article, and, after a no, what would change it."""

    stage: str
    says: str
    what: str
    change: str = ""


@dataclass(slots=True, kw_only=True)
class Way:
    """One article's way through the stages, as far as it came."""

    title: str
    url: str
    article: str | None
    stops: list[Stop] = field(default_factory=list)

    @property
    def first_no(self) -> Stop | None:
        """The stage that ended it; None when somebody was told."""
        return next((stop for stop in self.stops if stop.says == _NO), None)


async def why(
    query: str,
    *,
    store: Store,
    archive: Archive,
    explain: Explain,
    feeds: Sequence[Feed],
    search: AbstractAsyncContextManager[object] = _AT_ONCE,
) -> Mapping[str, object]:
    """Answer for up to five articles that *query* means, the newest first.

    Words are looked for in every title, which takes a while: that is done within *search*.
    """
    query = query.strip()
    if query.startswith(_URL) or _ID.fullmatch(query):
        found = await store.read(lambda tx: _articles(tx, query))
    else:
        async with search:
            found = await store.read(lambda tx: _articles(tx, query))
    ways = [await _way(row, store=store, archive=archive, explain=explain) for row in found[:ARTICLES_SHOWN]]
    answer: dict[str, object] = {"query": query, "found": len(found), "ways": [_as_json(way) for way in ways]}
    if not ways:
        answer["missing"] = asdict(_missing(query, feeds))
    return answer


def _articles(tx: Tx, query: str) -> list[ArticleRow]:
    if query.startswith(_URL):
        return tx.ingest.articles_at(url=query, url_key=url_key(query))
    if _ID.fullmatch(query):
        alerts = tx.incidents.alerts_by_prefix(query)
        if not alerts:
            incidents = tx.incidents.by_prefix(query, limit=1)
            alerts = tx.incidents.alerts(incident=incidents[0].id, limit=ARTICLES_SHOWN) if incidents else []
        rows = (tx.ingest.article(alert.article) for alert in alerts)
        found = [row for row in rows if row is not None]
        if found:
            return list({row.id: row for row in found}.values())
        row = tx.ingest.article(query)
        return [row] if row is not None else []
    return tx.ingest.articles_saying(query)


def _missing(query: str, feeds: Sequence[Feed]) -> Stop:
    """Say why nothing of the kind was ever seen."""
    if not query.startswith(_URL):
        return Stop(
            stage="ingest",
            says=_NO,
            what="no article that we remember has all of these words in its title",
            change="fewer words, or the article's URL",
        )
    host = query.split("/")[2].removeprefix("www.")
    near = [feed.id for feed in feeds if host and host in feed.url]
    if near:
        return Stop(
            stage="ingest",
            says=_NO,
            what=f"no feed has shown this URL; of {host} we poll {', '.join(near)}",
            change="the feed may not list it, or had dropped it before we looked: see `tocsin feeds list`",
        )
    return Stop(stage="ingest", says=_NO, what=f"no feed of {host} is polled", change="add one: `sources.feeds`")


async def _way(row: ArticleRow, *, store: Store, archive: Archive, explain: Explain) -> Way:
    way = Way(title=row.title, url=row.url, article=row.id)
    feed = await store.read(lambda tx: tx.ingest.feed(row.feed))
    way.stops.append(_polled(row, feed))
    way.stops.append(_seen(row))
    detections = await asyncio.to_thread(_detections, archive, row)
    if not detections:
        way.stops.append(await _undetected(row, archive=archive, explain=explain))
        return way
    told = "; ".join(_detection(detection) for detection in detections)
    way.stops.append(Stop(stage="detectors", says=_YES, what=told))
    judged, alerts = await store.read(lambda tx: (tx.incidents.judged(row.id), tx.incidents.alerts(article=row.id)))
    way.stops.append(_stepped(judged, alerts))
    for alert in sorted(alerts, key=lambda one: (one.seen_at, one.revision)):
        verdicts, deliveries = await store.read(
            lambda tx, name=alert.id: (tx.notifier.verdicts_on(name), tx.notifier.deliveries_of(name))  # type: ignore[misc]  # mypy infers no lambda with defaults
        )
        way.stops += _routed(decode_alert(alert.body), verdicts, deliveries)
    return way


def _polled(row: ArticleRow, feed: FeedRow | None) -> Stop:
    if feed is None:
        return Stop(stage="feed", says=_YES, what=f"{row.feed} brought it; it is no longer configured")
    last = f", last read {_at(feed.last_ok_at)}" if feed.last_ok_at else ""
    trouble = f"; now failing: {feed.last_error}" if feed.failures and feed.last_error else ""
    return Stop(stage="feed", says=_YES, what=f"{feed.id} ({feed.owner}) is {feed.state}{last}{trouble}")


def _seen(row: ArticleRow) -> Stop:
    published = f", published {_at(row.published_at)}" if row.published_at else ""
    revisions = f", now in its revision {row.revisions}" if row.revisions > 1 else ""
    backfill = "; it came with a first poll, so it rings only in the opening picture" if row.backfill else ""
    return Stop(stage="ingest", says=_YES, what=f"seen {_at(row.seen_at)}{published}{revisions}{backfill}")


def _detections(archive: Archive, row: ArticleRow) -> tuple[Detection, ...]:
    """Return what the newest reading of the newest revision states."""
    for kept in archive.by_key(READINGS, row.id):
        try:
            reading = decode_reading(kept.value)
        except RecordUnreadable:
            continue
        return reading.detections
    return ()


async def _undetected(row: ArticleRow, *, archive: Archive, explain: Explain) -> Stop:
    article = await asyncio.to_thread(_archived, archive, row)
    if article is None:
        return Stop(stage="detectors", says=_NO, what="nothing was recognised; the text is no longer in the archive")
    reasons = await explain(article)
    if not reasons:
        return Stop(
            stage="detectors",
            says=_NO,
            what="no rule found anything in its words",
            change="a rule or lexicon entry for these words; try `tocsin scan` on the text",
        )
    return Stop(
        stage="detectors",
        says=_NO,
        what="; ".join(reasons),
        change="the rule's `unless:`, or the lexicon's cue that took it; try `tocsin scan` on the text",
    )


def _archived(archive: Archive, row: ArticleRow) -> Article | None:
    for kept in archive.by_key(ARTICLES, row.id):
        try:
            return decode_article(kept.value)
        except RecordUnreadable:
            continue
    return None


def _stepped(judged: Judged | None, alerts: Sequence[AlertRow]) -> Stop:
    if alerts:
        steps = ", ".join(f"{alert.step} ({alert.headline})" for alert in reversed(alerts))
        return Stop(stage="incidents", says=_YES, what=steps)
    if judged is None:
        return Stop(stage="incidents", says=_OPEN, what="its reading is still on the way")
    return Stop(stage="incidents", says=_NO, what=judged.verdict, change=CHANGES.get(judged.verdict, ""))


def _routed(alert: Alert, verdicts: Sequence[NotedVerdict], deliveries: Sequence[Delivery]) -> list[Stop]:
    stops = []
    for one in verdicts:
        by = f" by {one.subscription}" if one.subscription else ""
        says = _NO if one.verdict in CHANGES else _YES
        change = CHANGES.get(one.verdict, "")
        what = f"{alert.id[:12]} {alert.step} for {one.receiver}{by}: {one.verdict}"
        stops.append(Stop(stage="routing", says=says, what=what, change=change))
    if not verdicts:
        stops.append(Stop(stage="routing", says=_OPEN, what=f"{alert.id[:12]} is still on the way"))
    # One receiver that was told is a yes, whatever the others' subscriptions said.
    if any(stop.says == _YES for stop in stops):
        stops = [stop for stop in stops if stop.says == _YES] + [
            Stop(stage=stop.stage, says="passed over", what=stop.what, change=stop.change)
            for stop in stops
            if stop.says == _NO
        ]
    for delivery in deliveries:
        stops.append(_delivered(delivery))
    return stops


def _delivered(delivery: Delivery) -> Stop:
    what = f"{delivery.kind} to {delivery.receiver}: {delivery.state}"
    if delivery.finished_at:
        what += f" {_at(delivery.finished_at)}"
    if delivery.reason:
        what += f" ({delivery.reason})"
    says = {"done": _YES, "dead": _NO}.get(delivery.state, _OPEN)
    change = "the receiver's settings; then send it again" if says == _NO else ""
    return Stop(stage="delivery", says=says, what=what, change=change)


def _detection(detection: Detection) -> str:
    words = " … ".join(dict.fromkeys(evidence.quote for evidence in detection.evidence[:3]))
    denied = "denied " if detection.denied else ""
    where = f" in {detection.country}" if detection.country else ""
    return f"{denied}{detection.type}{where}, {detection.certainty}, by rule {detection.rule}: “{words}”"


def _at(instant: datetime | None) -> str:
    return "never" if instant is None else f"{instant:%Y-%m-%d %H:%M:%S}Z"


def _as_json(way: Way) -> Mapping[str, object]:
    first_no = way.first_no
    return {
        "title": way.title,
        "url": way.url,
        "article": way.article,
        "stages": [asdict(stop) for stop in way.stops],
        "first_no": asdict(first_no) if first_no else None,
    }
