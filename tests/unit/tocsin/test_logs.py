from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given, strategies as st

from tocsin import logs
from tocsin.testing import NOON

SECRET = "s3cr3t-value"  # noqa: S105 - the one that must not be seen


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    levels = {name: logging.getLogger(name).level for name in logs.CAPS}
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    logs._hidden.clear()
    logs._hidden_pattern = None


def fail(body: str) -> None:
    raise ValueError(f"GET https://example.org/?token={SECRET}&page={len(body)} failed")


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_lines_are_json_with_a_time_in_utc() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)

    structlog.get_logger().warning("feed failed", feed="wire", status=503)

    (line,) = lines_of(stream)
    assert line.pop("time").endswith("Z")
    assert line == {"event": "feed failed", "level": "warning", "feed": "wire", "status": 503}


def test_a_librarys_lines_look_like_ours() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)

    logging.getLogger("some.library").error("cannot reach %s", f"https://user:{SECRET}@example.org/feed")

    (line,) = lines_of(stream)
    assert line["event"] == "cannot reach https://***@example.org/feed"
    assert (line["level"], line["logger"]) == ("error", "some.library")


def test_a_person_at_a_terminal_gets_no_json() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream, json=False)

    structlog.get_logger().info("feed failed", feed="wire")

    assert "feed failed" in stream.getvalue()
    assert "feed=wire" in stream.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_is_shown_without_local_variables_and_masked(as_json: bool) -> None:
    stream = io.StringIO()
    logs.configure(stream=stream, json=as_json)

    try:
        fail("article body")
    except ValueError as error:
        structlog.get_logger().error("stage crashed", exc_info=error)
        logging.getLogger("library").exception("crashed too")

    text = stream.getvalue()
    assert text.count("ValueError: GET https://example.org/?token=***&page=12 failed") == 2
    assert "test_logs.py" in text
    assert SECRET not in text
    assert "locals" not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"https://user:{SECRET}@example.org/a?b=c", "https://***@example.org/a?b=c"),
        (f"https://example.org/a?page=2&api_key={SECRET}#x", "https://example.org/a?page=2&api_key=***#x"),
        (f"https://example.org/a?access_token={SECRET}", "https://example.org/a?access_token=***"),
        (f"posted to https://hooks.slack.com/services/T0/B0/{SECRET}", "posted to https://hooks.slack.com/***"),
        (f"slack://{SECRET}/x/y failed", "slack://*** failed"),
        (f"tgram://bot:{SECRET}/chat", "tgram://***"),
        (f"mailtos://me:{SECRET}@example.org", "mailtos://***"),
        (f"postgresql+psycopg://tocsin:{SECRET}@db/tocsin", "postgresql+psycopg://***@db/tocsin"),
        (f"Authorization: Bearer {SECRET}", "Authorization: Bearer ***"),
        (f"xoxb-12-{SECRET} was refused", "*** was refused"),
        ("https://example.org/feed?section=world", "https://example.org/feed?section=world"),
        ("Bearer of bad news", "Bearer of bad news"),
        ("mail to desk@example.org", "mail to desk@example.org"),
    ],
)
def test_secrets_are_known_by_their_form(text: str, shown: str) -> None:
    assert logs.without_secrets(text) == shown


def test_secrets_are_known_by_their_key_wherever_they_are_nested() -> None:
    given = {
        "smtp_password": SECRET,
        "headers": {"Authorization": SECRET, "Accept": "text/xml"},
        "tokens": [SECRET, SECRET],
        "attempts": 3,
        "error": ValueError(f"https://a:{SECRET}@b"),
        "path": ("https://example.org", f"https://x:{SECRET}@example.org"),
    }

    shown = logs.masked(None, "info", dict(given))

    assert shown == {
        "smtp_password": "***",
        "headers": {"Authorization": "***", "Accept": "text/xml"},
        "tokens": "***",
        "attempts": 3,
        "error": "https://***@b",
        "path": ["https://example.org", "https://***@example.org"],
    }


def test_a_secret_of_the_configuration_is_masked_in_any_form_of_line() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    logs.hide([SECRET, f"{SECRET}-and-more", "a", "", "p@ss/word"])

    structlog.get_logger().info(f"sent {SECRET}-and-more", reason=f"535 {SECRET}: no", url="ntfy/p%40ss%2Fword")

    (line,) = lines_of(stream)
    assert (line["event"], line["reason"], line["url"]) == ("sent ***", "535 ***: no", "ntfy/***")


def test_talkative_libraries_are_capped_whatever_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("apprise"), "propagate", True)  # a send that still hangs holds it back
    stream = io.StringIO()
    logs.configure(stream=stream, level="debug")

    logging.getLogger("apprise").debug("POST %s", SECRET)
    logging.getLogger("aiohttp.access").critical("GET /")
    logging.getLogger("sqlalchemy.engine").info("SELECT 1")
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("apprise").warning("refused")
    structlog.get_logger().debug("polled")

    assert [line["event"] for line in lines_of(stream)] == ["refused", "polled"]


def test_configuring_twice_does_not_double_the_lines() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.configure(stream=first)
    logs.configure(stream=second)

    logging.getLogger("library").error("once")

    assert first.getvalue() == ""
    assert len(lines_of(second)) == 1


def test_warnings_become_lines() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)

    assert "old ways" in stream.getvalue()


def test_a_reader_that_went_away_takes_nobody_along() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)
    stream.close()

    structlog.get_logger().error("nobody hears this")
    logging.getLogger("library").error("nor this")


@given(text=st.text(max_size=200))
def test_masking_leaves_plain_text_alone(text: str) -> None:
    plain = text.replace("://", "").replace("xox", "").replace("Bearer", "").replace("Basic", "")

    assert logs.without_secrets(plain) == plain or "bearer" in plain.lower() or "basic" in plain.lower()


def test_an_instant_is_written_as_iso_8601() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream)

    structlog.get_logger().info("message put off", until=NOON)

    (line,) = lines_of(stream)
    assert line["until"] == "2026-03-04T12:00:00+00:00"
