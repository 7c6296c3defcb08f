"""`the attack that killed twelve`: below the opening, what is named as known is no news."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from detectors.engine import DetectorsConfig, prepare
from detectors.scan import scan
from tocsin.settings import shipped

if TYPE_CHECKING:
    from detectors.engine import Engine

TITLE = {
    "en": ("Unrest in Lyon", "The streets were full. Shops were shut."),
    "de": ("Unruhen in Lyon", "Die Straßen waren voll. Läden waren geschlossen."),
    "fr": ("Troubles à Lyon", "Les rues étaient pleines. Les magasins étaient fermés."),
    "es": ("Disturbios en Lyon", "Las calles estaban llenas. Las tiendas estaban cerradas."),
}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return prepare(DetectorsConfig.load(shipped()))


def tolls(engine: Engine, language: str, sentence: str, *, below: bool) -> list[int | None]:
    title, dull = TITLE[language]
    text = f"{dull} {sentence}" if below else sentence
    events = scan(engine, id="1", title=title, text=text, language=language).events
    return [event.toll.min for event in events if event.toll is not None]


KNOWN = [
    ("en", "Police are looking into the attack in Nice that killed 86 people.", 86),
    ("de", "Die Polizei untersucht den Anschlag in Nizza, bei dem 86 Menschen starben.", 86),
    ("fr", "La police étudie l'attentat de Nice qui a fait 86 morts.", 86),
    ("es", "La policía investiga el atentado de Niza, en el que murieron 86 personas.", 86),
]
NEWS = [
    ("en", "Police reported an attack in Nice that killed 86 people.", 86),
    ("de", "Die Polizei meldete einen Anschlag in Nizza, bei dem 86 Menschen starben.", 86),
    ("de", "Bei dem Anschlag in der Stadt Nizza kamen 86 Menschen ums Leben.", 86),
    ("fr", "La police a signalé un attentat à Nice qui a fait 86 morts.", 86),
    ("es", "La policía informó de un atentado en Niza en el que murieron 86 personas.", 86),
]


@pytest.mark.parametrize(("language", "sentence", "toll"), KNOWN)
def test_what_is_named_as_known_is_no_news_below_the_opening(
    engine: Engine, language: str, sentence: str, toll: int
) -> None:
    assert tolls(engine, language, sentence, below=True) == []
    assert tolls(engine, language, sentence, below=False) == [toll]


@pytest.mark.parametrize(("language", "sentence", "toll"), NEWS)
def test_what_is_named_as_new_is_news_wherever_it_stands(
    engine: Engine, language: str, sentence: str, toll: int
) -> None:
    assert tolls(engine, language, sentence, below=True) == [toll]
