"""A JSON Schema for the records of each topic, made of the records and of what their docstrings say."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar, get_type_hints

import msgspec

from tocsin import records
from tocsin.records import Alert, Article, DeadLetter, Reading
from tocsin.stream.codec import VERSION
from tocsin.stream.port import ALERTS, ARTICLES, DEAD_LETTERS, READINGS
from tocsin.stream.wire import TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

Schema: TypeAlias = dict[str, Any]
T = TypeVar("T")

RECORDS: Final[Mapping[str, type]] = {
    ARTICLES: Article,
    READINGS: Reading,
    ALERTS: Alert,
    DEAD_LETTERS: DeadLetter,
}
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
DEFINED: Final = "#/$defs/{name}"
TITLE: Final = "What a record on {topic} is: its version and the record itself."
SAYS: Final = (
    "A reader ignores fields it does not know and takes the default of one that is missing; it refuses any other `v`."
)

_SENTENCES: Final = re.compile(r"(?<=\.)\s+(?=[A-Z`])")
_NAMED: Final = re.compile(r"`(\w+)`|\*(\w+)\*")


class _Envelope(msgspec.Struct, Generic[T]):
    v: int
    record: T


def schema(topic: str) -> Schema:
    """Return the JSON Schema (2020-12) of the values on *topic*; a field that may be missing has a default in it."""
    made, defined = _made(topic, DEFINED)
    return {
        "$schema": DIALECT,
        "title": TYPES[topic],
        "description": f"{TITLE.format(topic=topic)} {SAYS}",
        **made,
        "$defs": defined,
    }


def parts(template: str) -> tuple[dict[str, Schema], Schema]:
    """Return the envelope of each topic, and all that they are made of; `{name}` of *template* is where that stands."""
    envelopes: dict[str, Schema] = {}
    defined: Schema = {}
    for topic in RECORDS:
        envelope, needed = _made(topic, template)
        envelopes[topic] = {"title": TYPES[topic], "description": f"{TITLE.format(topic=topic)} {SAYS}", **envelope}
        defined |= needed
    return envelopes, dict(sorted(defined.items()))


def _made(topic: str, template: str) -> tuple[Schema, Schema]:
    record = RECORDS[topic]
    _, defined = msgspec.json.schema_components([_Envelope[record]], ref_template=template)  # type: ignore[valid-type]  # a class by its name
    told = {name: _told(name, made) for name, made in sorted(_plain(defined).items()) if hasattr(records, name)}
    envelope: Schema = {
        "type": "object",
        "properties": {
            "v": {"description": "The version of the schema: a topic has one.", "const": VERSION},
            "record": {"$ref": template.format(name=record.__name__)},
        },
        "required": ["v", "record"],
    }
    return envelope, told


def _plain(defined: Mapping[str, Schema]) -> Mapping[str, Schema]:
    """Return *defined* as JSON would bring it back: a default that is a tuple is a list there."""
    plain: Mapping[str, Schema] = msgspec.json.decode(msgspec.json.encode(defined))
    return plain


def _told(name: str, made: Schema) -> Schema:
    """Add to what msgspec makes of the class *name* what it does not: order, formats, and words for each field."""
    kind: type = getattr(records, name)
    says = _sentences(kind)
    made = {**made, "description": " ".join(says)}
    if issubclass(kind, enum.Enum):
        return {**made, "type": "string", "enum": [each.value for each in kind]}
    instants = {field for field, hint in get_type_hints(kind).items() if _is_instant(hint)}
    properties = {}
    # In the order in which they are written, which is that of the class, required or not.
    assert dataclasses.is_dataclass(kind)
    for field in (each.name for each in dataclasses.fields(kind)):
        shape = made["properties"][field]
        if field in instants:
            shape = _as_instant(shape)
        about = [sentence for sentence in says if any(field in pair for pair in _NAMED.findall(sentence))]
        properties[field] = {"description": " ".join(about), **shape} if about else shape
    return {**made, "properties": properties}


def _sentences(kind: type) -> list[str]:
    """Return what the docstring of *kind* says, in the words of JSON; what only Python's reader needs is left out."""
    text = " ".join((inspect.getdoc(kind) or "").split())
    return [re.sub(r"\bNone\b", "null", one) for one in _SENTENCES.split(text) if "`rank`" not in one]


def _is_instant(hint: object) -> bool:
    return hint is datetime or datetime in getattr(hint, "__args__", ())


def _as_instant(shape: Schema) -> Schema:
    """Say that the text in *shape* is an instant: RFC 3339, and ours are always in UTC."""
    if "anyOf" in shape:
        return {**shape, "anyOf": [_as_instant(one) if one["type"] == "string" else one for one in shape["anyOf"]]}
    return {**shape, "format": "date-time"}
