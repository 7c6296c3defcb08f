"""What is doubtful in rules and lexicons."""

from __future__ import annotations

from typing import Any

from detectors.engine import DetectorsConfig
from detectors.lint import coverage, frequent
from detectors.settings import LexiconSettings, RuleSettings


def a_configuration(**classes: dict[str, list[str]]) -> DetectorsConfig:
    rule = RuleSettings.model_validate({"id": "r", "type": "t", "patterns": [{"find": "dying|killing ~3 count"}]})
    lexicons = [
        LexiconSettings.model_validate({"language": language, "classes": some}) for language, some in classes.items()
    ]
    return DetectorsConfig.of([rule], lexicons)


def an_article(text: str, language: str = "en") -> dict[str, Any]:
    return {"id": "1", "title": "", "text": text, "lang": language}


def test_forms_of_one_word_are_one_lemma_and_what_is_kept_out_is_none() -> None:
    config = a_configuration(
        en={"dying": ["perish*", "perished", "lost their lives", "!dying embers"], "killing": ["kill|kills|killed"]}
    )

    (one,) = coverage(config)

    assert (one.lemmas, one.forms) == (3, 6)


def test_classes_that_no_pattern_asks_for_do_not_count() -> None:
    (one,) = coverage(a_configuration(en={"dying": ["perish"], "sport": ["goal"]}))

    assert one.lemmas == 1


def test_a_word_in_many_articles_is_told_with_its_share() -> None:
    config = a_configuration(en={"dying": ["perish", "die"]})
    articles = [an_article("They die."), an_article("They die and perish."), an_article("They laugh.")]

    found = frequent(config, articles, share=0.5, abroad=0.5)

    assert [(one.words, one.name, round(one.share, 2)) for one in found] == [("die", "dying", 0.67)]


def test_a_word_that_is_common_in_another_language_is_told_with_its_own() -> None:
    config = a_configuration(en={"dying": ["die"]}, de={"dying": ["sterben"]})

    (found,) = frequent(config, [an_article("Die Sonne scheint.", "de")], share=0.5, abroad=0.5)

    assert (found.words, found.language, found.read_as) == ("die", "de", "en")


def test_a_word_that_both_languages_have_is_no_collision() -> None:
    config = a_configuration(en={"dying": ["opus"]}, de={"dying": ["opus"]})

    assert [one.read_as for one in frequent(config, [an_article("opus", "de")], share=0.5, abroad=0.5)] == [None]
