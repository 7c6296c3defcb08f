"""Regular expressions of operators: linear, whatever they are, or told as none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from detectors.engine import DetectorsConfig, prepare
from detectors.regex import Regex
from detectors.scan import scan
from detectors.settings import RuleSettings
from tocsin.errors import SettingsInvalid
from tocsin.settings import shipped


def told(text: str, **keywords: Any) -> list[str]:
    rule = RuleSettings.model_validate({"id": "r", "type": "t", "keywords": keywords})
    engine = prepare(DetectorsConfig.of([rule], DetectorsConfig.load(shipped()).lexicons))
    events = scan(engine, id="1", title="", text=text, language="en").events
    return [evidence.quote for event in events for evidence in event.evidence if evidence.proves == "words"]


def test_an_expression_stands_beside_words() -> None:
    regex = ["(flight|airline) [a-z]{2} ?[0-9]{3,4}"]

    assert told("Contact with Flight KL 1702 was lost.", regex=regex) == ["Flight KL 1702"]
    assert told("Contact with a plane was lost.", regex=regex) == []
    assert told("A plane is late. Contact with Flight KL 1702 was lost.", any=["plane"], regex=regex) == [
        "plane",
        "Flight KL 1702",
    ]


def test_an_expression_reads_one_sentence_at_a_time_and_counts_whole_words() -> None:
    assert told("The port. Closed it was.", regex=["port.{1,5}closed"]) == []
    assert told("The airports closed.", regex=["port"]) == ["airports"]


def test_words_that_must_not_be_there_count_for_expressions_too() -> None:
    assert told("Flight KL 1702, an exercise.", regex=["kl [0-9]+"], none=["exercise"]) == []


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(?=x)y", "invalid perl operator: (?= (it has no look-around"),
        (r"(a)\1", "invalid escape sequence"),
        ("(", "missing )"),
        ("x*", "fits an empty text"),
        (r"\w+ing", "knows letters of English only"),
        ("((a{1,100}){1,100}){1,100}", "RE2 cannot run"),
    ],
)
def test_what_cannot_be_run_says_why(expression: str, message: str) -> None:
    rule = RuleSettings.model_validate({"id": "r", "type": "t", "keywords": {"regex": [expression]}})

    with pytest.raises(SettingsInvalid) as caught:
        prepare(DetectorsConfig.of([rule], []))

    assert message in str(caught.value)


def test_what_is_slow_elsewhere_is_linear_here() -> None:
    assert not Regex("(a|a)+$b|(x+x+)+y").is_in("a" * 1_000_000 + "x" * 1_000_000)


@given(st.text(max_size=50), st.text(max_size=50))
def test_places_are_those_of_the_text_in_characters(before: str, after: str) -> None:
    text = f"{before}needle{after}"

    assert all(text[start:end].lower() == "needle" for start, end in Regex("needle").places(text))
    assert Regex("needle").is_in(text)
