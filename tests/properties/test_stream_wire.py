"""The headers on a broker: CloudEvents 1.0, Kafka binding, binary mode."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from tocsin.stream.port import ALERTS, ARTICLES, DEAD_LETTERS, READINGS
from tocsin.stream.wire import headers, record_id

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")  # with the one offset that we write
RFC_3986 = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")

topics = st.sampled_from([ARTICLES, READINGS, ALERTS, DEAD_LETTERS]) | st.from_regex(r"[a-z]+\.v[1-9]", fullmatch=True)
texts = st.text(st.characters(codec="utf-8"))
ids = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=255)
zones = st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(timezone)
instants = st.datetimes(datetime(1000, 1, 3), datetime(9999, 12, 29), timezones=zones)  # noqa: DTZ001 - the strategy gives them zones


@given(topic=topics, name=ids, at=instants, key=texts)
def test_the_id_comes_back_from_the_headers(topic: str, name: str, at: datetime, key: str) -> None:
    sent = headers(topic, name, at, key)

    assert record_id(sent) == name


@given(topic=topics, name=ids, at=instants, key=texts)
def test_every_record_is_an_event_as_the_specification_wants_it(topic: str, name: str, at: datetime, key: str) -> None:
    sent = headers(topic, name, at, key)

    told = {field: value.decode() for field, value in sent}
    assert len(told) == len(sent)  # each attribute once
    assert told["ce_specversion"] == "1.0"
    assert told["content-type"] == "application/json"
    assert told["ce_id"] == name
    assert RFC_3986.fullmatch(told["ce_source"])
    assert told["ce_type"].startswith("org.tocsin.")
    assert RFC_3339.fullmatch(told["ce_time"])
    assert datetime.fromisoformat(told["ce_time"]) == at
    assert told.get("ce_subject", "") == key
    assert all(re.fullmatch(r"content-type|ce_[a-z0-9]+", field) for field in told)  # spec 3: lower case, digits
    assert all(told.values())


@given(topic=topics, name=ids, at=instants, key=texts)
def test_a_record_that_is_sent_again_is_the_same_event(topic: str, name: str, at: datetime, key: str) -> None:
    once = headers(topic, name, at, key)

    again = headers(topic, name, at.astimezone(UTC), key)

    assert again == once


def test_a_record_names_who_said_what() -> None:
    told = {
        topic: dict(headers(topic, "i", NOON, "k"))
        for topic in ("articles.v1", "readings.v1", "alerts.v1", "dead-letters.v1")
    }

    assert [(told[topic]["ce_type"], told[topic]["ce_source"]) for topic in told] == [
        (b"org.tocsin.article.v1", b"/tocsin/ingest"),
        (b"org.tocsin.reading.v1", b"/tocsin/detectors"),
        (b"org.tocsin.alert.v1", b"/tocsin/incidents"),
        (b"org.tocsin.dead-letter.v1", b"/tocsin/dead-letters"),
    ]
    assert told["alerts.v1"]["ce_time"] == b"2026-03-01T12:00:00Z"


def test_a_message_that_is_not_ours_has_no_id() -> None:
    assert record_id(None) is None
    assert record_id([]) is None
    assert record_id([("traceparent", b"00"), ("ce_id", None)]) is None
    assert record_id([("ce_id", b"")]) is None
    assert record_id([("ce_id", b"\xff")]) is None


@pytest.mark.parametrize("name", [b"a\x00b", b"a\nb", b"\x1b[2J", b"a" * 256, "\u202e".encode()])
def test_an_id_that_no_table_takes_as_a_key_is_none_of_ours(name: bytes) -> None:
    assert record_id([("ce_id", name)]) is None


def test_of_several_ids_the_last_counts() -> None:
    assert record_id([("ce_id", b"first"), ("ce_id", b"last")]) == "last"
