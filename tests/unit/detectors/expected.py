"""Events as a test of one language expects them, and as the shipped rules and lexicon find them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from detectors.scan import event_json, scan

if TYPE_CHECKING:
    from detectors.engine import Engine

PUBLISHED: Final = "2026-03-10T08:00:00+00:00"


def deaths(
    low: int | None, high: int | None, certainty: str, country: str, *, approx: bool = False
) -> dict[str, object]:
    """So many dead."""
    return {"type": "deaths", "min": low, "max": high, "approx": approx, "certainty": certainty, "country": country}


def troops(senders: list[str], to: str | None, certainty: str) -> dict[str, object]:
    """Troops of others in a country."""
    return {"type": "foreign_troops", "from": senders, "to": to, "certainty": certainty}


def dismissal(country: str, kind: str, certainty: str) -> dict[str, object]:
    """A government, or a minister, dismissed."""
    return {"type": "government_dismissal", "country": country, "kind": kind, "certainty": certainty}


def events(engine: Engine, title: str, text: str, *, language: str) -> list[dict[str, object]]:
    """Return what is found in such an article, without where and why."""
    result = scan(engine, id="one", title=title, text=text, language=language, published=PUBLISHED)
    found = [event_json(event) for event in result.events]
    for event in found:
        for key in ("also", "evidence", "rule", "senders"):
            event.pop(key, None)
        if "from" in event:
            event["from"] = sorted(event["from"])
    return found
