"""JSON Schemas of configuration files, for editors that complete and check while one types (yaml-language-server)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from detectors.settings import LexiconSettings, RuleFile, RuleTestFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

FOLDER: Final = "config"  # beside the schemas of the topics
FILES: Final[Mapping[str, tuple[type[BaseModel], str]]] = {
    "rules": (RuleFile, "rules/*.yaml and packs/*.yaml: what is looked for. The words are in docs/configuration.md."),
    "rule-tests": (RuleTestFile, "rules/tests/*.yaml: what one rule must find."),
    "lexicon": (LexiconSettings, "lexicons/<language>.yaml: the words of one language."),
}


def config_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one kind of file, one of `FILES`."""
    model, about = FILES[name]
    told = model.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "description": about,
        **{key: value for key, value in told.items() if key not in {"title", "description"}},
    }


def config_file(name: str) -> bytes:
    """Return the same as JSON for people."""
    return json.dumps(config_schema(name), indent=2, ensure_ascii=False).encode() + b"\n"
