"""What a change of the rules gains and loses on a corpus: detections of the old rules beside those of the new."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from detectors.scan import event_json, scan
from tocsin.records import Detection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from detectors.engine import Engine

_OF_NO_MATTER: Final = frozenset({"evidence", "rule", "senders"})


class Change(StrEnum):
    """What became of one detection."""

    GAINED = "gained"
    LOST = "lost"
    ALTERED = "altered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One detection that only one side has, or that both have with other attributes."""

    article: str
    title: str
    change: Change
    old: Detection | None
    new: Detection | None

    @property
    def type(self) -> str:
        """The event type."""
        either = self.new or self.old
        assert either is not None
        return either.type

    def altered(self) -> dict[str, tuple[Any, Any]]:
        """Return the attributes that both have and that differ, as (old, new)."""
        if self.old is None or self.new is None:
            return {}
        old, new = event_json(self.old), event_json(self.new)
        return {key: (old[key], new.get(key)) for key in old if key not in _OF_NO_MATTER and old[key] != new.get(key)}


def differences(old: Engine, new: Engine, articles: Iterable[Mapping[str, Any]]) -> Iterator[list[Difference]]:
    """Yield for each article where the two differ, while they come; an empty list where they agree."""
    for article in articles:
        before, after = (_events(engine, article) for engine in (old, new))
        yield list(_compared(article, before, after))


def _compared(article: Mapping[str, Any], before: list[Detection], after: list[Detection]) -> Iterator[Difference]:
    about = {"article": str(article["id"]), "title": str(article.get("title") or article.get("text") or "")[:200]}
    types = Counter(event.type for event in before) | Counter(event.type for event in after)
    for type_ in sorted(types):
        gone = [event for event in before if event.type == type_]
        come = [event for event in after if event.type == type_]
        for event in list(gone):  # what agrees in all is no difference
            same = next((other for other in come if _attributes(other) == _attributes(event)), None)
            if same is not None:
                gone.remove(event)
                come.remove(same)
        while gone and come:
            yield Difference(**about, change=Change.ALTERED, old=gone.pop(0), new=come.pop(0))
        yield from (Difference(**about, change=Change.LOST, old=event, new=None) for event in gone)
        yield from (Difference(**about, change=Change.GAINED, old=None, new=event) for event in come)


def _attributes(event: Detection) -> dict[str, Any]:
    return {key: value for key, value in event_json(event).items() if key not in _OF_NO_MATTER}


def _events(engine: Engine, article: Mapping[str, Any]) -> list[Detection]:
    result = scan(
        engine,
        id=str(article["id"]),
        title=article.get("title") or "",
        text=article.get("text") or "",
        language=article.get("lang"),
        published=article.get("published"),
    )
    return list(result.events)
