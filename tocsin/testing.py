"""Records made short, a clock that tests hold, a store in a temporary folder."""

from __future__ import annotations

import asyncio
import heapq
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, TypedDict

from sqlalchemy import create_engine

from tocsin.records import (
    Alert,
    Article,
    Attribution,
    Certainty,
    Detection,
    DismissalKind,
    Evidence,
    Fact,
    Figure,
    Mention,
    Reading,
    Sender,
    Severity,
    Source,
    SourceRef,
    Step,
    Tier,
    Toll,
    digest,
)
from tocsin.store.schema import metadata
from tocsin.store.sqlite import SqliteStore
from tocsin.store.tx import Tx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from typing_extensions import Unpack

    from tocsin.store.postgresql import PostgresqlStore
    from tocsin.store.settings import Timeouts

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class FakeClock:
    """Stands still until it is moved; who sleeps on it wakes when it passes."""

    def __init__(self, start: datetime = NOON) -> None:
        self._now = start
        self._order = count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Return the instant it stands at."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return once the clock was moved that far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + timedelta(seconds=seconds), next(self._order), woken))
        await woken

    async def move(self, step: timedelta) -> None:
        """Let *step* pass, waking the sleepers in order and giving each a turn."""
        end = self._now + step
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
            for _ in range(5):
                await asyncio.sleep(0)
        self._now = end


class ArticleParts(TypedDict, total=False):
    """What of an article a test may be about."""

    id: str
    revision: str
    supersedes: str | None
    feed: str
    source: Source
    language: str | None
    country: str | None
    url: str
    title: str
    summary: str
    text: str
    published_at: datetime | None
    seen_at: datetime
    backfill: bool


def an_article(**parts: Unpack[ArticleParts]) -> Article:
    """Return an article; its id and revision follow from its feed, URL and words unless given."""
    article = Article(
        id="",
        revision="",
        feed="wire",
        source=Source(owner="Northern Wire", tier=Tier.WIRE),
        language="en",
        url="https://news.example/1",
        title="Three killed in clashes in Narva",
        published_at=NOON,
        seen_at=NOON,
    )
    article = replace(article, **parts)
    words = digest(article.title, article.summary, article.text)
    return replace(article, id=article.id or digest(article.feed, article.url), revision=article.revision or words)


class DetectionParts(TypedDict, total=False):
    """What of a detection a test may be about; see `Detection`."""

    type: str
    certainty: Certainty
    rule: str
    country: str | None
    country_guessed: bool
    places: tuple[str, ...]
    happening: str | None
    toll: Toll | None
    denied: bool
    withdrawn: Toll | None
    also: tuple[Figure, ...]
    senders: tuple[Sender, ...]
    kind: DismissalKind | None
    attribution: Attribution | None
    evidence: tuple[Evidence, ...]
    severity: Severity | None


def a_detection(**parts: Unpack[DetectionParts]) -> Detection:
    """Return three confirmed deaths in Estonia, or what *parts* say."""
    detection = Detection(
        type="deaths", certainty=Certainty.CONFIRMED, rule="deaths", country="EE", toll=Toll(min=3, max=3)
    )
    return replace(detection, **parts)


def a_reading(*detections: Detection, article: Article | None = None) -> Reading:
    """Return what *article* states."""
    article = article or an_article()
    return Reading(
        article=article.id,
        revision=article.revision,
        supersedes=article.supersedes,
        rules="test",
        mention=Mention(
            feed=article.feed,
            source=article.source,
            language=article.language,
            url=article.url,
            title=article.title,
            lead=(article.summary or article.text)[:400],
            published_at=article.published_at,
            seen_at=article.seen_at,
            backfill=article.backfill,
        ),
        detections=detections,
    )


class AlertParts(TypedDict, total=False):
    """What of an alert a test may be about; see `Alert`."""

    id: str
    incident: str
    revision: int
    step: Step
    severity: Severity
    certainty: Certainty
    types: tuple[str, ...]
    countries: tuple[str, ...]
    alliances: tuple[str, ...]
    places: tuple[str, ...]
    headline: str
    facts: tuple[Fact, ...]
    sources: tuple[SourceRef, ...]
    urls: tuple[str, ...]
    seen_at: datetime
    late: bool


def an_alert(**parts: Unpack[AlertParts]) -> Alert:
    """Return the first alert of an incident, three confirmed deaths in Narva, or what *parts* say."""
    toll = Toll(min=3, max=3)
    fact = Fact(
        type="deaths",
        certainty=Certainty.CONFIRMED,
        changed=True,
        country="EE",
        toll=toll,
        quote="Three people were killed in clashes in Narva, the interior ministry said.",
        language="en",
        rule="deaths",
    )
    source = SourceRef(
        owner="Northern Wire",
        tier=Tier.WIRE,
        url="https://news.example/1",
        title="Three killed in clashes in Narva",
        language="en",
        published_at=NOON,
        seen_at=NOON,
    )
    alert = Alert(
        id="",
        incident="incident-1",
        revision=1,
        step=Step.NEW,
        severity=Severity.SEVERE,
        certainty=Certainty.CONFIRMED,
        types=("deaths",),
        countries=("EE",),
        alliances=(),
        places=("Narva",),
        headline="3 dead confirmed — Narva, Estonia",
        facts=(fact,),
        sources=(source,),
        urls=(source.url,),
        seen_at=NOON,
    )
    alert = replace(alert, **parts)
    return replace(alert, id=alert.id or digest("alert", alert.incident, str(alert.revision)))


@contextmanager
def a_transaction() -> Iterator[Tx]:
    """Yield a transaction on an empty database in memory, for what a unit of work decides."""
    engine = create_engine("sqlite://")
    with engine.connect() as conn:
        metadata.create_all(conn)
        yield Tx(conn, FakeClock())
    engine.dispose()


@asynccontextmanager
async def a_store(folder: Path, *, quota_bytes: int | None = None) -> AsyncIterator[SqliteStore]:
    """Yield an open store in *folder*; a second call on the same folder finds what the first one left."""
    store = SqliteStore(folder / "tocsin.db", quota_bytes=quota_bytes)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def a_cluster_store(dsn: str, *, timeouts: Timeouts | None = None) -> AsyncIterator[PostgresqlStore]:
    """Yield an open store on a PostgreSQL database; it finds what others left or leave there."""
    from tocsin.store.postgresql import PostgresqlStore  # noqa: PLC0415 — few tests need the driver

    store = PostgresqlStore(dsn, timeouts=timeouts)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@contextmanager
def a_cluster_transaction(dsn: str) -> Iterator[Tx]:
    """Yield a transaction on a PostgreSQL database, which is undone at the end."""
    from tocsin.store.migrate import migrate  # noqa: PLC0415 — few tests need the driver
    from tocsin.store.postgresql_session import engine  # noqa: PLC0415 — it is the driver's
    from tocsin.store.settings import Timeouts  # noqa: PLC0415 — needed together with the driver only

    database = engine(dsn, timeouts=Timeouts(), name="test")
    migrate(database)
    with database.connect() as conn:
        conn.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ")
        yield Tx(conn, FakeClock())
        conn.exec_driver_sql("ROLLBACK")
    database.dispose()
