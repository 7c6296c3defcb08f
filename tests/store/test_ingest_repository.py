from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from tocsin.errors import Fenced
from tocsin.store.ingest_tables import ArticleRow, FeedSetting
from tocsin.testing import DAY, HOUR, MINUTE, NOON, a_cluster_store

if TYPE_CHECKING:
    from datetime import datetime

    from tocsin.store.port import Store
    from tocsin.store.tx import Tx


def setting(name: str, *, url: str | None = None, paused: bool = False) -> FeedSetting:
    return FeedSetting(
        id=name,
        url=url or f"https://{name}.example/feed",
        host=f"{name}.example:443",
        origin="file",
        owner=name,
        tier="wire",
        language="en",
        country=None,
        weight=1.0,
        verified=False,
        paused=paused,
    )


def article(name: str, *, feed: str = "a", seen_at: datetime = NOON, title: str = "Title") -> ArticleRow:
    return ArticleRow(
        id=name,
        feed=feed,
        guid=f"guid-{name}",
        url_key=f"key-{name}",
        content=f"content-{name}",
        previous=None,
        revision=f"content-{name}",
        revisions=1,
        url=f"https://{feed}.example/{name}",
        title=title,
        published_at=None,
        seen_at=seen_at,
        changed_at=seen_at,
        backfill=False,
    )


def sync(*wanted: FeedSetting, due: datetime = NOON) -> object:
    def unit(tx: Tx) -> None:
        tx.ingest.sync(wanted, {each.id: due for each in wanted})

    return unit


async def write(store: Store, unit: object) -> None:
    await store.write(unit)  # type: ignore[arg-type]  # units of these tests answer nothing


async def test_the_longest_overdue_feed_comes_first(store: Store) -> None:
    await write(store, sync(setting("b"), due=NOON))
    await write(store, sync(setting("b"), setting("a"), setting("c"), due=NOON + MINUTE))

    due = await store.read(lambda tx: tx.ingest.due(NOON + MINUTE, limit=2))

    assert [row.id for row in due] == ["b", "a"]
    assert await store.read(lambda tx: tx.ingest.upcoming(limit=1)) == [("b", NOON)]


@pytest.mark.parametrize("moved_to", [None, "https://moved.example/feed"])
def test_the_end_of_a_visit_is_kept_where_the_feed_is_still_asked_there(tx: Tx, moved_to: str | None) -> None:
    tx.ingest.sync([setting("a"), setting("b")], {"a": NOON, "b": NOON})
    tx.ingest.save("a", {"moved_to": moved_to})
    row = tx.ingest.feed("a")
    assert row is not None

    tx.ingest.begin_visit("a")
    tx.ingest.check_address(row)
    tx.ingest.end_visit(row, {"etag": "x"})

    assert tx.ingest.feed("a") == replace(row, etag="x")
    other = tx.ingest.feed("b")
    assert other is not None
    assert other.etag is None


@pytest.mark.parametrize("before", [None, "https://moved.example/feed"])
@pytest.mark.parametrize("change", ["url", "moved_to"])
def test_a_visit_to_an_address_that_is_not_the_feed_s_any_more_leaves_nothing(
    tx: Tx, before: str | None, change: str
) -> None:
    tx.ingest.sync([setting("a")], {"a": NOON})
    tx.ingest.save("a", {"moved_to": before})
    row = tx.ingest.feed("a")
    assert row is not None
    if change == "url":
        tx.ingest.sync([setting("a", url="https://a.example/new")], {"a": NOON})
    else:
        tx.ingest.save("a", {"moved_to": None if before else "https://other.example/feed"})
    changed = tx.ingest.feed("a")

    with pytest.raises(Fenced, match="'a'"):
        tx.ingest.check_address(row)
    with pytest.raises(Fenced, match="'a'"):
        tx.ingest.end_visit(row, {"etag": "x"})

    assert tx.ingest.feed("a") == changed


