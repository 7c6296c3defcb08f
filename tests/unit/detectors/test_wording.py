from collections.abc import Collection, Set as AbstractSet

import pytest
from hypothesis import given, strategies as st

from detectors.engine import DetectorsConfig, Engine, prepare
from detectors.keywords import Keywords
from detectors.rules import compiled
from detectors.settings import RuleSettings
from detectors.tokens import fold
from detectors.wording import Wording

WORDS = ("port", "ports", "air", "airport", "shut", "down", "ß", "İd", "12")
TEXTS = st.lists(st.sampled_from([*WORDS, "Port", "SHUT", " ", " ", "-", ".", "'", "\u0301"]), max_size=12).map("".join)
PHRASES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=2).map(" ".join)


def a_rule(number: int, **way: object) -> RuleSettings:
    return RuleSettings.model_validate({"id": f"r{number}", "type": f"t{number}", **way})


def possible(rules: list[RuleSettings], text: str) -> list[str]:
    found = Wording([compiled(rule) for rule in rules]).possible({"text": text}, {"text": fold(text)}, "")
    return [rule.settings.id for rule in found]


def events(engine: Engine, text: str) -> set[str]:
    return {found.type for found in engine.examine({"text": text}, language=None).detections}


@given(text=TEXTS, phrases=st.lists(PHRASES, min_size=1, max_size=3))
def test_a_rule_that_matches_is_never_passed_over(text: str, phrases: list[str]) -> None:
    rules = [a_rule(0, keywords={"any": phrases}), a_rule(1, query=" OR ".join(f'"{phrase}"' for phrase in phrases))]
    rules += [a_rule(2, keywords={"regex": ["p.rt"]})]
    engine = prepare(DetectorsConfig.of(rules, []))

    told = events(engine, f"port {text}")

    assert told <= {f"t{name[1:]}" for name in possible(rules, f"port {text}")}
    assert {"t2"} <= told


def test_a_rule_without_its_words_is_not_even_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Keywords] = []
    may_match = Keywords.may_match

    def noted(self: Keywords, words: AbstractSet[str], texts: Collection[str]) -> bool:
        asked.append(self)
        return may_match(self, words, texts)

    monkeypatch.setattr(Keywords, "may_match", noted)
    rules = [
        a_rule(number, keywords={"any": [f"word{number}x", "port"[: number % 3 + 1] + "zz"]}) for number in range(50)
    ]
    rules += [a_rule(50, keywords={"any": ["harbour"]})]

    assert possible(rules, "The harbour is closed, said a reporter.") == ["r50"]
    assert len(asked) == 1


def test_a_word_inside_another_is_none() -> None:
    assert possible([a_rule(0, keywords={"any": ["port"]})], "An airport and a report.") == []
    assert possible([a_rule(0, keywords={"any": ["port*"]})], "An air-port, ports.") == ["r0"]


def test_a_heading_glued_to_the_text_hides_no_word() -> None:
    rules = [a_rule(0, keywords={"any": ["shut"]})]

    assert events(prepare(DetectorsConfig.of(rules, [])), "News from the harbourShut it was.") == {"t0"}


def test_a_pattern_sees_a_word_behind_a_glued_heading(engine: Engine) -> None:
    text = "Krieg im ÜberblickTote bei Angriff in Kiew"

    assert [found.type for found in engine.examine({"text": text}, language="de").detections] == ["deaths"]
