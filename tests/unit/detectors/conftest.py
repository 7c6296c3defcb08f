from collections.abc import Callable

import pytest

from detectors.engine import DetectorsConfig, Engine, prepare
from detectors.scan import scan
from tocsin.records import Detection
from tocsin.settings import shipped

PUBLISHED = "2025-07-14"


@pytest.fixture(scope="session")
def engine() -> Engine:
    return prepare(DetectorsConfig.load(shipped()))


@pytest.fixture(scope="session")
def told(engine: Engine) -> Callable[..., str]:
    """Return what writes down in one line what a text tells: `deaths: 24.. KZ confirmed + troops: RU>KZ possible`."""

    def tell(title: str, text: str, *, language: str) -> str:
        found = scan(engine, id="x", title=title, text=text, language=language, published=PUBLISHED)
        return " + ".join(_shown(event) for event in found.events)

    return tell


def _shown(found: Detection) -> str:
    if found.type == "deaths":
        low, high = (found.toll.min, found.toll.max) if found.toll else (None, None)
        count = str(low) if low == high else f"{'' if low is None else low}..{'' if high is None else high}"
        words = ["deaths:", count, found.country]
    elif found.type == "foreign_troops":
        words = ["troops:", f"{','.join(sorted(sender.code for sender in found.senders))}>{found.country}"]
    else:
        words = ["government:", found.country, str(found.kind)]
    return " ".join(word for word in (*words, found.certainty.value) if word)
