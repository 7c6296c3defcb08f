from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from incidents.engine import TOO_OLD, absorb, published
from incidents.life import LIFE, ROOM, grow_older
from incidents.settings import IncidentsSettings
from tocsin.records import Certainty, IncidentState, Severity, Source, Step, Toll
from tocsin.stream.codec import decode_alert
from tocsin.stream.port import ALERTS
from tocsin.testing import DAY, HOUR, MINUTE, NOON, a_detection, a_reading, a_transaction, an_article

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tocsin.records import Alert, Detection, Reading
    from tocsin.store.tx import Tx

SETTINGS = IncidentsSettings()
WORDS = "Der Fährunfall auf dem Peipussee bei Mustvee forderte mindestens drei Menschenleben unter den Ausflüglern"


@pytest.fixture
def tx() -> Iterator[Tx]:
    with a_transaction() as transaction:
        yield transaction


def told(
    *detections: Detection,
    id: str = "a",  # noqa: A002 - the domain's own word
    owner: str = "Northern Wire",
    after: timedelta = timedelta(0),
    published_ago: timedelta = timedelta(0),
    title: str = "",
    supersedes: str | None = None,
    backfill: bool = False,
) -> Reading:
    at = NOON + after
    article = an_article(
        id=id,
        feed=owner,
        source=Source(owner=owner),
        url=f"https://{id}.example/",
        title=title or f"Headline {id}",
        supersedes=supersedes,
        revision="2" if supersedes else "1",
        published_at=at - published_ago,
        seen_at=at,
        backfill=backfill,
    )
    return a_reading(*detections, article=article)


def ring(tx: Tx, *readings: Reading) -> list[Alert]:
    return [alert for reading in readings for alert in absorb(tx, reading, settings=SETTINGS)]


def test_an_alert_is_emitted_and_kept_under_one_id(tx: Tx) -> None:
    (alert,) = ring(tx, told(a_detection(places=("Narva",), happening="unrest")))

    (record,) = tx.topics.fetch(ALERTS, start=0, most=10)
    kept = tx.incidents.alert(alert.id)
    assert record.id == alert.id
    assert record.value is not None
    assert kept is not None
    assert decode_alert(record.value) == decode_alert(kept.body) == alert
    assert (alert.step, alert.revision, alert.severity) == (Step.NEW, 1, Severity.MODERATE)
    assert alert.headline == "3 dead confirmed — unrest in Narva, Estonia"
    assert [source.owner for source in alert.sources] == ["Northern Wire"]
    assert kept.article == "a"


def test_the_same_reading_again_changes_nothing(tx: Tx) -> None:
    reading = told(a_detection())
    (alert,) = ring(tx, reading)
    before = tx.incidents.body(alert.incident)

    assert ring(tx, reading) == []
    assert tx.incidents.body(alert.incident) == before


def test_an_older_revision_that_comes_again_is_ignored(tx: Tx) -> None:
    first = told(a_detection(toll=Toll(min=3, max=3)))
    second = told(a_detection(toll=Toll(min=30, max=30)), supersedes="1", after=HOUR)
    ring(tx, first, second)

    assert ring(tx, replace(first, rules="other")) == []


def test_an_older_revision_is_ignored_even_where_the_clock_was_set_back_after_it(tx: Tx) -> None:
    first = told(a_detection(toll=Toll(min=3, max=3)))
    second = told(a_detection(toll=Toll(min=30, max=30)), supersedes="1", after=-HOUR)
    ring(tx, first, second)

    assert ring(tx, replace(first, rules="other")) == []


@pytest.mark.parametrize("behind", [MINUTE, 5 * HOUR])
def test_a_toll_that_rises_rings_though_the_clock_was_set_back(tx: Tx, behind: timedelta) -> None:
    alerts = ring(
        tx,
        told(a_detection(toll=Toll(min=3, max=3))),
        told(a_detection(toll=Toll(min=30, max=30)), supersedes="1", after=-behind),
    )

    assert [alert.step for alert in alerts] == [Step.NEW, Step.ESCALATION]
    assert len({alert.incident for alert in alerts}) == 1


def test_what_is_taken_back_is_cancelled_though_the_clock_was_set_back(tx: Tx) -> None:
    alerts = ring(tx, told(a_detection()), told(supersedes="1", after=-HOUR))

    assert [alert.step for alert in alerts] == [Step.NEW, Step.CORRECTION]


