"""docs/configuration.md against the models: no key without its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
from pydantic import BaseModel

from bursts.settings import BurstsSettings
from detectors.settings import LexiconSettings, RuleFile
from incidents.settings import IncidentsSettings
from ingest.settings import SourcesSettings
from notifier.settings import NotifierSettings
from tocsin.settings import TocsinSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"
ROOTS = (
    TocsinSettings,
    SourcesSettings,
    BurstsSettings,
    IncidentsSettings,
    NotifierSettings,
    RuleFile,
    LexiconSettings,
)


def models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from models(field.annotation)
    for argument in get_args(annotation):
        yield from models(argument)


@pytest.mark.parametrize("root", ROOTS)
def test_every_key_of_every_file_is_described(root: type[BaseModel]) -> None:
    text = re.sub(r"```.*?```", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    words = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]+)`", text))))

    keys = {field.alias or name for model in models(root) for name, field in model.model_fields.items()}

    assert keys - words == set()
