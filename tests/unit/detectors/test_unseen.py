import unicodedata
from collections.abc import Callable

import pytest

from detectors.anatomy import anatomy
from detectors.engine import Engine
from detectors.unseen import cleaned

PLAIN = "Twelve people were killed in an explosion in Kyiv."


@pytest.mark.parametrize(
    "unseen", ["\u200b", "\u200d", "\u00ad", "\u200e", "\u200f", "\u202e", "\u2060", "\ufeff", "\ufe0f"]
)
def test_a_character_that_nobody_sees_hides_no_event(told: Callable[..., str], unseen: str) -> None:
    text = unseen.join(PLAIN)

    assert told("", text, language="en") == told("", PLAIN, language="en") == "deaths: 12 UA confirmed"


def test_the_evidence_is_quoted_as_it_stands(engine: Engine) -> None:
    text = "At noon twelve people were kil\u200bled in Ky\u00adiv.\n\nNothing else."

    found = engine.examine({"text": text}, language="en")

    (event,) = found.detections
    assert {evidence.quote for evidence in event.evidence} == {"twelve", "kil\u200bled", "Ky\u00adiv"}
    assert all(text[evidence.start : evidence.end] == evidence.quote for evidence in event.evidence)
    assert found.document is not None
    assert [s.source[s.starts[0] : s.ends[-1]] for s in found.document.sentences] == text.split("\n\n")


def test_an_accent_by_itself_and_a_stress_are_put_right(told: Callable[..., str]) -> None:
    german = "Bei einem Zugunglück in München sind zwölf Menschen getötet worden."
    russian = "В Ки\u0301еве поги\u0301бли двена\u0301дцать человек."

    assert told("", unicodedata.normalize("NFD", german), language="de") == told("", german, language="de") != ""
    assert told("", russian, language="ru") == told("", russian.replace("\u0301", ""), language="ru") != ""


def test_a_dissection_shows_the_text_as_it_was(engine: Engine) -> None:
    text = "Twelve people were kil\u200bled in Kyiv."

    (sentence,) = anatomy(engine, {"text": text}, language="en").sentences

    assert sentence.text == text


def test_a_letter_with_ten_thousand_accents_is_one_letter() -> None:
    assert cleaned("a" + "\u0301\u0316" * 5000 + "b")[0] == "áb"
