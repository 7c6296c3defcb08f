from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import aiohttp
import feedparser
import pytest

from tocsin.demo.documents import CONTENT_TYPES, written
from tocsin.demo.feeds import FeedServer, feed_server
from tocsin.demo.playback import WINDOW, Patience, Playback
from tocsin.demo.story import Format, Outlet, Story, bundled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

FAST = 1_000_000.0  # story minutes a second


@pytest.fixture(scope="module")
def story() -> Story:
    return bundled()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        yield session


def told_by_reference(outlet: Outlet, document: bytes) -> list[Mapping[str, str]]:
    """Read a document as an independent reader would: id, link, title and words of each item."""
    if outlet.format is Format.JSON:
        return [
            {"id": item["id"], "link": item["url"], "title": item["title"], "words": item["content_html"]}
            for item in json.loads(document)["items"]
        ]
    parsed = feedparser.parse(document, response_headers={"content-type": CONTENT_TYPES[outlet.format]})
    assert not parsed.bozo
    return [
        {
            "id": entry.id,
            "link": entry.link,
            "title": entry.title,
            "words": entry.content[0].value if "content" in entry else entry.summary,
        }
        for entry in parsed.entries
    ]


async def after(story: Story, texts: int) -> Playback:
    """Return a playback in which the first *texts* live texts have appeared."""
    shortened = Story(title=story.title, outlets=story.outlets, editions=(*story.backfill, *list(story.live)[:texts]))
    playback = Playback(shortened, speed=FAST, patience=Patience.NONE)
    await playback.run()
    return playback


@pytest.mark.parametrize("texts", [0, 1, 7, 16, 25, 40])
@pytest.mark.parametrize("number", range(4))
async def test_every_document_at_every_time_says_what_the_story_says(story: Story, number: int, texts: int) -> None:
    outlet = story.outlets[number]
    playback = await after(story, texts)

    window = playback.window(outlet)
    items = told_by_reference(outlet, written(outlet, window))

    assert [item["title"] for item in items] == [shown.edition.title for shown in window]
    assert [item["link"] for item in items] == [shown.edition.url for shown in window]
    assert all(shown.edition.lead in item["words"] for item, shown in zip(items, window, strict=True))
    assert all(shown.edition.body[-1] in item["words"] for item, shown in zip(items, window, strict=True))
    assert len({item["id"] for item in items}) == len(items)


async def test_an_empty_feed_is_a_feed(story: Story) -> None:
    for outlet in story.outlets:
        document = written(outlet, [])

        assert told_by_reference(outlet, document) == []


async def test_a_revision_keeps_its_identity_and_its_date_and_changes_its_words(story: Story) -> None:
    outlet = story.outlets[0]
    first = {
        item["link"]: item
        for item in told_by_reference(outlet, written(outlet, (await after(story, 16)).window(outlet)))
    }
    last = {
        item["link"]: item
        for item in told_by_reference(outlet, written(outlet, (await after(story, 40)).window(outlet)))
    }
    live = "https://meridian-press.example/live"

    assert first[live]["id"] == last[live]["id"]
    assert first[live]["title"] != last[live]["title"]
    assert "58 people" in last[live]["words"]


async def test_a_window_holds_the_latest_items_only(story: Story) -> None:
    playback = await after(story, 40)
    outlet = story.outlets[3]

    window = playback.window(outlet, size=3)

    assert len(window) == 3
    assert window[0].edition.article == "market"
    assert len(playback.window(outlet)) <= WINDOW


async def test_backfill_is_as_old_as_the_story_says(story: Story) -> None:
    playback = Playback(story)

    ages = {shown.edition.article: datetime.now(UTC) - shown.published for shown in playback.shown}

    assert round(ages["coach"].total_seconds() / 60) == 560


# ---- over HTTP


