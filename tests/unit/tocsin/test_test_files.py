"""Tests of rules that stand in files of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.tocsin.conftest import Tocsin

RULE = """
rules:
  - {id: strikes, type: strike, keywords: {any: ["strike*"]}}
"""
TESTS = """
rule: strikes
language: en
tests:
  - {text: "A strike closes the port of Lagos.", expect: [{country: NG}]}
  - {text: "A strike closes the port of Lagos.", expect: [{country: GH}]}
  - {language: de, text: "Der Streik ist vorbei.", expect: []}
"""


def a_configuration(folder: Path, tests: str = TESTS) -> Path:
    (folder / "rules" / "tests").mkdir(parents=True)
    (folder / "rules" / "strikes.yaml").write_text(RULE, "utf-8")
    (folder / "rules" / "tests" / "strikes.en.yaml").write_text(tests, "utf-8")
    return folder


def test_a_test_in_a_file_of_its_own_is_run_and_told_with_its_line(tocsin: Tocsin, tmp_path: Path) -> None:
    own = a_configuration(tmp_path)

    people, programs = tocsin("test", own, "--rule", "strikes"), tocsin("test", own, "--rule", "strikes", "--json")

    assert people.code == 1
    assert f"{own}/rules/tests/strikes.en.yaml:6:" in people.out
    assert "country: expected 'GH', found 'NG'" in people.out
    assert [one["passed"] for one in json.loads(programs.out)] == [True, False, True]


def test_only_the_language_that_was_asked_for_is_tried(tocsin: Tocsin, tmp_path: Path) -> None:
    own = a_configuration(tmp_path)

    said = tocsin("test", own, "--rule", "strikes", "--language", "de")

    assert said.code == 0
    assert "SUCCESS (1 tests)" in said.out


def test_tests_for_no_rule_and_unknown_words_are_mistakes_of_the_configuration(tocsin: Tocsin, tmp_path: Path) -> None:
    own = a_configuration(tmp_path, TESTS.replace("rule: strikes", "rule: strike"))
    other = a_configuration(tmp_path / "other", TESTS.replace("text:", "txt:"))

    about_rule, about_word = tocsin("check", own), tocsin("check", other)

    assert about_rule.code == about_word.code == 1
    assert "strikes.en.yaml:2:7: there is no rule 'strike', did you mean 'strikes'?" in about_rule.out
    assert "txt" in about_word.out


def test_what_is_not_found_yet_may_wait_and_must_not_when_it_is_found(tocsin: Tocsin, tmp_path: Path) -> None:
    waiting = TESTS.replace("expect: [{country: GH}]", "expect: [{country: GH}], pending: true")
    found = waiting.replace("country: GH", "country: NG")

    first = tocsin("test", a_configuration(tmp_path / "first", waiting), "--rule", "strikes")
    second = tocsin("test", a_configuration(tmp_path / "second", found), "--rule", "strikes")

    assert (first.code, second.code) == (0, 1)
    assert "SUCCESS (3 tests, 1 pending)" in first.out
    assert "passes now: take `pending` away" in second.out