def test_a_visit_in_the_air_does_not_undo_that_somebody_wants_the_feed_asked_anew(tx: Tx) -> None:
    tx.ingest.sync([setting("a")], {"a": NOON})
    tx.ingest.save("a", {"next_due": NOON + HOUR, "etag": "old", "body_hash": "old"})
    begun = tx.ingest.feed("a")
    assert begun is not None
    asked = {"next_due": NOON + 2 * HOUR, "etag": None, "last_modified": None, "body_hash": None}
    tx.ingest.save("a", asked)

    tx.ingest.end_visit(begun, {"next_due": NOON + 9 * HOUR, "etag": "new", "body_hash": "new", "failures": 3})

    row = tx.ingest.feed("a")
    assert row is not None
    assert (row.next_due, row.etag, row.body_hash, row.failures) == (NOON + 2 * HOUR, None, None, 3)
    tx.ingest.end_visit(row, {"next_due": NOON + 9 * HOUR, "etag": "new"})
    assert tx.ingest.feed("a") == replace(row, next_due=NOON + 9 * HOUR, etag="new")


async def test_a_paused_or_removed_feed_is_never_due(store: Store) -> None:
    await write(store, sync(setting("a"), setting("b"), setting("c")))

    await write(store, sync(setting("a"), setting("b", paused=True)))

    assert [row.id for row in await store.read(lambda tx: tx.ingest.due(NOON, limit=9))] == ["a"]
    rows = await store.read(lambda tx: tx.ingest.list_feeds(all=True))
    assert [(row.id, row.state) for row in rows] == [("a", "new"), ("b", "paused"), ("c", "removed")]
    assert len(await store.read(lambda tx: tx.ingest.list_feeds())) == 2


async def test_a_known_feed_keeps_what_polling_found(store: Store) -> None:
    await write(store, sync(setting("a")))
    await store.write(lambda tx: tx.ingest.save("a", {"etag": "x", "last_ok_at": NOON, "next_due": NOON + HOUR}))

    await write(store, sync(setting("a"), due=NOON + DAY))

    row = await store.read(lambda tx: tx.ingest.feed("a"))
    assert row is not None
    assert (row.etag, row.next_due, row.state) == ("x", NOON + HOUR, "ok")


async def test_a_new_address_drops_what_the_old_one_gave(store: Store) -> None:
    await write(store, sync(setting("a")))
    await store.write(
        lambda tx: tx.ingest.save("a", {"etag": "x", "body_hash": "y", "moved_to": "z", "first_ok_at": NOON, "gaps": 2})
    )

    await write(store, sync(setting("a", url="https://a.example/new"), due=NOON + MINUTE))

    row = await store.read(lambda tx: tx.ingest.feed("a"))
    assert row is not None
    assert (row.etag, row.body_hash, row.moved_to, row.first_ok_at, row.gaps) == (None, None, None, None, 2)
    assert row.next_due == NOON + MINUTE


async def test_lost_commits_cost_the_validators_and_nothing_else(store: Store) -> None:
    await write(store, sync(setting("a")))
    await store.write(
        lambda tx: tx.ingest.save("a", {"etag": "x", "last_modified": "y", "body_hash": "z", "failures": 1})
    )

    await store.write(lambda tx: tx.ingest.drop_validators())

    row = await store.read(lambda tx: tx.ingest.feed("a"))
    assert row is not None
    assert (row.etag, row.last_modified, row.body_hash, row.failures) == (None, None, None, 1)


async def test_a_host_that_asks_for_silence_gets_it_from_all_its_feeds(store: Store) -> None:
    await write(store, sync(setting("a"), replace(setting("b"), host="a.example:443"), setting("c")))

    moved = await store.write(lambda tx: tx.ingest.hold_host("a.example:443", NOON + HOUR))

    assert moved == 2
    assert [row.id for row in await store.read(lambda tx: tx.ingest.due(NOON, limit=9))] == ["c"]


async def test_articles_are_found_by_any_of_their_names(store: Store) -> None:
    rows = [article(str(number)) for number in range(450)]
    await store.write(lambda tx: tx.ingest.add_articles([*rows, article("x", feed="b")]))

    found = await store.read(
        lambda tx: tx.ingest.known(
            "a", ids=["0", "x"], guids=["guid-1", "none"], url_keys=[f"key-{number}" for number in range(450)]
        )
    )

    assert {row.id for row in found} == {str(number) for number in range(450)}
    assert next(row for row in found if row.id == "7") == rows[7]


