"""JSON Schemas of configuration files, for editors that complete and check while one types (yaml-language-server)."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter

from bursts.settings import BurstsSettings
from detectors.settings import LexiconSettings, RuleFile, RuleTestFile
from incidents.settings import IncidentsSettings
from tocsin.quantities import write_duration

if TYPE_CHECKING:
    from collections.abc import Mapping


class ServiceFile(BaseModel):
    """What of `tocsin.yaml` has a schema; the key `tocsin` may hold secrets, which are written in several ways."""

    model_config = ConfigDict(extra="allow")

    bursts: BurstsSettings | None = None
    incidents: IncidentsSettings | None = None


_DURATION: Final = r"^(\d+(w|d|h|m|s|ms))+$"  # `tocsin.quantities` has the whole of it
_duration: Final = TypeAdapter(timedelta)

FOLDER: Final = "config"  # beside the schemas of the topics
FILES: Final[Mapping[str, tuple[type[BaseModel], str]]] = {
    "tocsin": (ServiceFile, "tocsin.yaml: when bursts and incidents ring. The key `tocsin` is not described here."),
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
        **{key: _as_written(value) for key, value in told.items() if key not in {"title", "description"}},
    }


def _as_written(value: Any, *, default: bool = False) -> Any:  # noqa: ANN401  JSON
    """Return a part of a schema with durations as our files have them, `1h30m`, and not as ISO 8601 has them."""
    if isinstance(value, list):
        return [_as_written(each, default=default) for each in value]
    if isinstance(value, dict):
        told = {key: _as_written(each, default=key == "default") for key, each in value.items()}
        if told.get("format") == "duration":
            del told["format"]
            told["pattern"] = _DURATION
        return told
    if default and isinstance(value, str) and re.fullmatch(r"P[T\d].*", value):
        return write_duration(_duration.validate_python(value))
    return value


def config_file(name: str) -> bytes:
    """Return the same as JSON for people."""
    return json.dumps(config_schema(name), indent=2, ensure_ascii=False).encode() + b"\n"
