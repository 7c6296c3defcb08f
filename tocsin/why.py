"""Why something rang, or which stage said no: walks an article's way from the feed to the receivers.

The question is a URL, words of a title, or the beginning of an alert's, incident's or burst's id.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from bursts.series import IN_A_DAY, quarter_of
from bursts.telling import title as burst_title
from ingest.identity import url_key
from tocsin.errors import RecordUnreadable
from tocsin.stream.codec import decode_alert, decode_article, decode_reading
from tocsin.stream.port import ARTICLES, READINGS

if TYPE_CHECKING:
    from datetime import datetime

    from ingest.settings import Feed
    from tocsin.records import Alert, Article, Delivery, Detection, Reading
    from tocsin.store.bursts import BurstRow, CountedRow
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
    """Answer for up to five articles that *query* means, the newest first, or for the bursts that it means.

    Words are looked for in every title, which takes a while: that is done within *search*.
    """
    query = query.strip()
    if query.startswith(_URL) or _ID.fullmatch(query):
        found = await store.read(lambda tx: _articles(tx, query))
    else:
        async with search:
            found = await store.read(lambda tx: _articles(tx, query))
    bursts = await store.read(lambda tx: _bursts(tx, query)) if _ID.fullmatch(query) and not found else []
    ways = [await _way(row, store=store, archive=archive, explain=explain) for row in found[:ARTICLES_SHOWN]]
    ways += [await _way_of_burst(row, store=store, archive=archive) for row in bursts[:ARTICLES_SHOWN]]
    number = len(found) + len(bursts)
    answer: dict[str, object] = {"query": query, "found": number, "ways": [_as_json(way) for way in ways]}
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


def _bursts(tx: Tx, query: str) -> list[BurstRow]:
    found = tx.bursts.by_prefix(query)
    for alert in tx.incidents.alerts_by_prefix(query):
        burst = tx.bursts.burst(alert.article)
        found += [burst] if burst is not None else []
    for incident in tx.incidents.by_prefix(query):
        founding = tx.incidents.articles_of(incident.id)
        found += [burst for article in founding if (burst := tx.bursts.burst(article)) is not None]
    return list({row.id: row for row in found}.values())


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
    counted = await store.read(lambda tx: _counted(tx, row.id))
    if counted:
        way.stops.append(Stop(stage="bursts", says=_YES, what=counted))
    way.stops += await _told_of(row.id, store=store)
    return way


async def _way_of_burst(row: BurstRow, *, store: Store, archive: Archive) -> Way:
    """Tell what a burst was made of, and who was told."""
    reading = await asyncio.to_thread(_reading, archive, row.id)
    volumes = [one.volume for one in reading.detections if one.volume is not None] if reading is not None else []
    if not volumes:
        what = f"{row.count} articles on {row.topic} in {row.country}; which ones is no longer in the archive"
        return Way(title=what, url="", article=row.id, stops=await _told_of(row.id, store=store))
    volume = volumes[0]
    said = burst_title(volume, row.country)
    way = Way(title=said, url="", article=row.id)
    what = f"{said} (score {volume.score}), from {volume.owners} owners, last seen {_at(row.seen_at)}"
    way.stops.append(Stop(stage="bursts", says=_YES, what=what))
    way.stops += [
        Stop(stage="article", says=_YES, what=f"{source.title} ({source.owner}) {source.url} {article[:12]}")
        for article, source in zip(volume.articles, volume.sources, strict=True)
    ]
    way.stops += await _told_of(row.id, store=store)
    return way


def _counted(tx: Tx, article: str) -> str:
    """Say for what an article was counted lately, and of which bursts it is a part."""
    return "; ".join(_counted_for(tx, row) for row in tx.bursts.of_article(article))


def _counted_for(tx: Tx, row: CountedRow) -> str:
    what = f"counted for {row.topic} in {row.country}"
    if not row.counts:
        return f"{what}, but its feed is too young to ring"
    burst = tx.bursts.latest((row.country, row.topic))
    if burst is None or not burst.started - IN_A_DAY < row.quarter <= quarter_of(burst.seen_at):
        return what
    return f"{what}, in burst {burst.id[:12]} of {burst.count} articles"


async def _told_of(article: str, *, store: Store) -> list[Stop]:
    """Say what the incidents made of what an article states, and to whom that went."""
    judged, alerts = await store.read(lambda tx: (tx.incidents.judged(article), tx.incidents.alerts(article=article)))
    stops = [_stepped(judged, alerts)]
    for alert in sorted(alerts, key=lambda one: (one.seen_at, one.revision)):
        verdicts, deliveries = await store.read(
            lambda tx, name=alert.id: (tx.notifier.verdicts_on(name), tx.notifier.deliveries_of(name))  # type: ignore[misc]  # mypy infers no lambda with defaults
        )
        stops += _routed(decode_alert(alert.body), verdicts, deliveries)
    return stops


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
    reading = _reading(archive, row.id)
    return reading.detections if reading is not None else ()


def _reading(archive: Archive, article: str) -> Reading | None:
    """Return the newest reading of the newest revision."""
    for kept in archive.by_key(READINGS, article):
        try:
            return decode_reading(kept.value)
        except RecordUnreadable:
            continue
    return None


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
