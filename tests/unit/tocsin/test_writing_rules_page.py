"""What the page on writing rules says is so: each of its blocks is taken from it and run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.tocsin.conftest import Tocsin

PAGE = (Path(__file__).parents[3] / "docs" / "writing-rules.md").read_text("utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
RULES, TESTS = BLOCKS[:-1], BLOCKS[-1]
DENIED = b"Officials denied that the internet was shut down in Togo."


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    (folder / "rules" / "tests").mkdir(parents=True)
    return folder


def save(mine: Path, rule: str) -> None:
    (mine / "rules" / "netcut.yaml").write_text(rule, "utf-8")


@pytest.mark.parametrize("rule", RULES, ids=["words", "query", "scopes", "patterns"])
def test_each_rule_on_the_way_is_right_and_rings(tocsin: Tocsin, mine: Path, rule: str) -> None:
    save(mine, rule)

    assert tocsin("check", mine).out == ""
    assert "netcut" in tocsin("scan", "--config", mine, "-", given=b"Internet shutdown in Gabon after the vote.").out


def test_the_query_rings_on_a_denial_and_its_scopes_do_not(tocsin: Tocsin, mine: Path) -> None:
    save(mine, RULES[1])
    assert "confirmed" in tocsin("scan", "--config", mine, "-", given=DENIED).out

    save(mine, RULES[2])
    assert "nothing found" in tocsin("scan", "--config", mine, "-", given=DENIED).out
    assert "denied" in tocsin("explain", "--config", mine, "-", given=DENIED).out


def test_the_tests_of_the_page_pass_with_its_last_rule_and_not_with_the_one_before(tocsin: Tocsin, mine: Path) -> None:
    (mine / "rules" / "tests" / "netcut.yaml").write_text(TESTS, "utf-8")

    save(mine, RULES[2])
    assert tocsin("test", mine, "--rule", "netcut").code == 1

    save(mine, RULES[3])
    assert tocsin("test", mine, "--rule", "netcut").out.count("SUCCESS (6 tests)") == 1
