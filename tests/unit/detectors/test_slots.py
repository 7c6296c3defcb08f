"""Types that a rule defines in YAML alone, with words of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from detectors.engine import DetectorsConfig, prepare
from detectors.scan import event_json, scan
from detectors.settings import LexiconSettings, RuleSettings

if TYPE_CHECKING:
    from detectors.engine import Engine

RULE: dict[str, Any] = {
    "id": "strikes",
    "type": "strike",
    "words": {
        "en": {"strike": ["walkout*", "strike*"], "workers": ["workers", "drivers"]},
        "de": {"strike": ["streik*"], "workers": ["arbeiter*"]},
    },
    "patterns": [
        {"find": "count workers ~4 strike", "least": 100},
        {"find": "strike ~4 place", "cost": 3},
        {"find": "count ~2 injured", "means": "others"},
    ],
    "unless": ["negated"],
}


@pytest.fixture(scope="module")
def shipped() -> tuple[LexiconSettings, ...]:
    from pathlib import Path

    return DetectorsConfig.load(Path("config")).lexicons


def an_engine(lexicons: tuple[LexiconSettings, ...], **changes: Any) -> Engine:
    rule = RuleSettings.model_validate({**RULE, **changes})
    return prepare(DetectorsConfig.of([rule], lexicons))


def told(engine: Engine, text: str, language: str = "en") -> list[dict[str, Any]]:
    events = scan(engine, id="1", title="", text=text, language=language).events
    return [
        {key: value for key, value in event_json(event).items() if key not in {"evidence", "rule"}} for event in events
    ]


def test_slots_become_the_number_and_the_country(shipped: tuple[LexiconSettings, ...]) -> None:
    engine = an_engine(shipped)

    assert told(engine, "In Lagos 300 drivers began a walkout.") == [
        {"type": "strike", "min": 300, "max": 300, "approx": False, "country": "NG", "certainty": "confirmed"}
    ]
    assert told(engine, "A walkout in Ghana went on.") == [
        {"type": "strike", "country": "GH", "certainty": "confirmed"}
    ]


def test_a_number_below_the_least_is_none(shipped: tuple[LexiconSettings, ...]) -> None:
    assert told(an_engine(shipped), "30 drivers began a walkout.") == []


def test_a_year_is_no_number(shipped: tuple[LexiconSettings, ...]) -> None:
    assert told(an_engine(shipped), "In 2022 workers announced a walkout.") == []


def test_scopes_of_the_lexicon_take_what_is_said(shipped: tuple[LexiconSettings, ...]) -> None:
    assert told(an_engine(shipped), "There was no walkout in Ghana.") == []


def test_words_of_another_language_say_nothing(shipped: tuple[LexiconSettings, ...]) -> None:
    engine = an_engine(shipped)

    assert told(engine, "Der Streik in Ghana geht weiter.", "de") != []
    assert told(engine, "Der Streik in Ghana geht weiter.", "en") == []
    assert told(engine, "La huelga en Ghana continúa.", "es") == []


def test_words_of_a_rule_hide_those_of_the_lexicon_and_of_no_other_rule(shipped: tuple[LexiconSettings, ...]) -> None:
    first = RuleSettings.model_validate({**RULE, "patterns": [{"find": "strike"}]})
    other = {"id": "o", "type": "other", "words": {"en": {"strike": ["lockout"]}}, "patterns": [{"find": "strike"}]}
    engine = prepare(DetectorsConfig.of([first, RuleSettings.model_validate(other)], shipped))

    assert [event["type"] for event in told(engine, "A lockout in Ghana.")] == ["other"]
    assert [event["type"] for event in told(engine, "A walkout in Ghana.")] == ["strike"]


def test_every_slot_is_proved_by_its_words(shipped: tuple[LexiconSettings, ...]) -> None:
    (event,) = scan(an_engine(shipped), id="1", title="", text="In Lagos 300 drivers began a walkout.").events

    assert {evidence.proves: evidence.quote for evidence in event.evidence} == {
        "min": "300",
        "workers": "drivers",
        "strike": "walkout",
        "country": "Lagos",
    }


def test_several_sentences_are_one_event_with_the_highest_number(shipped: tuple[LexiconSettings, ...]) -> None:
    text = "In Lagos 300 drivers began a walkout. By noon 900 drivers were on strike in Lagos."

    assert [event["min"] for event in told(an_engine(shipped), text)] == [900]
