"""The log stays readable whatever is said how often, and nothing is held back that nobody hears of."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import structlog
from hypothesis import given, strategies as st

from tocsin import logs
from tocsin.repeats import REMEMBERED, WINDOW_S, Repeats


class Hand:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


pauses = st.lists(st.floats(0, 100, allow_nan=False) | st.just(0.001), min_size=1, max_size=300)


@given(first=st.integers(1, 12), pauses=pauses)
def test_each_line_is_said_or_counted_and_no_minute_is_full(first: int, pauses: list[float]) -> None:
    now = Hand()
    repeats = Repeats(first, now=now)
    said: list[float] = []
    counted = held = 0

    for pause in pauses:
        now.at += pause
        before = repeats.held_back("thing")
        if before is None:
            held += 1
        else:
            said.append(now.at)
            counted += before

    assert len(said) + held == len(pauses)
    assert counted <= held
    for at in said:
        assert sum(at <= other < at + WINDOW_S for other in said) <= 2 * first


@given(first=st.integers(1, 5), flood=st.integers(20, 200))
def test_what_was_held_back_is_told_a_minute_later(first: int, flood: int) -> None:
    now = Hand()
    repeats = Repeats(first, now=now)
    told = [repeats.held_back("thing") for _ in range(flood)]
    now.at += WINDOW_S

    later, afterwards = repeats.held_back("thing"), repeats.held_back("thing")

    assert told == [0] * first + [None] * (flood - first)
    assert later == flood - first
    assert afterwards is None  # still in flood: one a minute is enough


@given(names=st.lists(st.text(max_size=3), max_size=100))
def test_one_thing_does_not_hold_back_another(names: list[str]) -> None:
    repeats = Repeats(1, now=lambda: 0.0)

    said = [name for name in names if repeats.held_back(name) is not None]

    assert said == list(dict.fromkeys(names))


def test_what_is_remembered_is_bounded() -> None:
    repeats = Repeats(1, now=lambda: 0.0)

    for number in range(REMEMBERED * 2):
        repeats.held_back(number)

    assert len(repeats._things) == REMEMBERED


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Hand:
    hand = Hand()
    monkeypatch.setattr(logs, "Repeats", partial(Repeats, now=hand))
    return hand


@pytest.fixture
def lines(now: Hand) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    assert now.at == 0.0
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    logs.configure(stream=stream, json=True)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_library_in_a_loop_is_heard_twice(lines: Callable[[], list[dict[str, Any]]]) -> None:
    library = logging.getLogger("aiokafka.consumer")

    for number in range(10_000):
        library.error("Unable connect to node with id %s: %s", number, "refused")
    library.error("something else")

    assert [line["event"] for line in lines()] == [
        "Unable connect to node with id 0: refused",
        "Unable connect to node with id 1: refused",
        "something else",
    ]


def test_how_many_were_held_back_is_said(lines: Callable[[], list[dict[str, Any]]], now: Hand) -> None:
    library = logging.getLogger("some.library")

    for _ in range(50):
        library.warning("again")
    now.at += WINDOW_S
    library.warning("again")

    assert [line.get("held_back") for line in lines()] == [None, None, 48]


def test_our_own_floods_are_held_back_for_each_that_they_are_about(
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    log = structlog.get_logger()

    for _ in range(1_000):
        log.warning("store unavailable", reason="connection refused")
        log.warning("feed failed", feed="a", reason="HTTP 503")
    log.warning("feed failed", feed="b", reason="HTTP 503")

    said = [(line["event"], line.get("feed")) for line in lines()]
    assert said.count(("store unavailable", None)) == logs.OURS_FIRST
    assert said.count(("feed failed", "a")) == logs.OURS_FIRST
    assert said.count(("feed failed", "b")) == 1


def test_what_went_right_is_told_as_often_as_it_does(lines: Callable[[], list[dict[str, Any]]]) -> None:
    log = structlog.get_logger()

    for number in range(100):
        log.info("message delivered", number=number)

    assert len(lines()) == 100
