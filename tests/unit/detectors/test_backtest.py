"""What a change of the rules gains and loses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detectors.backtest import Change, differences
from detectors.engine import DetectorsConfig, prepare
from detectors.settings import RuleSettings

if TYPE_CHECKING:
    from detectors.engine import Engine

ARTICLES = [
    {"id": "1", "title": "Strike in Lagos", "text": ""},
    {"id": "2", "title": "Walkout in Lagos", "text": ""},
    {"id": "3", "title": "Nothing", "text": "of note"},
]


def an_engine(*words: str) -> Engine:
    rule = RuleSettings.model_validate({"id": "r", "type": "strike", "keywords": {"any": list(words)}})
    return prepare(DetectorsConfig.of([rule], DetectorsConfig.load(_config()).lexicons))


def _config() -> Any:
    from tocsin.settings import shipped

    return shipped()


def test_what_only_one_side_finds_is_gained_or_lost_with_its_evidence() -> None:
    found = list(differences(an_engine("strike"), an_engine("walkout"), ARTICLES))

    assert [[(one.article, one.change) for one in each] for each in found] == [
        [("1", Change.LOST)],
        [("2", Change.GAINED)],
        [],
    ]
    (gained,) = found[1]
    assert gained.new is not None
    assert [evidence.quote for evidence in gained.new.evidence] == ["Walkout", "Lagos"]


def test_the_same_rules_differ_in_nothing() -> None:
    engine = an_engine("strike", "walkout")

    assert [list(each) for each in differences(engine, engine, ARTICLES)] == [[], [], []]


def test_another_attribute_is_an_alteration_and_says_which() -> None:
    old = DetectorsConfig.load(_config())
    rules = [rule.model_copy(update={"lower": {}}) if rule.id == "deaths" else rule for rule in old.rules]
    text = "Drei Menschen könnten in Kabul ums Leben gekommen sein."

    (found,) = differences(
        prepare(old), prepare(DetectorsConfig.of(rules, old.lexicons)), [{"id": "1", "text": text, "lang": "de"}]
    )

    assert [one.change for one in found] == [Change.ALTERED]
    assert found[0].altered() == {"certainty": ("possible", "confirmed")}
