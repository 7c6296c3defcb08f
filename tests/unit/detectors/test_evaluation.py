"""Rules measured on labelled cases."""

from __future__ import annotations

from typing import Any

from hypothesis import given, strategies as st

from detectors.evaluation import ALL, evaluate

DEATHS = {"type": "deaths", "min": 3, "max": 3, "certainty": "confirmed", "country": "FR"}
TROOPS = {"type": "foreign_troops", "from": ["FR", "BE"], "to": "ML", "certainty": "confirmed"}


def a_case(*events: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "1", "lang": "en", "title": "T", "text": "Text.", "events": list(events), **more}


def test_an_event_that_agrees_on_most_attributes_is_the_one_that_was_meant() -> None:
    near, far = {**DEATHS, "country": "BE"}, {**DEATHS, "min": 9, "max": 9, "country": "BE"}

    report = evaluate([(a_case(DEATHS), [far, near])])

    assert report.counts["", ALL].hits == report.counts["", ALL].false == 1
    assert report.attributes["deaths.min"][True] == 1
    assert report.attributes["deaths.country"][False] == 1


def test_a_ring_where_nothing_is_is_the_worst_mistake_and_counts_as_a_false_alarm() -> None:
    cases = [
        (a_case({**DEATHS, "min": 4}, id="attribute"), [DEATHS]),
        (a_case(DEATHS, id="missed"), []),
        (a_case(id="silent"), [DEATHS]),
        (a_case(id="right"), []),
    ]

    report = evaluate(cases)

    assert [mistake.case for mistake in report.mistakes] == ["silent", "missed", "attribute"]
    assert (report.false_alarms, report.negatives, report.false_alarm_rate) == (1, 2, 0.5)
    assert (report.exact, report.cases) == (1, 4)


def test_the_order_of_senders_does_not_matter() -> None:
    report = evaluate([(a_case(TROOPS), [{**TROOPS, "from": ["BE", "FR"]}])])

    assert report.mistakes == []


def test_types_that_no_case_is_labelled_with_are_not_looked_at() -> None:
    report = evaluate([(a_case(DEATHS), [DEATHS, {"type": "curfew", "country": "FR"}])])

    assert report.counts["", ALL].precision == 1.0


def test_what_two_editors_may_see_otherwise_is_not_graded() -> None:
    report = evaluate([(a_case(TROOPS, tags=["planned"]), [{**TROOPS, "certainty": "possible"}])])

    assert report.mistakes == []
    assert report.counts["tag", "planned"].hits == 1


@given(st.lists(st.lists(st.sampled_from([DEATHS, TROOPS, {**DEATHS, "min": 7}]), max_size=3), max_size=5))
def test_who_finds_what_is_labelled_makes_no_mistake(labels: list[list[dict[str, Any]]]) -> None:
    report = evaluate([(a_case(*events, id=str(place)), events) for place, events in enumerate(labels)])

    assert report.mistakes == []
    assert report.exact == report.cases
    assert report.counts["", ALL].f1 == 1.0


@given(
    st.lists(st.sampled_from([DEATHS, TROOPS]), max_size=4),
    st.lists(st.sampled_from([DEATHS, {**TROOPS, "to": "NE"}]), max_size=4),
)
def test_every_event_is_hit_or_missed_and_every_ring_is_right_or_false(
    labels: list[dict[str, Any]], found: list[dict[str, Any]]
) -> None:
    counts = evaluate([(a_case(*labels), found)], types={"deaths", "foreign_troops"}).counts["", ALL]

    assert counts.hits + counts.missed == len(labels)
    assert counts.hits + counts.false == len(found)
