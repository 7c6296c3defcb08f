"""The commands for those who write rules: explain, eval, lint and backtest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.tocsin.conftest import Tocsin

CASE = {
    "id": "a",
    "lang": "en",
    "title": "Twelve dead in Kabul blast",
    "text": "",
    "events": [{"type": "deaths", "min": 12, "max": 12, "certainty": "confirmed", "country": "AF"}],
    "tags": ["headline_grammar"],
}
SILENT = {"id": "b", "lang": "en", "title": "No deaths in Kabul blast", "text": "", "events": []}


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(json.dumps(case) + "\n" for case in (CASE, SILENT)), "utf-8")
    return path


def test_explain_shows_what_matched_and_what_a_scope_took(tocsin: Tocsin, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(
        "Twelve people died in Kabul. Nobody was killed in Herat, police said. The weather was fine.", "utf-8"
    )

    people, programs = tocsin("explain", text), tocsin("explain", text, "--json")

    assert people.code == 0
    assert "✓ deaths" in people.out
    assert "taken by negated: “Nobody was”" in " ".join(people.out.split())
    assert "1 more sentences match nothing" in people.out
    told = json.loads(programs.out)
    assert [len(sentence["weighed"]) for sentence in told["sentences"]] == [1, 1, 0]
    assert told["events"][0]["country"] == "AF"


def test_explain_of_what_is_neither_a_file_nor_an_article_exits_2(tocsin: Tocsin) -> None:
    said = tocsin("explain", "nowhere")

    assert said.code == 2
    assert "nowhere: neither a file nor the id of an article" in said.err


def test_eval_tells_precision_recall_and_attributes(tocsin: Tocsin, cases: Path) -> None:
    people, programs = tocsin("eval", cases, "--tags"), tocsin("eval", cases, "--json")

    assert people.code == 0
    assert "tag headline_grammar" in people.out
    told = json.loads(programs.out)
    assert (told["cases"], told["exact"], told["false_alarms"]) == (2, 2, 0)
    assert told["attributes"]["deaths.country"] == {"right": 1, "of": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: no JSON"),
        ("[]", 'line 1: expected an object with "id"'),
        ('{"id": "1", "title": 3}', '"title" and "text" must be strings'),
        ('{"id": "1", "title": "x", "events": [1]}', 'expected "events"'),
    ],
)
def test_a_line_that_is_no_case_is_told_and_exits_2(tocsin: Tocsin, tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(line, "utf-8")

    said = tocsin("eval", path)

    assert said.code == 2
    assert message in said.err


def test_lint_tells_a_rule_without_a_test_and_a_word_in_every_article(
    tocsin: Tocsin, tmp_path: Path, cases: Path
) -> None:
    (tmp_path / "own" / "rules").mkdir(parents=True)
    rule = "rules:\n  - {id: mine, type: mine, words: {en: {x: [kabul]}}, patterns: [{find: x}]}\n"
    (tmp_path / "own" / "rules" / "mine.yaml").write_text(rule, "utf-8")

    said = tocsin("lint", cases, "--config", tmp_path / "own", "--coverage")

    assert said.code == 1
    assert "rule 'mine' has no test" in said.out
    assert "'kabul' (class 'x') stands in 100.0% of the en articles" in said.out
    assert "foreign_troops" in said.out


def test_backtest_tells_what_a_rule_more_would_find(tocsin: Tocsin, tmp_path: Path, cases: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name / "rules").mkdir(parents=True)
    rule = "rules:\n  - {id: k, type: k, keywords: {any: [kabul]}}\n"
    (tmp_path / "new" / "rules" / "k.yaml").write_text(rule, "utf-8")
    (tmp_path / "old" / "rules" / "k.yaml").write_text("rules: []\n", "utf-8")

    people = tocsin("backtest", cases, "--against", tmp_path / "old", "--config", tmp_path / "new")
    programs = tocsin("backtest", cases, "--against", tmp_path / "old", "--config", tmp_path / "new", "--json")

    assert people.code == 0
    assert "2 articles read, 2 differences" in people.out
    assert "words: Kabul" in people.out
    assert [json.loads(line)["change"] for line in programs.out.splitlines()] == ["gained", "gained"]