async def get(
    client: aiohttp.ClientSession, url: str, headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    async with client.get(url, headers=headers) as response:
        return response.status, response.headers, await response.read()


async def served(story: Story, server: FeedServer, client: aiohttp.ClientSession) -> Sequence[tuple[int, str]]:
    answers = [await get(client, server.url(outlet)) for outlet in story.outlets]
    return [(status, headers["Content-Type"]) for status, headers, _ in answers]


async def test_each_outlet_serves_its_own_type(story: Story, client: aiohttp.ClientSession) -> None:
    async with feed_server(Playback(story)) as server:
        answers = await served(story, server, client)

    assert answers == [(200, CONTENT_TYPES[outlet.format]) for outlet in story.outlets]


async def test_a_validator_is_honoured_until_something_new_appears(story: Story, client: aiohttp.ClientSession) -> None:
    playback = Playback(story, speed=FAST, patience=Patience.NONE)
    outlet = story.outlets[1]

    async with feed_server(playback) as server:
        _, headers, _ = await get(client, server.url(outlet))
        asked = {"If-None-Match": headers["ETag"]}
        unchanged, _, body = await get(client, server.url(outlet), asked)
        await playback.run()
        changed, _, _ = await get(client, server.url(outlet), asked)

    assert (unchanged, body) == (304, b"")
    assert changed == 200
    assert server.answers[outlet.id, 304] == 1


async def test_a_date_alone_is_a_validator_too(story: Story, client: aiohttp.ClientSession) -> None:
    outlet = story.outlets[2]

    async with feed_server(Playback(story)) as server:
        _, headers, _ = await get(client, server.url(outlet))
        same, _, _ = await get(client, server.url(outlet), {"If-Modified-Since": headers["Last-Modified"]})
        older, _, _ = await get(client, server.url(outlet), {"If-Modified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"})
        absurd, _, _ = await get(client, server.url(outlet), {"If-Modified-Since": "yesterday"})

    assert (same, older, absurd) == (304, 200, 200)


async def test_a_body_is_compressed_only_for_those_who_can_read_it(story: Story, client: aiohttp.ClientSession) -> None:
    outlet = story.outlets[0]

    async with feed_server(Playback(story)) as server:
        _, packed, small = await get(client, server.url(outlet), {"Accept-Encoding": "gzip"})
        _, plain, large = await get(client, server.url(outlet), {"Accept-Encoding": "identity"})

    assert packed["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain
    assert small == large  # the client has unpacked the first


async def test_what_was_served_is_noted_once_and_never_for_an_unchanged_answer(
    story: Story, client: aiohttp.ClientSession
) -> None:
    playback = Playback(story)
    outlet = story.outlets[0]

    async with feed_server(playback) as server:
        _, headers, _ = await get(client, server.url(outlet))
        first = dict(playback.served)
        await get(client, server.url(outlet), {"If-None-Match": headers["ETag"]})
        await get(client, server.url(outlet))

    assert first == playback.served == {"coach": first["coach"]}


@pytest.mark.parametrize("patience", [Patience.SERVED, Patience.KEPT])
async def test_a_patient_story_never_runs_ahead_of_its_reader(
    story: Story, client: aiohttp.ClientSession, patience: Patience
) -> None:
    playback = Playback(story, speed=FAST, patience=patience)
    known: dict[str, str] = {}
    unread: list[int] = []

    async with feed_server(playback) as server, asyncio.TaskGroup() as tasks:
        running = tasks.create_task(playback.run(), name="story")
        while not running.done():
            for outlet in story.outlets:
                headers = {"If-None-Match": known[outlet.id]} if outlet.id in known else {}
                _, answered, _ = await get(client, server.url(outlet), headers)
                known[outlet.id] = answered["ETag"]
                read = playback.served if patience is Patience.SERVED else playback._kept
                unread.append(sum(shown.edition.name not in read for shown in playback.shown[len(story.backfill) :]))

    assert len(playback.shown) == len(story.editions)
    assert max(unread) == 1