def test_a_live_article_whose_toll_rises_stays_one_source_in_one_incident(tx: Tx) -> None:
    alerts = ring(
        tx,
        told(a_detection(toll=Toll(min=3, max=3))),
        told(a_detection(toll=Toll(min=30, max=30)), supersedes="1", after=5 * HOUR, published_ago=5 * HOUR),
    )

    assert [alert.step for alert in alerts] == [Step.NEW, Step.ESCALATION]
    assert not alerts[1].late  # the article is old, what it says is not
    assert len({alert.incident for alert in alerts}) == 1


def test_a_rewritten_article_takes_its_claim_back_and_the_incident_is_cancelled(tx: Tx) -> None:
    alerts = ring(tx, told(a_detection()), told(supersedes="1", after=HOUR))

    assert [alert.step for alert in alerts] == [Step.NEW, Step.CORRECTION]
    row = tx.incidents.get(alerts[0].incident)
    assert row is not None
    assert row.state is IncidentState.CANCELLED
    assert alerts[1].headline == "Correction: report of 3 dead taken back — Estonia"
    assert alerts[1].severity is Severity.MODERATE  # it goes to whom the wrong one went


def test_another_newsroom_keeps_up_what_a_rewritten_article_drops(tx: Tx) -> None:
    readings = [told(a_detection()), told(a_detection(), id="b", owner="Post", after=MINUTE)]

    alerts = ring(tx, *readings, told(supersedes="1", after=HOUR))

    assert [alert.step for alert in alerts] == [Step.NEW]


@pytest.mark.parametrize(
    ("published_ago", "backfill", "late"),
    [(MINUTE, False, False), (3 * HOUR, False, True), (MINUTE, True, True), (35 * HOUR, False, True)],
)
def test_what_is_seen_late_goes_into_the_opening_picture(
    tx: Tx, *, published_ago: timedelta, backfill: bool, late: bool
) -> None:
    (alert,) = ring(tx, told(a_detection(), published_ago=published_ago, backfill=backfill))

    assert alert.late is late


def test_an_old_happening_opens_no_incident_and_why_is_kept(tx: Tx) -> None:
    assert ring(tx, told(a_detection(), published_ago=3 * DAY)) == []

    judged = tx.incidents.judged("a")
    assert judged is not None
    assert judged.verdict == TOO_OLD
    assert tx.incidents.count() == 0


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        (None, NOON),
        (NOON + DAY, NOON),
        (datetime(1970, 1, 1, tzinfo=UTC), NOON),
        (NOON - HOUR, NOON - HOUR),
    ],
)
def test_an_absurd_date_of_publication_is_when_we_saw_it(claimed: datetime | None, expected: datetime) -> None:
    mention = a_reading(article=an_article(published_at=claimed, seen_at=NOON)).mention

    assert published(mention) == expected


def test_two_accidents_in_one_country_on_one_day_stay_two(tx: Tx) -> None:
    alerts = ring(
        tx,
        told(a_detection(places=("Narva",), happening="accident"), id="a"),
        told(a_detection(places=("Tartu",), happening="accident"), id="b", after=HOUR),
        told(a_detection(places=("Tartu",), happening="accident", toll=Toll(min=5, max=5)), id="c", after=2 * HOUR),
    )

    assert [alert.step for alert in alerts] == [Step.NEW, Step.NEW, Step.ESCALATION]
    assert alerts[1].incident == alerts[2].incident != alerts[0].incident


def test_two_tolls_in_one_article_are_two_incidents(tx: Tx) -> None:
    alerts = ring(
        tx,
        told(
            a_detection(places=("Narva",), happening="accident"),
            a_detection(places=("Tartu",), happening="accident", toll=Toll(min=7, max=7)),
        ),
    )

    assert len({alert.incident for alert in alerts}) == 2


def test_one_unrest_in_three_cities_is_one(tx: Tx) -> None:
    cities = ("Narva", "Tartu", "Tallinn")
    readings = [told(a_detection(places=(city,), happening="unrest"), id=city) for city in cities]

    alerts = ring(tx, *readings)

    assert [alert.step for alert in alerts] == [Step.NEW]
    assert tx.incidents.count() == 1


def test_unrest_and_an_accident_in_one_country_stay_two(tx: Tx) -> None:
    alerts = ring(
        tx,
        told(a_detection(places=("Narva",), happening="unrest"), id="a"),
        told(a_detection(happening="accident"), id="b"),
    )

    assert [alert.step for alert in alerts] == [Step.NEW, Step.NEW]


