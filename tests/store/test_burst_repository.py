from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tocsin.store.bursts import EVERYTHING, BurstRow, CountedRow
from tocsin.testing import DAY, NOON

if TYPE_CHECKING:
    from tocsin.store.tx import Tx

DEATHS, CURFEW = ("EE", "deaths"), ("EE", "curfew")


def counted(
    article: str, *, topic: tuple[str, str] = DEATHS, story: str = "", quarter: int = 10, counts: bool = True
) -> CountedRow:
    country, about = topic
    return CountedRow(
        country=country,
        topic=about,
        article=article,
        story=story or f"story of {article}",
        quarter=quarter,
        owner="Wire",
        counts=counts,
        source=b"source",
    )


def burst(name: str, *, last_hot: int = 20, topic: tuple[str, str] = DEATHS) -> BurstRow:
    return BurstRow(
        id=name,
        country=topic[0],
        topic=topic[1],
        started=10,
        last_hot=last_hot,
        level=0,
        count=14,
        revision="1",
        seen_at=NOON,
    )


def test_who_was_counted_is_known_by_article_and_by_story(tx: Tx) -> None:
    tx.bursts.add([counted("a"), counted("a", topic=CURFEW), counted("b", story="s")])
    tx.bursts.add([counted("a", story="another")])

    assert tx.bursts.same("a", "") == {DEATHS: {"a"}, CURFEW: {"a"}}
    assert tx.bursts.same("c", "s") == {DEATHS: {"b"}}
    assert tx.bursts.same("c", "") == {}
    assert [row.topic for row in tx.bursts.of_article("a")] == ["curfew", "deaths"]
    assert tx.bursts.of_article("a")[1] == counted("a")


def test_articles_of_a_time_are_those_that_count_the_newest_first(tx: Tx) -> None:
    rows = [counted(f"a{number}", quarter=number, counts=number != 3) for number in range(6)]
    tx.bursts.add([*rows, counted("other", topic=CURFEW, quarter=4)])

    assert [row.article for row in tx.bursts.within(DEATHS, first=2, last=4)] == ["a4", "a2"]

    tx.bursts.forget(DEATHS, before=4)

    assert [row.article for row in tx.bursts.within(DEATHS, first=0, last=9)] == ["a5", "a4"]
    assert tx.bursts.within(CURFEW, first=0, last=9)


def test_counts_come_back_as_they_were_put(tx: Tx) -> None:
    tx.bursts.put_series(DEATHS, quarter=7, counts=b"old")
    tx.bursts.put_series(DEATHS, quarter=8, counts=b"new")
    tx.bursts.put_series(EVERYTHING, quarter=9, counts=b"all")

    assert tx.bursts.series([DEATHS, CURFEW, EVERYTHING]) == {DEATHS: (8, b"new"), EVERYTHING: (9, b"all")}


def test_the_last_burst_of_a_topic_is_the_one_that_was_hot_last(tx: Tx) -> None:
    tx.bursts.put(burst("aa1", last_hot=30))
    tx.bursts.put(burst("aa2", last_hot=20))
    tx.bursts.put(burst("bb", topic=CURFEW, last_hot=99))
    tx.bursts.put(replace(burst("aa2", last_hot=40), count=30))

    assert tx.bursts.latest(DEATHS) == replace(burst("aa2", last_hot=40), count=30)
    assert tx.bursts.latest(("LV", "deaths")) is None
    assert tx.bursts.burst("bb") == burst("bb", topic=CURFEW, last_hot=99)
    assert tx.bursts.burst("cc") is None
    assert [one.id for one in tx.bursts.by_prefix("aa")] == ["aa1", "aa2"]
    assert tx.bursts.by_prefix("%") == []


def test_what_nobody_adds_to_any_more_is_trimmed(tx: Tx) -> None:
    tx.bursts.put_series(DEATHS, quarter=7, counts=b"")
    tx.bursts.put_series(CURFEW, quarter=70, counts=b"")
    tx.bursts.add([counted("a", quarter=7), counted("b", quarter=70)])
    tx.bursts.put(burst("old"))
    tx.bursts.put(replace(burst("young"), seen_at=NOON + 2 * DAY))

    gone = tx.bursts.trim(before=NOON + DAY, quarter=50, most=100)

    assert gone == 3
    assert list(tx.bursts.series([DEATHS, CURFEW])) == [CURFEW]
    assert [row.article for row in tx.bursts.within(DEATHS, first=0, last=99)] == ["b"]
    assert tx.bursts.burst("old") is None
    assert tx.bursts.burst("young") is not None
    assert tx.bursts.trim(before=NOON + DAY, quarter=50, most=100) == 0


def test_since_when_a_feed_is_read_is_known_of_those_that_are_polled(tx: Tx) -> None:
    assert tx.ingest.read_since("nobody") == (False, None)
