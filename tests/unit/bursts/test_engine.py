from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from bursts.settings import BurstsSettings
from tests.unit.bursts.histories import DEATHS, SETTINGS, a_month, play, spike, told_by, volumes
from tocsin.records import Certainty, Severity
from tocsin.store.bursts import EVERYTHING
from tocsin.store.ingest_tables import FeedSetting
from tocsin.stream.codec import decode_reading
from tocsin.stream.port import READINGS
from tocsin.testing import DAY, HOUR, MINUTE, NOON, a_detection, a_reading, a_transaction, an_article

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tocsin.records import Detection
    from tocsin.store.bursts import CountedRow
    from tocsin.store.tx import Tx


@pytest.fixture
def tx() -> Iterator[Tx]:
    with a_transaction() as transaction:
        yield transaction


def a_feed(tx: Tx, name: str, *, first_read: datetime | None) -> None:
    setting = FeedSetting(
        id=name,
        url=f"https://{name}.example/",
        host=f"{name}.example:443",
        origin="file",
        owner=name,
        tier="wire",
        language=None,
        country=None,
        weight=1.0,
        verified=False,
    )
    tx.ingest.sync([setting], {name: NOON})
    tx.ingest.save(name, {"first_ok_at": first_read})


# ------------------------------------------------------------------------------------------------- what rings


def test_ten_articles_within_an_hour_ring_where_four_a_day_are_usual(tx: Tx) -> None:
    a_month(tx, daily=4)

    told = play(tx, spike(14))

    (volume,) = volumes(told)
    assert (volume.topic, volume.window_s, volume.usual, volume.owners) == ("deaths", 3600, 1, 7)
    assert volume.count <= 14
    assert volume.score >= 5
    assert volume.before == 0


def test_a_burst_is_a_reading_on_the_topic_that_its_articles_explain(tx: Tx) -> None:
    a_month(tx)

    (burst,) = play(tx, spike(14))

    (record,) = tx.topics.fetch(READINGS, start=0, most=10)
    assert record.value is not None
    assert decode_reading(record.value) == burst
    (detection,) = burst.detections
    assert (detection.type, detection.country, detection.certainty) == ("burst", "EE", Certainty.CONFIRMED)
    assert detection.severity is Severity.MODERATE
    (volume,) = volumes([burst])
    assert 0 < len(volume.sources) == len(volume.articles) <= 12
    assert len({source.owner for source in volume.sources[:7]}) == 7
    assert burst.mention.title == f"{volume.count} articles on deaths in Estonia in 1 h, usually 1"
    assert burst.mention.seen_at == volume.sources[0].seen_at


def test_it_rings_again_only_when_it_has_doubled(tx: Tx) -> None:
    a_month(tx)

    told = play(tx, spike(60, within=50 * MINUTE))

    counts = [volume.count for volume in volumes(told)]
    assert len(counts) == 3
    assert all(later >= 2 * earlier for earlier, later in pairwise(counts))
    assert [volume.before for volume in volumes(told)] == [0, *counts[:-1]]
    assert len({reading.article for reading in told}) == 1
    assert [reading.supersedes for reading in told] == [None, *(reading.revision for reading in told[:-1])]


def test_a_window_of_a_day_finds_what_comes_slowly(tx: Tx) -> None:
    a_month(tx, daily=2)

    told = play(tx, spike(30, within=22 * HOUR))

    assert volumes(told)[0].window_s in (6 * 3600, 24 * 3600)
    assert len(told) <= 2


def test_after_a_day_of_calm_a_further_burst_is_another_one(tx: Tx) -> None:
    a_month(tx)

    first = play(tx, spike(14))
    still = play(tx, spike(14, at=NOON + 20 * HOUR, first=100))
    another = play(tx, spike(14, at=NOON + 5 * DAY, first=200))

    assert [len(first), len(still), len(another)] == [1, 0, 1]
    assert first[0].article != another[0].article
    assert another[0].supersedes is None


def test_a_burst_lives_on_while_its_windows_are_half_full(tx: Tx) -> None:
    a_month(tx)
    first = play(tx, spike(14))

    later = [
        told for day in range(1, 5) for told in play(tx, spike(9, at=NOON + day * DAY, first=100 * day, within=HOUR))
    ]

    assert len(first) == 1
    assert later == []


def test_each_country_and_topic_has_its_own(tx: Tx) -> None:
    a_month(tx, ("EE", "deaths"))
    a_month(tx, ("LV", "curfew"))

    told = play(tx, [*spike(7), *(told_by(number, topic=("LV", "curfew")) for number in range(20, 40))])

    assert [(one.detections[0].country, volumes([one])[0].topic) for one in told] == [("LV", "curfew")] * len(told)
    assert told


# --------------------------------------------------------------------------------------------- what does not


def test_nothing_rings_in_the_warm_up(tx: Tx) -> None:
    a_month(tx, days=13)

    assert play(tx, spike(60)) == []


def test_days_on_which_nobody_listened_are_no_quiet_days(tx: Tx) -> None:
    a_month(tx, daily=200, until=NOON - 20 * DAY, days=10)

    told = play(tx, spike(20))

    assert told == []


def test_few_owners_are_no_burst_however_much_they_write(tx: Tx) -> None:
    a_month(tx)

    assert play(tx, [told_by(number, owner=f"Owner {number % 2}") for number in range(40)]) == []