async def test_a_revision_keeps_when_the_article_was_first_seen(store: Store) -> None:
    await store.write(lambda tx: tx.ingest.add_articles([article("1")]))

    later = replace(article("1", seen_at=NOON + HOUR, title="Edited"), revision="r2", previous="content-1")
    await store.write(lambda tx: tx.ingest.revise_articles([later]))

    row = await store.read(lambda tx: tx.ingest.article("1"))
    assert row is not None
    assert (row.title, row.revision, row.revisions, row.previous) == ("Edited", "r2", 2, "content-1")
    assert (row.seen_at, row.changed_at) == (NOON, NOON + HOUR)


async def test_articles_are_found_by_words_and_address(store: Store) -> None:
    rows = [
        article("1", title="Drei Tote in ÖSTERREICH"),
        article("2", title="100% Regen in Österreich", seen_at=NOON + HOUR),
        article("3", feed="b", title="Fußball"),
    ]
    await store.write(lambda tx: tx.ingest.add_articles(rows))

    def ids(found: list[ArticleRow]) -> list[str]:
        return [row.id for row in found]

    assert ids(await store.read(lambda tx: tx.ingest.articles_saying("österreich"))) == ["2", "1"]
    assert ids(await store.read(lambda tx: tx.ingest.articles_saying("tote Österreich"))) == ["1"]
    assert ids(await store.read(lambda tx: tx.ingest.articles_saying("%"))) == ["2"]
    assert ids(await store.read(lambda tx: tx.ingest.articles_saying("  "))) == []
    assert ids(await store.read(lambda tx: tx.ingest.articles_at(url="https://b.example/3"))) == ["3"]
    assert ids(await store.read(lambda tx: tx.ingest.articles_at(url="http://other", url_key="key-1"))) == ["1"]
    assert ids(await store.read(lambda tx: tx.ingest.articles_of("a", limit=1))) == ["2"]
    assert await store.read(lambda tx: tx.ingest.count_articles()) == 3


async def test_what_a_feed_still_lists_is_not_forgotten(store: Store) -> None:
    await write(store, sync(setting("a")))
    old = [article(name, seen_at=NOON - 100 * DAY) for name in ("1", "2", "3")]
    await store.write(lambda tx: tx.ingest.add_articles([*old, article("4")]))
    await store.write(lambda tx: tx.ingest.save_window("a", ["2"]))

    end = await store.write(lambda tx: tx.ingest.trim(before=NOON - timedelta(days=90)))

    assert end is None
    assert {row.id for row in await store.read(lambda tx: tx.ingest.articles_of())} == {"2", "4"}
    assert await store.read(lambda tx: tx.ingest.window("a")) == frozenset({"2"})


async def test_old_articles_are_forgotten_a_few_feeds_and_a_few_articles_at_a_time(store: Store) -> None:
    await write(store, sync(*(setting(name) for name in ("a", "b", "c", "gone"))))
    old = [
        article(f"{feed}{n}", feed=feed, seen_at=NOON - 100 * DAY) for feed in ("a", "b", "c", "gone") for n in "123"
    ]
    await store.write(lambda tx: tx.ingest.add_articles(old))
    for feed in ("a", "gone"):
        await store.write(lambda tx, feed=feed: tx.ingest.save_window(feed, [f"{feed}1"]))  # type: ignore[misc]  # mypy infers no lambda with defaults
    await write(store, sync(*(setting(name) for name in ("a", "b", "c"))))
    steps, after = [], ""

    while after is not None:
        before = after
        after = await store.write(
            lambda tx, after=after: tx.ingest.trim(  # type: ignore[misc]  # mypy infers no lambda with defaults
                before=NOON - timedelta(days=90), after=after, feeds_at_once=2, most=4
            )
        )
        steps.append((before, await store.read(lambda tx: tx.ingest.count_articles())))

    assert steps == [("", 8), ("", 7), ("b", 3), ("b", 1), ("gone", 1)]
    assert await store.read(lambda tx: tx.ingest.article("a1")) is not None


async def test_a_feed_whose_window_is_damaged_keeps_its_articles_and_no_others(store: Store) -> None:
    await write(store, sync(setting("a"), setting("b")))
    rows = [article(name, feed=name, seen_at=NOON - 100 * DAY) for name in ("a", "b")]
    await store.write(lambda tx: tx.ingest.add_articles(rows))
    await store.write(lambda tx: tx.ingest.save_window("a", ["a"]))
    await store.write(
        lambda tx: tx.conn.exec_driver_sql('UPDATE feeds SET "window" = substr("window", 2) WHERE id = \'a\'')
    )

    await store.write(lambda tx: tx.ingest.trim(before=NOON - timedelta(days=90)))

    assert [row.id for row in await store.read(lambda tx: tx.ingest.articles_of())] == ["a"]


