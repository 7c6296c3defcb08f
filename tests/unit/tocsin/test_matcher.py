from __future__ import annotations

import pytest
from pydantic import ValidationError

from tocsin.matcher import Matcher, matches, matches_any
from tocsin.records import Alert, Certainty, DismissalKind, Fact, Figure, Sender, Severity, Toll
from tocsin.testing import an_alert

DEATHS = Fact(type="deaths", certainty=Certainty.REPORTED, changed=True, country="KZ", toll=Toll(min=12, max=12))
TROOPS = Fact(
    type="foreign_troops",
    certainty=Certainty.CONFIRMED,
    changed=False,
    country="KZ",
    senders=(Sender(code="AU", alliance=True, certainty=Certainty.CONFIRMED),),
)
FALLEN = Fact(
    type="government_dismissal",
    certainty=Certainty.CONFIRMED,
    changed=True,
    country="KZ",
    kind=DismissalKind.TOPPLED,
)


def alert(*facts: Fact, countries: tuple[str, ...] = ("KZ",), alliances: tuple[str, ...] = ()) -> Alert:
    return an_alert(
        facts=facts,
        countries=countries,
        alliances=alliances,
        severity=Severity.SEVERE,
        certainty=Certainty.CONFIRMED,
        types=tuple(fact.type for fact in facts),
    )


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, True),
        ({"types": ["deaths", "foreign_troops"]}, True),
        ({"type": "foreign_troops"}, False),  # known before: this alert is not about it
        ({"countries": ["KZ", "KG"]}, True),
        ({"countries": ["AU"]}, False),  # the African Union is no country
        ({"alliances": ["AU"]}, True),
        ({"countries": ["unknown"]}, False),
        ({"severity": "severe"}, True),
        ({"severity": "extreme"}, False),
        ({"certainty": "reported"}, True),
        ({"certainty": "confirmed"}, False),  # what is new is only reported
        ({"deaths": {"min": 12}}, True),
        ({"deaths": {"min": 13}}, False),
        ({"deaths": {"min": 5, "certainty": "confirmed"}}, False),
        ({"foreign_troops": {}}, False),
        ({"countries": ["KZ"], "deaths": {"min": 5}}, True),
        ({"countries": ["KG"], "deaths": {"min": 5}}, False),
    ],
)
def test_all_keys_of_a_matcher_must_hold(wanted: dict[str, object], *, expected: bool) -> None:
    matcher = Matcher.model_validate(wanted)

    assert matches(alert(DEATHS, TROOPS, alliances=("AU",)), matcher) is expected


def test_a_government_is_matched_by_how_it_ended() -> None:
    toppled = Matcher.model_validate({"government_dismissal": {"kind": "toppled"}})
    resigned = Matcher.model_validate({"government_dismissal": {"kind": "resigned"}})

    assert matches(alert(FALLEN), toppled)
    assert not matches(alert(FALLEN), resigned)
    assert matches_any(alert(FALLEN), [resigned, toppled])


def test_type_and_certainty_are_asked_of_the_same_fact() -> None:
    sure_deaths = Matcher.model_validate({"types": ["deaths"], "certainty": "confirmed"})

    assert not matches(alert(DEATHS, FALLEN), sure_deaths)


def test_a_correction_reaches_whomever_the_wrong_figure_reached() -> None:
    fifty = Matcher.model_validate({"deaths": {"min": 50, "certainty": "confirmed"}})
    corrected = Fact(
        type="deaths",
        certainty=Certainty.REPORTED,
        changed=True,
        toll=Toll(min=9, max=9),
        was=Toll(min=62, max=62),
        was_certainty=Certainty.CONFIRMED,
    )

    assert matches(alert(corrected), fifty)


def test_a_claimed_figure_counts_where_no_certainty_is_asked() -> None:
    claimed = Fact(
        type="deaths",
        certainty=Certainty.CONFIRMED,
        changed=True,
        toll=Toll(min=9, max=9),
        claimed=Figure(toll=Toll(min=60, max=None), certainty=Certainty.REPORTED),
    )

    assert matches(alert(claimed), Matcher.model_validate({"deaths": {"min": 50}}))
    assert not matches(alert(claimed), Matcher.model_validate({"deaths": {"min": 50, "certainty": "confirmed"}}))


def test_no_country_is_matched_as_unknown() -> None:
    assert matches(alert(DEATHS, countries=()), Matcher.model_validate({"countries": ["unknown"]}))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"countries": ["UK"]}, "did you mean GB"),
        ({"countries": ["Kazakhstan"]}, "did you mean KZ"),
        ({"countries": ["EU"]}, "two capital letters"),
        ({"deaths": {"min": 0}}, "greater than or equal to 1"),
        ({"tpye": "deaths"}, "Extra inputs"),
    ],
)
def test_a_wrong_matcher_says_what_was_meant(wanted: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Matcher.model_validate(wanted)
