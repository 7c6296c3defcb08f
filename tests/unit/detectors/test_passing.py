"""What an article speaks of only in passing does not ring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from detectors.engine import DetectorsConfig, prepare
from detectors.scan import scan
from tocsin.settings import shipped

if TYPE_CHECKING:
    from detectors.engine import Engine
    from detectors.scan import ScanResult

DEED = "Twelve people were killed in Kabul."
DULL = "The season was long and the orchestra played well in every hall."


@pytest.fixture(scope="module")
def engine() -> Engine:
    return prepare(DetectorsConfig.load(shipped()))


def read(engine: Engine, *sentences: str, title: str = "A season of music") -> ScanResult:
    return scan(engine, id="1", title=title, text=" ".join(sentences), language="en")


def test_what_stands_deep_in_an_article_about_something_else_is_in_passing(engine: Engine) -> None:
    result = read(engine, *[DULL] * 10, DEED)

    assert result.events == ()
    assert [explanation.reason for explanation in result.explanations] == ["in_passing"]


@pytest.mark.parametrize(
    ("title", "opening"),
    [("Many die in Kabul blast", DULL), ("A season of music", "The blast left several people dead.")],
)
def test_an_article_that_tells_of_the_dead_at_the_top_may_count_them_a_little_below(
    engine: Engine, title: str, opening: str
) -> None:
    assert len(read(engine, opening, *[DULL] * 5, DEED, title=title).events) == 1


def test_what_an_article_is_about_is_told_of_at_its_top(engine: Engine) -> None:
    result = read(engine, "An explosion shook the city.", *[DULL] * 10, DEED, title="Blast shakes Kabul")

    assert result.events == ()


def test_near_the_top_nothing_is_in_passing(engine: Engine) -> None:
    assert len(read(engine, *[DULL] * 3, DEED).events) == 1


def test_one_report_of_unrest_tells_of_its_soldiers_below(engine: Engine) -> None:
    sent = "Canada sent 300 troops to Latvia."

    assert {event.type for event in read(engine, DEED, *[DULL] * 10, sent).events} == {"deaths", "foreign_troops"}
    assert read(engine, *[DULL] * 10, sent).events == ()
