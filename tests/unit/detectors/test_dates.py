"""What a month or a day says of how old a happening is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from detectors.dates import FRESH_DAYS, is_past
from detectors.engine import DetectorsConfig, Engine, prepare
from detectors.scan import scan
from detectors.tokens import Sentence, split
from tocsin.settings import shipped

MONTHS = [date(2000, month, 1).strftime("%B") for month in range(1, 13)]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return prepare(DetectorsConfig.load(shipped()))


def marked(engine: Engine, text: str) -> Sentence:
    (sentence,) = split(text, field="text", language="en", abbreviations=frozenset())
    engine.tongues["en"].lexicon.mark(sentence)
    return sentence


@given(day=st.dates(date(2024, 1, 1), date(2027, 12, 31)), age=st.integers(0, 150), is_american=st.booleans())
def test_a_day_is_past_when_it_is_older_than_an_article_may_be(
    engine: Engine, day: date, age: int, is_american: bool
) -> None:
    told = f"{MONTHS[day.month - 1]} {day.day}" if is_american else f"{day.day} {MONTHS[day.month - 1]}"
    sentence = marked(engine, f"It was on {told} that they died")

    (month,) = sentence.of("month")

    assert is_past(sentence, month, day + timedelta(days=age)) == (age > FRESH_DAYS)


@given(published=st.dates(date(2024, 1, 1), date(2027, 12, 31)), ahead=st.integers(0, 5))
def test_a_month_that_has_begun_or_is_to_come_is_not_past(engine: Engine, published: date, ahead: int) -> None:
    sentence = marked(engine, f"It was in {MONTHS[(published.month - 1 + ahead) % 12]} that they died")

    (month,) = sentence.of("month")

    assert not is_past(sentence, month, published)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Im Juni hat ein Mann in Minnesota zwei Menschen getötet."),
        ("en", "In June a man killed two people in Minnesota."),
        ("fr", "En juin, un homme a tué deux personnes à Lyon."),
        ("es", "En junio murieron dos personas en un incendio en Lima."),
        ("ru", "В июне в Рязани при взрыве погибли два человека."),
    ],
)
def test_a_month_gone_by_makes_it_background(engine: Engine, language: str, text: str) -> None:
    def found(published: datetime) -> int:
        return len(scan(engine, id="1", title="", text=text, language=language, published=published).events)

    assert found(datetime(2026, 6, 20, tzinfo=UTC)) == 1
    assert found(datetime(2026, 7, 2, tzinfo=UTC)) == 1
    assert found(datetime(2026, 9, 11, tzinfo=UTC)) == 0
