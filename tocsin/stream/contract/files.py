"""The contract as files, by name; `docs/schemas` holds the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from tocsin.stream.contract.asyncapi import asyncapi
from tocsin.stream.contract.changes import breaks
from tocsin.stream.contract.schema import RECORDS, schema

if TYPE_CHECKING:
    from pathlib import Path

ASYNCAPI: Final = "asyncapi.json"
SUFFIX: Final = ".json"


def names() -> tuple[str, ...]:
    """Return what there is: a schema for each topic, and the AsyncAPI document."""
    return (*(f"{topic}{SUFFIX}" for topic in RECORDS), ASYNCAPI)


def file(name: str) -> bytes:
    """Return the file *name*, which is one of `names`, as JSON for people."""
    made = asyncapi() if name == ASYNCAPI else schema(name.removesuffix(SUFFIX))
    return json.dumps(made, indent=2, ensure_ascii=False).encode() + b"\n"


def broken(folder: Path) -> list[str]:
    """Return what the schemas in *folder* promise and we do not keep any more; of a file that is missing nothing."""
    return [
        f"{topic}: {what}"
        for topic in RECORDS
        if (there := folder / f"{topic}{SUFFIX}").exists()
        for what in breaks(json.loads(there.read_text("utf-8")), schema(topic))
    ]
