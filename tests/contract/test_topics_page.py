"""What `docs/topics.md` says of the topics is so."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Final

from jsonschema import Draft202012Validator

from tocsin.cli import COMMANDS
from tocsin.records import Alert, Certainty, DismissalKind, Fact, Severity, Step
from tocsin.stream import wire
from tocsin.stream.codec import decode_alert
from tocsin.stream.contract.schema import RECORDS, schema
from tocsin.stream.port import ALERTS
from tocsin.testing import NOON

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = (DOCS / "topics.md").read_text("utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_the_page_knows_every_topic() -> None:
    rows = re.findall(r"^\| `([a-z-]+\.v\d)` \|", PAGE, re.MULTILINE)

    assert sorted(rows) == sorted(RECORDS)


def test_the_page_knows_every_header_with_an_example_that_is_right() -> None:
    told = dict(re.findall(r"^\| `(ce_\w+|content-type)` \| `([^`]+)` \|", section("A message"), re.MULTILINE))
    sent = dict(wire.headers(ALERTS, told["ce_id"], NOON, told["ce_subject"]))

    assert told.keys() == sent.keys()
    assert {name: told[name] for name in told if name != "ce_time"} == {
        name: value.decode() for name, value in sent.items() if name != "ce_time"
    }
    assert all(f"`{known}`" in PAGE for known in (*wire.TYPES.values(), *wire.SOURCES.values()))


def test_the_record_on_the_page_is_an_alert() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)

    Draft202012Validator(schema(ALERTS)).validate(json.loads(example))
    alert = decode_alert(example.encode())

    assert alert.id in section("A message").partition("```json")[0]


def test_the_page_explains_every_field_of_an_alert_and_every_word() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", section("An alert"), re.MULTILINE)
    told = re.findall(r"`(\w+)`", " ".join(rows))

    assert sorted(told) == sorted(field.name for field in dataclasses.fields(Alert))
    for words in (Step, Severity, Certainty, DismissalKind):
        assert all(f"`{word}`" in section("An alert") for word in words)


def test_the_page_explains_every_field_of_a_fact_that_is_not_plain() -> None:
    plain = {"type", "certainty", "country", "was_certainty", "rule"}

    told = set(re.findall(r"`(\w+)`", section("An alert")))

    assert {field.name for field in dataclasses.fields(Fact)} - plain <= told


def test_what_the_page_points_at_is_there() -> None:
    links = re.findall(r"\]\((?!https:)([^)#]+)\)", PAGE)
    commands = re.findall(r"(?<![\w/])tocsin ([a-z-]+)", PAGE)

    assert [link for link in links if not (DOCS / link).exists()] == []
    assert set(commands) <= COMMANDS.keys()
