"""The schemas for editors: what is shipped is right by them, what a check refuses is mostly wrong by them, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tocsin import yamlfile
from tocsin.configschemas import FILES, config_file, config_schema
from tocsin.settings import shipped

DOCS = Path(__file__).parents[2] / "docs" / "schemas" / "config"
SHIPPED = {
    "tocsin": [shipped() / "tocsin.yaml"],
    "rules": [*shipped().glob("rules/*.yaml"), *shipped().glob("packs/*.yaml")],
    "rule-tests": list(shipped().glob("rules/tests/*.yaml")),
    "lexicon": list(shipped().glob("lexicons/*.yaml")),
}


def mistakes(name: str, data: Any) -> list[str]:
    return [error.message for error in Draft202012Validator(config_schema(name)).iter_errors(data)]


@pytest.mark.parametrize("name", FILES)
def test_the_schemas_in_the_documents_are_those_of_today(name: str) -> None:
    Draft202012Validator.check_schema(config_schema(name))

    assert (DOCS / f"{name}.json").read_bytes() == config_file(name), "run `tocsin schemas --to docs/schemas`"


@pytest.mark.parametrize(("name", "path"), [(name, path) for name, paths in SHIPPED.items() for path in paths], ids=str)
def test_what_is_shipped_is_right_by_them(name: str, path: Path) -> None:
    data = json.loads(json.dumps(yamlfile.load(path).data))

    assert mistakes(name, data) == []


def test_durations_are_told_as_they_are_written() -> None:
    told = config_schema("tocsin")["$defs"]["BurstsSettings"]["properties"]

    assert told["windows"]["default"] == ["1h", "6h", "1d"]
    assert (told["history"]["default"], "format" in told["history"]) == ("28d", False)
    assert mistakes("tocsin", {"tocsin": {"workers": 3}, "bursts": {"windows": ["1h", "12h"], "warm_up": "2w"}}) == []


def test_a_word_that_is_none_and_a_value_of_the_wrong_kind_are_seen_while_one_types() -> None:
    assert mistakes("rules", {"rules": [{"id": "a", "type": "b", "keyword": {"any": ["x"]}}]})
    assert mistakes("rules", {"rules": [{"id": "a", "type": "b", "patterns": [{"find": "x", "least": "many"}]}]})
    assert mistakes("rule-tests", {"rule": "a"})
    assert mistakes("tocsin", {"bursts": {"windows": ["an hour"]}})
    assert mistakes("tocsin", {"bursts": {"window": ["1h"]}})
    assert mistakes("tocsin", {"incidents": {"quiet_after": "PT1H"}})
    assert mistakes("lexicon", {"language": "de", "scopes": {"negated": {"sideways": ["x"]}}})
