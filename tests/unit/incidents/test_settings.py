from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from incidents.settings import IncidentsSettings
from incidents.severity import Situation, severity_of
from tocsin.records import Certainty, DismissalKind, Fact, Severity, Toll


def situation(*facts: Fact) -> Situation:
    return Situation(
        types=tuple(fact.type for fact in facts),
        countries=("KZ",),
        alliances=(),
        certainty=Certainty.CONFIRMED,
        facts=facts,
    )


def dead(count: int) -> Fact:
    return Fact(type="deaths", certainty=Certainty.CONFIRMED, changed=False, toll=Toll(min=count, max=count))


FALL = Fact(
    type="government_dismissal", certainty=Certainty.POSSIBLE, changed=False, kind=DismissalKind.TOPPLED, country="KZ"
)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ((dead(1),), Severity.MODERATE),
        ((dead(5),), Severity.SEVERE),
        ((dead(50),), Severity.EXTREME),
        ((dead(1), FALL), Severity.EXTREME),
        ((Fact(type="watchlist", certainty=Certainty.CONFIRMED, changed=False),), Severity.MINOR),
    ],
)
def test_the_first_level_that_fits_decides(facts: tuple[Fact, ...], expected: Severity) -> None:
    assert severity_of(situation(*facts), IncidentsSettings().severity) is expected


def test_a_rules_own_severity_only_raises() -> None:
    levels = IncidentsSettings().severity

    assert severity_of(situation(dead(1)), levels, least=Severity.SEVERE) is Severity.SEVERE
    assert severity_of(situation(dead(50)), levels, least=Severity.MINOR) is Severity.EXTREME


def test_the_operators_words_are_read() -> None:
    read = IncidentsSettings.model_validate(
        {
            "close_after": "48h",
            "recency": "36h",
            "ring_within": "2h",
            "severity": [
                {"level": "extreme", "any": [{"deaths": {"min": 50}}, {"government_dismissal": {"kind": "toppled"}}]},
                {"level": "moderate", "any": [{"type": "foreign_troops"}]},
            ],
        }
    )

    assert (read.close_after, len(read.severity)) == (timedelta(hours=48), 2)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"quiet_after": "3d"}, "longer than the one before"),
        ({"ring_within": "40h"}, "must not be longer than recency"),
        ({"severity": [{"level": "severe", "any": [{"severity": "minor"}]}]}, "decided by severity"),
        ({"severity": [{"level": "severe", "any": []}]}, "at least 1 item"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        IncidentsSettings.model_validate(wrong)
