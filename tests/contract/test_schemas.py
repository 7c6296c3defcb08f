"""The schemas say what the records are, the files in docs/ are the schemas, and no change may break who reads them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings, strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from tocsin.records import Alert, Article, DeadLetter, Reading
from tocsin.stream import codec, wire
from tocsin.stream.contract.asyncapi import asyncapi
from tocsin.stream.contract.changes import breaks
from tocsin.stream.contract.files import broken, file, names
from tocsin.stream.contract.schema import RECORDS, schema
from tocsin.stream.port import ALERTS, ARTICLES, DEAD_LETTERS, READINGS
from tocsin.testing import NOON

Json = Any
SHIPPED: Final = Path(__file__).parents[2] / "docs" / "schemas"
GOLDEN: Final = Path(__file__).parent / "golden" / "v1"
DECODERS: Final[dict[str, Callable[[bytes], object]]] = {
    ARTICLES: codec.decode_article,
    READINGS: codec.decode_reading,
    ALERTS: codec.decode_alert,
    DEAD_LETTERS: codec.decode_dead_letter,
}
INSTANTS: Final = FormatChecker(formats=())


@INSTANTS.checks("date-time", raises=ValueError)
def is_instant(value: object) -> bool:
    """RFC 3339, which jsonschema checks only where another package is installed."""
    return not isinstance(value, str) or ("T" in value and datetime.fromisoformat(value).tzinfo is not None)


VALIDATORS: Final = {topic: Draft202012Validator(schema(topic), format_checker=INSTANTS) for topic in RECORDS}

st.register_type_strategy(str, st.text(st.characters(codec="utf-8"), max_size=8))
st.register_type_strategy(int, st.integers(-(2**53), 2**53))  # what JSON carries everywhere
st.register_type_strategy(
    datetime,
    st.datetimes(
        datetime(1000, 1, 3),  # noqa: DTZ001  the strategy gives it a zone
        datetime(9999, 12, 29),  # noqa: DTZ001  the strategy gives it a zone
        timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    ),
)
records = st.one_of(*(st.from_type(record) for record in (Article, Reading, Alert, DeadLetter)))


def topic_of(record: object) -> str:
    return next(topic for topic, kind in RECORDS.items() if isinstance(record, kind))


@given(record=records)
@settings(deadline=None)
def test_every_record_comes_back_from_the_stream_and_is_what_its_schema_says(record: Article) -> None:
    topic = topic_of(record)

    value = codec.encode(record)

    assert DECODERS[topic](value) == record
    VALIDATORS[topic].validate(json.loads(value))


@pytest.mark.parametrize("topic", RECORDS)
def test_a_schema_is_a_schema(topic: str) -> None:
    Draft202012Validator.check_schema(schema(topic))


@pytest.mark.parametrize("which", ["full", "least"])
@pytest.mark.parametrize("topic", RECORDS)
def test_the_golden_records_are_what_the_schemas_say(topic: str, which: str) -> None:
    value = json.loads((GOLDEN / f"{topic.removesuffix('s.v1')}.{which}.json").read_text("utf-8"))

    VALIDATORS[topic].validate(value)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda told: told.update(v=2), "1 was expected"),
        (lambda told: told["record"].pop("headline"), "'headline' is a required property"),
        (lambda told: told["record"].update(severity="awful"), "'awful' is not one of"),
        (lambda told: told["record"].update(seen_at="yesterday"), "'yesterday' is not a 'date-time'"),
        (lambda told: told["record"]["facts"][0]["toll"].update(min="many"), "is not valid under any"),
    ],
)
def test_a_schema_refuses_what_is_no_such_record(change: Callable[[Json], object], wrong: str) -> None:
    told = json.loads((GOLDEN / "alert.full.json").read_text("utf-8"))

    change(told)

    assert any(wrong in error.message for error in VALIDATORS[ALERTS].iter_errors(told))


# ------------------------------------------------------------------------------------------- what stands in docs/


@pytest.mark.parametrize("name", names())
def test_the_shipped_files_are_what_the_records_are_now(name: str) -> None:
    shipped = (SHIPPED / name).read_bytes()

    assert shipped == file(name), "stale: write it anew with `tocsin schemas --to docs/schemas`"


def test_nothing_in_the_shipped_files_was_taken_back() -> None:
    assert broken(SHIPPED) == []


# ------------------------------------------------------------------------------------------------ what may change


def changed(change: Callable[[Json], object], topic: str = ALERTS) -> list[str]:
    new = copy.deepcopy(schema(topic))
    change(new["$defs"])
    return breaks(schema(topic), new)


def rename(fields: dict[str, Json], old: str, new: str) -> None:
    fields[new] = fields.pop(old)


def test_a_field_with_a_default_may_come() -> None:
    told = changed(lambda kinds: kinds["Alert"]["properties"].update(urgency={"type": "string", "default": ""}))

    assert told == []


def test_words_about_a_field_may_change() -> None:
    assert changed(lambda kinds: kinds["Alert"]["properties"]["late"].update(description="Otherwise.")) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda kinds: kinds["Alert"]["properties"].pop("happening"), "Alert.happening: is gone"),
        (lambda kinds: rename(kinds["Toll"]["properties"], "approx", "about"), "Toll.approx: is gone"),
        (lambda kinds: kinds["Fact"]["required"].append("quote"), "Fact.quote: may not be missing any more"),
        (
            lambda kinds: kinds["Alert"]["required"].remove("headline"),
            "Alert.headline: was never missing and may be now",
        ),
        (
            lambda kinds: (
                kinds["Alert"]["properties"].update(urgency={"type": "string"}),
                kinds["Alert"]["required"].append("urgency"),
            ),
            "Alert.urgency: is new and has no default",
        ),
        (
            lambda kinds: kinds["Alert"]["properties"]["revision"].update(type="string"),
            "Alert.revision: type was 'integer' and is 'string'",
        ),
        (
            lambda kinds: kinds["Alert"]["properties"]["types"].update(items={"type": "integer"}),
            "Alert.types[]: type was 'string' and is 'integer'",
        ),
        (
            lambda kinds: kinds["Alert"]["properties"]["late"].update(default=True),
            "Alert.late: default was False and is True",
        ),
        (
            lambda kinds: kinds["Alert"]["properties"]["seen_at"].pop("format"),
            "Alert.seen_at: format was 'date-time' and is None",
        ),
        (
            lambda kinds: kinds["Alert"]["properties"].update(happening={"type": "string", "default": None}),
            "Alert.happening: may not be null any more",
        ),
        (
            lambda kinds: kinds["Alert"]["properties"].update(
                headline={"anyOf": [{"type": "string"}, {"type": "null"}]}
            ),
            "Alert.headline: was never null and may be now",
        ),
        (lambda kinds: kinds["Step"]["enum"].remove("update"), "Step: the word 'update' is gone"),
        (
            lambda kinds: kinds["Severity"]["enum"].append("awful"),
            "Severity: the word 'awful' is new, and who reads does not know it",
        ),
    ],
)
def test_any_other_change_is_named_with_its_field(change: Callable[[Json], object], told: str) -> None:
    assert changed(change) == [told]


def test_another_version_is_no_change_but_a_topic_of_its_own() -> None:
    new = copy.deepcopy(schema(ALERTS))

    new["properties"]["v"]["const"] = 2

    assert breaks(schema(ALERTS), new) == ["v: const was 1 and is 2"]


# -------------------------------------------------------------------------------------------------------- AsyncAPI


def references(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else ())
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def found(document: Json, reference: str) -> Json:
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


def test_everything_that_the_asyncapi_document_points_at_is_in_it() -> None:
    document = asyncapi()

    assert all(found(document, reference) for reference in references(document))


def test_the_asyncapi_document_has_the_parts_that_the_specification_asks_for() -> None:
    document = asyncapi()

    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= document["info"].keys()
    assert {channel["address"] for channel in document["channels"].values()} == set(RECORDS)
    for operation in document["operations"].values():
        assert operation["action"] == "send"
        channel = found(document, operation["channel"]["$ref"])
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")
            assert found(document, message["$ref"]) in channel["messages"].values()
    assert {key.split("/")[0] for key in document["components"]} == {"messages", "schemas"}


@pytest.mark.parametrize("topic", RECORDS)
def test_a_message_is_what_the_asyncapi_document_says(topic: str) -> None:
    document = asyncapi()
    (channel,) = (one for one in document["channels"].values() if one["address"] == topic)
    (message,) = (found(document, one["$ref"]) for one in channel["messages"].values())
    value = json.loads((GOLDEN / f"{topic.removesuffix('s.v1')}.full.json").read_text("utf-8"))
    told = {name: given.decode() for name, given in wire.headers(topic, "id", NOON, "key")}

    for instance, part in ((value, message["payload"]), (told, message["headers"])):
        Draft202012Validator({**part, "components": document["components"]}, format_checker=INSTANTS).validate(instance)

    assert message["name"] == told["ce_type"]
    assert told.keys() == found(document, message["headers"]["$ref"])["properties"].keys()