def test_the_end_of_a_government_joins_unrest_but_no_accident(tx: Tx) -> None:
    fall = a_detection(type="government_dismissal", toll=None)
    (accident,) = ring(tx, told(a_detection(happening="accident", places=("Narva",)), id="a"))
    (unrest,) = ring(tx, told(a_detection(happening="unrest", places=("Tartu",)), id="b", after=MINUTE))
    (fallen,) = ring(tx, told(fall, id="c", after=2 * MINUTE))

    assert fallen.incident == unrest.incident != accident.incident
    assert (fallen.step, fallen.severity) == (Step.ESCALATION, Severity.SEVERE)


def test_a_country_guessed_from_the_feed_joins_only_by_its_words(tx: Tx) -> None:
    guessed = a_detection(country_guessed=True)
    alerts = ring(
        tx,
        told(a_detection(), id="a", title=WORDS),
        told(guessed, id="b", owner="Post", title=f"{WORDS} am Mittwoch"),
        told(guessed, id="c", owner="Third", title="Something quite different has happened to other people there"),
    )

    assert [alert.step for alert in alerts] == [Step.NEW, Step.NEW]
    assert tx.incidents.count() == 2


def test_a_text_that_names_the_country_gives_it_to_an_incident_without(tx: Tx) -> None:
    (first,) = ring(tx, told(a_detection(country=None), id="a", title=WORDS))
    ring(tx, told(a_detection(country="EE"), id="b", owner="Post", title=f"{WORDS} am Mittwoch"))

    row = tx.incidents.get(first.incident)
    assert first.countries == ()
    assert row is not None
    assert row.country == "EE"


def test_a_copy_counts_as_no_further_source(tx: Tx) -> None:
    readings = [
        told(a_detection(toll=Toll(min=3, max=3)), id=owner, owner=owner, title=f"{WORDS}, sagte die Polizei in Tartu")
        for owner in ("Wire", "Copy", "Copier")
    ]
    other = told(a_detection(toll=Toll(min=5, max=5)), id="b", owner="Copier", title=f"{WORDS}: jetzt fünf")
    own = told(a_detection(toll=Toll(min=5, max=5)), id="c", owner="Own", title="Five dead in Mustvee ferry accident")

    ring(tx, *readings, other, own)

    (row,) = tx.incidents.standing()
    assert row.articles == 5
    assert row.revision == 2


def test_an_incident_falls_quiet_is_closed_and_forgotten(tx: Tx) -> None:
    (alert,) = ring(tx, told(a_detection(places=("Narva",))))
    states = []
    for _ in range(4):
        (timer,) = tx.timers.due(ROOM, NOON + 365 * DAY)
        tx.timers.remove(timer)
        grow_older(tx, timer, settings=SETTINGS)
        row = tx.incidents.get(alert.incident)
        assert row is not None
        states.append((timer.due - NOON, row.state))
        if not tx.timers.due(ROOM, NOON + 365 * DAY):
            break

    assert states == [
        (12 * HOUR, IncidentState.QUIET),
        (48 * HOUR, IncidentState.CLOSED),
        (14 * DAY, IncidentState.CLOSED),
    ]


def test_news_keep_an_incident_open_without_moving_its_timer(tx: Tx) -> None:
    (alert,) = ring(tx, told(a_detection(), id="a"))
    ring(tx, told(a_detection(), id="b", after=6 * HOUR))

    timer = tx.timers.get(ROOM, LIFE, alert.incident)
    assert timer is not None
    assert timer.due == NOON + 12 * HOUR
    tx.timers.remove(timer)
    grow_older(tx, timer, settings=SETTINGS)
    row, again = tx.incidents.get(alert.incident), tx.timers.get(ROOM, LIFE, alert.incident)
    assert row is not None
    assert again is not None
    assert (row.state, again.due) == (IncidentState.OPEN, NOON + 18 * HOUR)


def test_an_old_story_told_again_does_not_ring_but_a_new_step_reopens_it(tx: Tx) -> None:
    tragedy = a_detection(places=("Narva",), happening="accident", toll=Toll(min=7, max=7))
    (alert,) = ring(tx, told(tragedy, id="a"))

    retold = ring(tx, told(tragedy, id="b", owner="Post", after=5 * DAY))
    fallen = a_detection(type="government_dismissal", certainty=Certainty.CONFIRMED, toll=None)
    joined = ring(tx, told(tragedy, fallen, id="c", owner="Post", after=6 * DAY))

    assert retold == []
    assert [(one.step, one.incident) for one in joined] == [(Step.ESCALATION, alert.incident)]
