from contextlib import suppress
from functools import lru_cache

from hypothesis import given, settings, strategies as st

from detectors.engine import DetectorsConfig, Engine, prepare
from detectors.quantities import whole
from detectors.query import Query
from detectors.scan import scan
from detectors.tokens import split
from tocsin.records import Toll
from tocsin.settings import shipped

NUMBERS = st.integers(min_value=2, max_value=999_999)
SEPARATORS = st.sampled_from([".", ",", " ", "\u00a0", "\u202f", "'", ""])
WORDS = st.sampled_from(
    (
        *(
            "Tote",
            "getötet",
            "starben",
            "zwölf",
            "mindestens",
            "nicht",
            "könnte",
            "Soldaten",
            "schickt",
            "nach",
            "Mali",
        ),
        *("Regierung", "entlässt", "Präsident", ",", ".", "?", "19", "2004", "„", "“"),
    )
)


@lru_cache(maxsize=1)
def shipped_engine() -> Engine:
    return prepare(DetectorsConfig.load(shipped()))


def grouped(number: int, separator: str) -> str:
    return f"{number:,}".replace(",", separator)


@given(number=NUMBERS, separator=SEPARATORS)
def test_a_separator_changes_no_number(number: int, separator: str) -> None:
    assert whole(grouped(number, separator)) == number


@settings(deadline=None)
@given(number=NUMBERS.filter(lambda n: not 1800 <= n <= 2100), separator=SEPARATORS.filter(bool))
def test_a_toll_is_read_whatever_separates_its_digits(number: int, separator: str) -> None:
    text = f"Bei dem Erdbeben in Chile starben {grouped(number, separator)} Menschen."

    (event,) = scan(shipped_engine(), id="1", title="", text=text, language="de").events

    assert event.toll == Toll(min=number, max=number)


@settings(deadline=None)
@given(number=st.integers(min_value=2, max_value=500))
def test_bounds_open_the_interval_on_their_side(number: int) -> None:
    tolls = [
        scan(shipped_engine(), id="1", title="", text=f"{words} {number} people were killed in Chile.", language="en")
        .events[0]
        .toll
        for words in ("At least", "More than", "Up to", "About")
    ]

    assert tolls == [
        Toll(min=number, max=None),
        Toll(min=number + 1, max=None),
        Toll(min=None, max=number),
        Toll(min=number, max=number, approx=True),
    ]


@settings(deadline=None, max_examples=60)
@given(text=st.lists(WORDS, max_size=40).map(" ".join))
def test_evidence_is_always_a_piece_of_the_text(text: str) -> None:
    result = scan(shipped_engine(), id="1", title="", text=text, language="de")

    assert all(text[e.start : e.end] == e.quote for event in result.events for e in event.evidence)


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=300), language=st.sampled_from(["de", "en", "ru", "fr", "es", None]))
def test_no_text_breaks_a_detector(text: str, language: str | None) -> None:
    scan(shipped_engine(), id="1", title=text[:40], text=text, language=language)


@given(text=st.text(max_size=300))
def test_sentences_stand_where_they_say_and_in_order(text: str) -> None:
    last = 0
    for sentence in split(text, field="text", language="en", abbreviations=frozenset()):
        for word, start, end in zip(sentence.texts, sentence.starts, sentence.ends, strict=True):
            assert text[start:end] == word
            assert start >= last
            last = end


@given(text=st.text(alphabet='ab*":() ANDORNTE/5title', max_size=60))
def test_a_query_is_read_or_refused_with_its_reason(text: str) -> None:
    with suppress(ValueError):
        Query(text)