def test_reprints_of_one_text_are_one_article(tx: Tx) -> None:
    a_month(tx)
    title = "Fourteen people were killed near Narva"

    told = play(tx, [told_by(number, title=title.upper() if number % 2 else f"{title}!") for number in range(40)])

    assert told == []
    assert len(tx.bursts.within(DEATHS, first=0, last=10**9)) == 1


def test_the_same_article_counts_once_however_often_it_comes(tx: Tx) -> None:
    a_month(tx)
    readings = spike(14)

    told = play(tx, [one for reading in readings for one in (reading, reading, replace(reading, revision="2"))])

    assert len(told) == 1
    assert len(tx.bursts.within(DEATHS, first=0, last=10**9)) == 14
    assert play(tx, readings) == []


def test_what_a_first_poll_brings_and_what_is_old_is_not_counted(tx: Tx) -> None:
    a_month(tx)
    fresh = spike(40)
    brought = [replace(one, mention=replace(one.mention, backfill=True)) for one in fresh[:20]]
    old = [replace(one, mention=replace(one.mention, published_at=NOON - 2 * DAY)) for one in fresh[20:]]

    assert play(tx, [*brought, *old]) == []
    assert tx.bursts.within(DEATHS, first=0, last=10**9) == []


@pytest.mark.parametrize(
    ("first_read", "rings"),
    [(NOON - 15 * DAY, True), (NOON - 13 * DAY, False), (None, False)],
)
def test_a_feed_rings_only_once_it_has_been_read_for_long(tx: Tx, first_read: datetime | None, *, rings: bool) -> None:
    a_month(tx)
    a_feed(tx, "wire", first_read=first_read)

    assert bool(play(tx, spike(14))) is rings


def test_what_a_young_feed_tells_becomes_part_of_what_is_usual(tx: Tx) -> None:
    a_month(tx)
    a_feed(tx, "wire", first_read=NOON)

    young = [play(tx, spike(20, at=NOON + day * DAY, first=100 * day)) for day in range(17)]
    grown = play(tx, spike(20, at=NOON + 17 * DAY, first=10_000))

    assert young == [[] for _ in young]
    assert grown == []


@pytest.mark.parametrize(
    "said",
    [
        a_detection(country=None),
        a_detection(country_guessed=True),
        a_detection(denied=True),
        a_detection(type="burst"),
    ],
)
def test_what_is_denied_guessed_or_said_by_us_is_not_counted(tx: Tx, said: Detection) -> None:
    readings = [a_reading(said, article=an_article(id=f"a{number}", url=str(number))) for number in range(40)]

    assert play(tx, readings) == []
    assert tx.bursts.series([EVERYTHING]) == {}


def test_a_burst_never_feeds_a_burst(tx: Tx) -> None:
    a_month(tx)
    told = play(tx, spike(60, within=50 * MINUTE))

    assert play(tx, told * 10) == []


def test_only_topics_that_were_asked_for_are_counted(tx: Tx) -> None:
    a_month(tx)

    assert play(tx, spike(40), settings=BurstsSettings(topics=("curfew",))) == []


def test_an_article_that_comes_more_than_a_day_late_is_counted_but_rings_nothing(tx: Tx) -> None:
    a_month(tx, until=NOON - 3 * DAY)
    play(tx, [told_by(0, at=NOON)])

    told = play(tx, spike(40, at=NOON - 2 * DAY, first=100))

    assert told == []


# --------------------------------------------------------------------------------------------------- what is kept


def test_what_nothing_is_compared_with_any_more_is_forgotten(tx: Tx) -> None:
    for day in range(60):
        play(tx, [told_by(day, at=NOON + day * DAY)])

    rows = tx.bursts.within(DEATHS, first=0, last=10**9)
    (_, raw) = tx.bursts.series([DEATHS])[DEATHS]
    assert len(rows) <= 3
    assert len(raw) < 2 * (31 * 24 + 3 * 96) + 40


def test_a_damaged_series_sets_the_reading_aside(tx: Tx) -> None:
    tx.bursts.put_series(DEATHS, quarter=0, counts=b"nonsense")

    with pytest.raises(Exception, match="counts of a topic"):
        play(tx, spike(1))


def test_a_longer_history_begins_with_what_is_there(tx: Tx) -> None:
    a_month(tx)

    longer = BurstsSettings(history=timedelta(days=56), warm_up=timedelta(days=28))

    assert play(tx, spike(40), settings=longer)
    assert SETTINGS.history < longer.history


def test_a_hundred_more_articles_of_a_burst_are_looked_at_without_reading_all_of_it_again(tx: Tx) -> None:
    a_month(tx)
    play(tx, spike(300, within=50 * MINUTE))
    asked: list[int] = []
    within = tx.bursts.within

    def counted(topic: tuple[str, str], *, first: int, last: int, most: int = 1_000) -> list[CountedRow]:
        asked.append(last - first)
        return within(topic, first=first, last=last, most=most)

    tx.bursts.within = counted  # type: ignore[method-assign]  # to count how often it is called
    told = play(tx, spike(100, at=NOON + 50 * MINUTE, within=5 * MINUTE, first=1000))

    assert len(asked) == len(told) <= 1
