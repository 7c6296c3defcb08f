"""What the README shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from detectors.engine import prepare
from detectors.ruletests import run_tests
from tocsin.settings import load_settings

ROOT = Path(__file__).resolve().parents[3]
BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
NAMES = ("feeds.yaml", "rules/mine.yaml", "receivers.yaml", "subscriptions.yaml")


def test_the_yaml_of_the_readme_is_a_configuration_whose_rule_tests_pass(tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / "README.md").read_text("utf-8"))
    (tmp_path / "rules").mkdir()
    for name, block in zip(NAMES, blocks, strict=True):
        (tmp_path / name).write_text(block, "utf-8")

    settings = load_settings(
        tmp_path, data_dir=tmp_path, environment={"SLACK_WEBHOOK_URL": "https://hooks.slack.example/x"}
    )
    results = [result for result in run_tests(prepare(settings.detectors)) if result.rule == "internet-shutdown"]

    assert [feed.id for feed in settings.sources.all()] == ["tagesschau"]
    assert results
    assert all(result.passed for result in results), results


def test_every_document_that_the_readme_names_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text("utf-8"))

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