def test_a_hundred_feeds_are_looked_at_by_a_handful_of_statements(tx: Tx) -> None:
    wanted = [setting(f"feed{number:03}") for number in range(100)]
    tx.ingest.sync(wanted, {each.id: NOON for each in wanted})
    tx.ingest.add_articles([article(each.id, feed=each.id, seen_at=NOON - 100 * DAY) for each in wanted])
    for each in wanted:
        tx.ingest.save_window(each.id, [each.id])
    said: list[str] = []
    event.listen(tx.conn, "before_cursor_execute", lambda _conn, _cursor, statement, *_: said.append(statement))

    tx.ingest.trim(before=NOON - timedelta(days=90))

    assert len(said) <= 5


async def test_many_changes_of_the_list_come_a_part_at_a_time(store: Store) -> None:
    await write(store, sync(*(setting(f"old{number}") for number in range(5))))
    wanted = [setting("old0", paused=True), *(setting(f"new{number}") for number in range(5))]

    def part(tx: Tx) -> bool:
        return tx.ingest.sync(wanted, {each.id: NOON for each in wanted}, most=4)

    parts = [await store.write(part) for _ in range(3)]

    assert parts == [False, False, True]
    rows = await store.read(lambda tx: tx.ingest.list_feeds())
    assert {row.id for row in rows} == {each.id for each in wanted}
    assert await store.write(part)


async def test_only_the_feeds_in_the_given_slots_are_due(store: Store) -> None:
    await write(store, sync(*(replace(setting(name), slot=slot) for slot, name in enumerate("abcd"))))

    due = await store.read(lambda tx: tx.ingest.due(NOON, limit=9, slots={1, 3, 77}))
    upcoming = await store.read(lambda tx: tx.ingest.upcoming(limit=9, slots={1, 3, 77}))

    assert [row.id for row in due] == [name for name, _ in upcoming] == ["b", "d"]
    assert await store.read(lambda tx: tx.ingest.due(NOON, limit=9, slots=())) == []


async def test_a_feed_that_moved_keeps_its_host_until_its_own_address_changes(store: Store) -> None:
    await write(store, sync(setting("a")))
    there = {"moved_to": "https://b.example/x", "host": "b.example:443", "slot": 9}
    await store.write(lambda tx: tx.ingest.save("a", there))

    await write(store, sync(replace(setting("a"), slot=5)))
    moved = await store.read(lambda tx: tx.ingest.feed("a"))
    await write(store, sync(replace(setting("a", url="https://c.example/"), host="c.example:443", slot=6)))
    changed = await store.read(lambda tx: tx.ingest.feed("a"))

    assert moved is not None
    assert changed is not None
    assert (moved.host, moved.slot) == ("b.example:443", 9)
    assert (changed.host, changed.slot, changed.moved_to) == ("c.example:443", 6, None)


async def test_a_host_s_silence_is_remembered_until_it_is_over(store: Store) -> None:
    for until in (NOON + HOUR, NOON + MINUTE):  # a second answer does not shorten the first one's silence
        await store.write(lambda tx, until=until: tx.ingest.hold_host("a.example:443", until))  # type: ignore[misc]  # mypy infers no lambda with defaults
    await store.write(lambda tx: tx.ingest.hold_host("b.example:443", NOON + MINUTE))

    assert await store.read(lambda tx: tx.ingest.holds(NOON + MINUTE)) == [("a.example:443", NOON + HOUR)]
    await store.write(lambda tx: tx.ingest.forget_holds(NOON + MINUTE))
    assert await store.read(lambda tx: tx.ingest.holds(NOON)) == [("a.example:443", NOON + HOUR)]


async def test_two_workers_may_bring_the_same_configuration_at_once(cluster: str) -> None:
    wanted = [replace(setting(f"f{number}"), slot=number) for number in range(200)]

    async with a_cluster_store(cluster) as one, a_cluster_store(cluster) as other:
        await asyncio.gather(*(write(each, sync(*wanted)) for each in (one, other) * 3))
        rows = await one.read(lambda tx: tx.ingest.list_feeds())

    assert [row.id for row in rows] == sorted(each.id for each in wanted)
