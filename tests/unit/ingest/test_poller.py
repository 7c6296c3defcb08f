from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from typing_extensions import override

from ingest import sources
from ingest.poller import Poller
from ingest.settings import Feed, FeedSettings, PollingSettings
from tocsin.clock import SystemClock
from tocsin.errors import StoreFull, StoreUnavailable
from tocsin.records import Article
from tocsin.store.overlay import FEED, FEEDS_CHANGED, PAUSE, Change
from tocsin.store.tx import Tx
from tocsin.stream.codec import decode_article
from tocsin.stream.port import ARTICLES
from tocsin.testing import NOON, a_store
from tocsin.workers import Done, Job, Pool

if TYPE_CHECKING:
    from tocsin.store.ingest_tables import FeedRow
    from tocsin.store.sqlite import SqliteStore

MakeFeed = Callable[..., Feed]
SOON_S = 8.0


class Leaving:
    """A store that is away now and then; `refused` are the reads and writes that found it so."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.is_away = False
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, query: Callable[[Tx], Any]) -> Any:
        self._require()
        return await self._store.read(query)

    async def write(self, unit: Callable[[Tx], Any]) -> Any:
        self._require()
        return await self._store.write(unit)

    def _require(self) -> None:
        if self.is_away:
            self.refused += 1
            raise StoreUnavailable("no server answers")


class Refusing(Leaving):
    """A store that can be read while it is away, and not be written."""

    @override
    async def read(self, query: Callable[[Tx], Any]) -> Any:
        return await self._store.read(query)


class InlinePool:
    """Runs the job here and now; what children add is tested with children."""

    async def map(self, job: Job[Any, Any, Any, Any], items: Sequence[Any]) -> list[Done[Any]]:
        return [Done(job.function(job.argument, item)) for item in items]


INLINE = cast("Pool", InlinePool())


def rss(*titles: str, first: int = 1) -> bytes:
    items = "".join(
        f"<item><title>{title}</title><guid isPermaLink='false'>g{number}</guid><link>http://n.example/{number}</link></item>"
        for number, title in enumerate(titles, first)
    )
    return f"<rss version='2.0'><channel><title>T</title><language>de</language>{items}</channel></rss>".encode()


@asynccontextmanager
async def running(
    store: SqliteStore, polling: PollingSettings, *feeds: Feed, pool: Pool = INLINE, listed: Sequence[Feed] = ()
) -> AsyncIterator[Poller]:
    """Poll *feeds* and what is *listed* at each reload."""
    poller = Poller(store=store, clock=SystemClock(), pool=pool, polling=polling, feeds=lambda: (*feeds, *listed))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(poller.run(), name="poller")
        yield poller
        task.cancel()


async def articles(store: SqliteStore) -> list[Article]:
    records = await store.read(lambda tx: tx.topics.fetch(ARTICLES, start=0, most=10_000))
    return [decode_article(record.value or b"") for record in records]


async def row_of(store: SqliteStore, feed: str = "wire") -> FeedRow:
    row = await store.read(lambda tx: tx.ingest.feed(feed))
    assert row is not None
    return row


async def until(true: Callable[[], Any]) -> Any:
    """Wait for a condition that somebody else makes true."""
    async with asyncio.timeout(SOON_S):
        while not (answer := await true()):
            await asyncio.sleep(0.01)
        return answer


async def polled(store: SqliteStore, feed: str = "wire") -> FeedRow:
    async def once() -> FeedRow | None:
        row = await store.read(lambda tx: tx.ingest.feed(feed))
        return row if row is not None and row.polled_at is not None else None

    return cast("FeedRow", await until(once))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with a_store(tmp_path) as opened:
        yield opened


async def test_a_first_poll_tells_every_article_as_backfill(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    feed = a_feed(site.holds("/f", rss("Eins", "Zwei"), ETag='"1"'), country="EE")

    async with running(store, polling, feed):
        row = await polled(store)

    told = await articles(store)
    assert {article.title for article in told} == {"Eins", "Zwei"}
    assert all(article.backfill and article.country == "EE" and article.language == "de" for article in told)
    assert (row.etag, row.last_entries, row.last_new, row.state) == ('"1"', 2, 2, "ok")


async def test_many_feeds_are_each_asked_once(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    feeds = [a_feed(site.holds(f"/{n}", rss("Eins")), id=f"f{n}", every=timedelta(minutes=10)) for n in range(150)]

    async with running(store, polling, *feeds):

        async def all_told() -> bool:
            return await store.read(lambda tx: tx.ingest.count_articles()) == len(feeds)

        await until(all_told)
        await asyncio.sleep(0.1)

    assert len(site.asked) == len(feeds)


async def test_what_comes_later_is_news_and_an_edit_is_a_revision(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    feed = a_feed(site.holds("/f", rss("Fünf Tote")), every=timedelta(milliseconds=50))

    async with running(store, polling, feed):
        await polled(store)
        site.holds("/f", rss("Sieben Tote", "Zwei"))

        async def three() -> bool:
            return len(await articles(store)) == 3

        await until(three)

    first, *later = await articles(store)
    revision = next(article for article in later if article.title == "Sieben Tote")
    assert (revision.id, revision.supersedes) == (first.id, first.revision)
    assert not any(article.backfill for article in later)


async def test_an_unchanged_feed_is_not_read_again(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    async def conditional(request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == '"1"':
            return web.Response(status=304)
        return web.Response(body=rss("Eins"), headers={"ETag": '"1"'})

    feeds = [
        a_feed(site.at("/a", conditional), id="conditional", every=timedelta(milliseconds=50)),
        a_feed(site.holds("/b", rss("Zwei")), id="hashed", every=timedelta(milliseconds=50)),
    ]

    async with running(store, polling, *feeds):

        async def often() -> bool:
            return len(site.asked_for("/a")) > 3 and len(site.asked_for("/b")) > 3

        await until(often)

    assert len(await articles(store)) == 2
    assert (await row_of(store, "conditional")).failures == 0


async def test_a_restart_goes_on_where_the_last_run_was_killed(
    site: Any, tmp_path: Path, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    feed = a_feed(site.holds("/f", rss("Eins"), ETag='"1"'), every=timedelta(seconds=1))
    async with a_store(tmp_path) as store, running(store, polling, feed):
        await polled(store)

    async with a_store(tmp_path) as store, running(store, polling, feed):

        async def again() -> bool:
            return len(site.asked) > 1

        await until(again)
        await asyncio.sleep(0.05)
        told = await articles(store)

    assert len(told) == 1
    assert site.asked[1].headers["If-None-Match"] == '"1"'


async def test_validators_are_stored_only_with_their_articles(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.poller.STORE_PAUSE_S", 0.05)
    full = True

    def require_room(_: Tx) -> None:
        if full:
            raise StoreFull("the quota is used up")

    monkeypatch.setattr(Tx, "require_room", require_room)
    feed = a_feed(site.holds("/f", rss("Eins"), ETag='"1"'))

    async with running(store, polling, feed):

        async def twice() -> bool:
            return len(site.asked) >= 2

        await until(twice)
        row = await row_of(store)
        assert (row.etag, row.last_ok_at, await articles(store)) == (None, None, [])
        full = False
        await polled(store)

    assert len(await articles(store)) == 1
    assert (await row_of(store)).etag == '"1"'


async def test_a_write_that_fails_for_a_moment_does_not_pause_polling_for_seconds(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    refusing = Refusing(store)
    asked: list[float] = []

    async def answer(_: web.Request) -> web.Response:
        refusing.is_away = len(asked) < 2
        asked.append(asyncio.get_running_loop().time())
        return web.Response(body=rss("Eins"))

    with capture_logs() as logs:
        async with running(cast("SqliteStore", refusing), polling, a_feed(site.at("/f", answer))):
            await polled(store)

    assert len(await articles(store)) == 1
    assert len(asked) == 3
    assert asked[-1] - asked[0] < 3.0
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["polling paused"]


async def test_bad_feeds_do_not_delay_a_good_one(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(800):
            await response.write(b"<item>" * 10_000)
        return response

    often = timedelta(milliseconds=50)
    bad = {
        "hangs": site.at("/hangs", hang),
        "fails": site.holds("/fails", b"", status=500),
        "page": site.holds("/page", b"<!DOCTYPE html><html></html>", kind="text/html"),
        "flood": site.at("/flood", flood),
        "nobody": "http://127.0.0.1:1/",
    }
    feeds = [a_feed(url, id=name, timeout=timedelta(seconds=1), every=often) for name, url in bad.items()]
    good = a_feed(site.holds("/good", rss("Eins")), id="good", every=often)

    async with running(store, polling, *feeds, good):

        async def often_asked() -> bool:
            return len(site.asked_for("/good")) >= 10

        await until(often_asked)
        for name in bad:
            await polled(store, name)

    rows = {name: await row_of(store, name) for name in bad}
    assert all(row.state == "failing" and row.failures >= 1 for row in rows.values())
    assert "no complete answer" in str(rows["hangs"].last_error)
    assert rows["fails"].last_status == 500
    assert "HTML page" in str(rows["page"].last_error)
    assert "larger than" in str(rows["flood"].last_error)


async def test_a_host_that_asks_for_silence_is_left_alone(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    busy = a_feed(site.holds("/busy", b"", status=429, Retry_After="3600"), id="busy")
    other = a_feed(site.holds("/other", rss("Eins")), id="other", every=timedelta(milliseconds=200))

    async with running(store, polling, busy, other):
        row = await polled(store, "busy")
        await asyncio.sleep(0.3)
        asked = len(site.asked)
        await asyncio.sleep(0.3)

    assert len(site.asked) == asked
    for name in ("busy", "other"):
        assert (await row_of(store, name)).next_due >= (row.polled_at or row.next_due) + timedelta(minutes=59)


async def test_a_feed_that_is_gone_is_quarantined(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    async with running(store, polling, a_feed(site.holds("/f", b"", status=410))):
        row = await polled(store)

    assert row.state == "gone"
    assert row.next_due - (row.polled_at or row.next_due) >= timedelta(hours=24)


async def test_a_permanent_redirect_is_followed_directly_after_some_sightings(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    new = site.holds("/new", rss("Eins"))
    feed = a_feed(site.holds("/old", b"", status=301, Location="/new"), every=timedelta(milliseconds=50))

    async with running(store, polling, feed):

        async def often() -> bool:
            return len(site.asked_for("/new")) >= 6

        await until(often)
        row = await row_of(store)

    assert row.moved_to == new
    assert row.url == feed.url
    assert len(site.asked_for("/old")) == 3
    assert len(await articles(store)) == 1


async def test_a_redirect_to_what_is_no_feed_moves_nothing(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    site.holds("/parked", b"<html>This domain is for sale</html>")
    feed = a_feed(site.holds("/old", b"", status=301, Location="/parked"), every=timedelta(milliseconds=50))

    async with running(store, polling, feed):

        async def often() -> bool:
            return len(site.asked_for("/parked")) >= 4

        await until(often)

    assert (await row_of(store)).moved_to is None


async def test_a_window_without_overlap_is_a_possible_gap(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    feed = a_feed(site.holds("/f", rss("a", "b", "c")), every=timedelta(milliseconds=50))

    async with running(store, polling, feed):
        await polled(store)
        site.holds("/f", rss("x", "y", "z", first=10))

        async def told() -> bool:
            return (await row_of(store)).gaps == 1

        await until(told)

    assert len(await articles(store)) == 6


async def test_a_visit_under_way_undoes_nothing_of_a_changed_address(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.visit.ENTRIES_A_UNIT", 1)
    asked, answers = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        asked.set()
        await answers.wait()
        return web.Response(body=rss("Alt", "Älter"), headers={"ETag": '"old"'})

    site.at("/old", slow)
    site.holds("/new", rss("Neu"), ETag='"new"')
    listed = [a_feed(site.url + "/old")]

    async with running(store, polling, listed=listed):
        await asked.wait()
        listed[:] = [a_feed(site.url + "/new")]
        await store.write(lambda tx: tx.wake(FEEDS_CHANGED))

        async def changed() -> bool:
            return (await row_of(store)).url.endswith("/new")

        await until(changed)
        answers.set()
        row = await polled(store)

    assert [article.title for article in await articles(store)] == ["Neu"]
    assert (row.etag, row.last_entries, row.attempts) == ('"new"', 1, 0)


async def test_a_feed_that_is_paused_or_moved_while_it_waits_for_its_host_s_turn_is_not_asked(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    answers = asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        await answers.wait()
        return web.Response(body=rss("Eins"))

    polling = polling.model_copy(update={"per_host": polling.per_host.model_copy(update={"at_once": 1})})
    slow_one = a_feed(site.at("/slow", slow), id="slow")
    port = site.url.rpartition(":")[2]
    site.holds("/new", rss("Neu"))
    listed = [slow_one]

    async with running(store, polling, listed=listed) as poller:
        await until(lambda: answered(site.asked_for("/slow")))
        listed[1:] = [a_feed(site.url + f"/{name}", id=name) for name in ("paused", "moved", "removed")]
        await put(store, PAUSE, "other", "{}")

        await until(lambda: answered(len(poller._under_way) == len(listed)))
        listed[1:] = [listed[1], a_feed(f"http://localhost:{port}/new", id="moved")]
        await put(store, PAUSE, "paused", "{}")

        async def heard() -> bool:
            return (await row_of(store, "paused")).state == "paused"

        await until(heard)
        answers.set()
        await polled(store, "slow")
        await polled(store, "moved")

    assert {request.path for request in site.asked} == {"/slow", "/new"}


async def answered(value: object) -> object:
    return value


@pytest.mark.parametrize("is_changed", [False, True])
async def test_a_store_that_is_away_for_a_while_ends_no_visit_and_is_told_once(
    site: Any,
    store: SqliteStore,
    polling: PollingSettings,
    a_feed: MakeFeed,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_changed: bool,
) -> None:
    monkeypatch.setattr("ingest.poller.RETRY_S", 0.02)
    monkeypatch.setattr("ingest.poller.STORE_PAUSE_S", 0.02)
    asked, answers = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        asked.set()
        await answers.wait()
        return web.Response(body=rss("Eins"))

    site.holds("/often", rss("Zwei"))
    leaving = Leaving(store)
    listed = [
        a_feed(site.at("/slow", slow), id="slow"),
        a_feed(site.url + "/often", id="often", every=timedelta(milliseconds=50)),
    ]

    with capture_logs() as logs:
        async with running(cast("SqliteStore", leaving), polling, listed=listed):
            await asked.wait()
            await polled(store, "often")
            leaving.is_away = True
            if is_changed:
                listed.append(a_feed(site.url + "/often", id="late"))
                await store.write(lambda tx: tx.wake(FEEDS_CHANGED))
            await until(lambda: answered(leaving.refused >= 5))
            before = len(site.asked_for("/often"))
            leaving.is_away = False
            await until(lambda: answered(len(site.asked_for("/often")) > before + 2))
            answers.set()
            for feed in listed:
                await polled(store, feed.id)

    assert len(site.asked_for("/slow")) == 1
    told = [line["event"] for line in logs if line["event"].startswith("store")]
    assert told == ["store unavailable", "store available again"]


async def put(store: SqliteStore, kind: str, name: str, value: str) -> None:
    def unit(tx: Tx) -> None:
        tx.overlay.put(Change(kind=kind, id=name, value=value, actor="anna", at=NOON))
        tx.wake(FEEDS_CHANGED)

    await store.write(unit)


async def take(store: SqliteStore, kind: str, name: str) -> None:
    def unit(tx: Tx) -> None:
        tx.overlay.remove(kind, name)
        tx.wake(FEEDS_CHANGED)

    await store.write(unit)


async def test_people_add_pause_and_remove_feeds_while_it_runs(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    configured = a_feed(site.holds("/f", rss("Eins")), every=timedelta(milliseconds=50))
    added = FeedSettings(id="added", url="http://127.0.0.1:1/feed")

    async with running(store, polling, configured):
        await polled(store)
        await put(store, FEED, "added", added.model_dump_json(exclude_defaults=True))
        await put(store, PAUSE, "wire", "{}")
        row = await polled(store, "added")
        assert row.origin == "overlay"
        assert "private address" in str(row.last_error)
        await asyncio.sleep(0.1)
        asked = len(site.asked)
        await asyncio.sleep(0.2)
        assert len(site.asked) <= asked
        assert (await row_of(store)).state == "paused"
        await take(store, PAUSE, "wire")
        await take(store, FEED, "added")

        async def again() -> bool:
            return len(site.asked) > asked and (await row_of(store, "added")).state == "removed"

        await until(again)


def test_a_file_s_feed_cannot_be_redefined(a_feed: MakeFeed) -> None:
    feed = a_feed("https://wire.example/feed")
    other = FeedSettings(id="wire", url="http://evil.example/").model_dump_json()

    listed = sources.listed([feed], [Change(kind=FEED, id="wire", value=other, actor="x", at=NOON)])

    assert listed == (feed,)


async def test_news_after_an_outage_is_backfill(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    feed = a_feed(site.holds("/f", rss("Eins")))
    async with running(store, polling, feed):
        await polled(store)
    long_ago = SystemClock().now() - timedelta(minutes=45)
    await store.write(lambda tx: tx.ingest.save("wire", {"next_due": long_ago, "planned_at": long_ago}))
    site.holds("/f", rss("Eins", "Zwei"))

    async with running(store, polling, feed):

        async def two() -> bool:
            return len(await articles(store)) == 2

        await until(two)

    assert (await articles(store))[1].backfill


async def test_a_document_that_its_parser_does_not_survive_is_set_aside(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    # Two megabytes that only the slow path reads: seconds of work, for a parser that has a tenth of one.
    endless = (
        b"<rss><channel><title>T" + b"<item><title>a</b></title><description>&lt;p&gt;</description></item>" * 28_000
    )
    polling = replace_limits(polling)
    feeds = [
        a_feed(site.holds("/bad", endless), id="bad"),
        a_feed(site.holds("/good", rss("Eins")), id="good", every=timedelta(milliseconds=100)),
    ]

    async with (
        Pool(size=1, memory_limit_bytes=1 << 30, preload=["ingest.intake"]) as pool,
        running(store, polling, *feeds, pool=pool),
    ):
        row = await polled(store, "bad")
        await polled(store, "good")

    (letter,) = await store.read(lambda tx: tx.dead_letters.list())
    assert (letter.stage, letter.record_id, row.state) == ("ingest", "bad", "failing")
    assert "deadline" in letter.reason
    assert letter.value == endless[:1_000_000]
    assert [article.title for article in await articles(store)] == ["Eins"]


def replace_limits(polling: PollingSettings) -> PollingSettings:
    return polling.model_copy(update={"parse_deadline": timedelta(milliseconds=300), "body_limit": 4_000_000})


async def test_a_slow_host_does_not_hold_up_the_others(
    site: Any, store: SqliteStore, polling: PollingSettings, a_feed: MakeFeed
) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response(body=rss("Langsam"))

    polling = polling.model_copy(update={"at_once": 4, "per_host": polling.per_host.model_copy(update={"at_once": 2})})
    port = site.url.rpartition(":")[2]
    slow_feeds = [a_feed(site.at(f"/slow{n}", slow), id=f"slow{n}") for n in range(30)]
    site.holds("/quick", rss("Schnell"))
    quick = a_feed(f"http://localhost:{port}/quick", id="quick", every=timedelta(milliseconds=100))

    async with running(store, polling, *slow_feeds, quick):

        async def often() -> bool:
            return len(site.asked_for("/quick")) >= 10

        await until(often)

    assert sum(request.path.startswith("/slow") for request in site.asked) < 30


async def test_one_look_at_a_feed_keeps_nothing(site: Any, polling: PollingSettings, a_feed: MakeFeed) -> None:
    good = a_feed(site.holds("/f", rss("Eins")))

    report = await sources.test_feed(good, polling=polling, clock=SystemClock())
    missing = await sources.test_feed(replace(good, url=site.url + "/none"), polling=polling, clock=SystemClock())
    denied = await sources.test_feed(good.url, polling=polling, clock=SystemClock())

    assert report.problem is None
    assert report.feed is not None
    assert report.feed.entries[0].title == "Eins"
    assert missing.problem == "HTTP 404"
    assert "private address" in str(denied.problem)
