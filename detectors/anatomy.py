"""An article laid open for people: for every sentence what matched, what a scope took away, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from detectors.patterns import matches
from detectors.scan import event_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from detectors.candidates import Candidate
    from detectors.engine import Engine, Examined
    from detectors.tokens import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some words of a field, at characters `start` to `end`, and what they are."""

    name: str
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """One pattern that fits a sentence; of those that want one count, the cheapest gets it."""

    rule: str
    pattern: str
    cost: float
    parts: tuple[Piece, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """One candidate: what it would be, and what took it, if anything did."""

    rule: str
    event: Mapping[str, Any]
    taken_by: str | None
    cue: Piece | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceView:
    """One sentence with all that stands on its words."""

    field: str
    start: int
    end: int
    text: str
    classes: tuple[Piece, ...]
    places: tuple[Piece, ...]
    counts: tuple[Piece, ...]
    matched: tuple[Matched, ...]
    weighed: tuple[Weighed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """One article. `events` are what its sentences come to; a language without a lexicon has no sentences here."""

    language: str | None
    sentences: tuple[SentenceView, ...]
    events: tuple[Mapping[str, Any], ...]


def anatomy(
    engine: Engine, fields: Mapping[str, str], *, language: str | None = None, published: datetime | None = None
) -> Anatomy:
    """Read *fields* as the service does, but every sentence closely."""
    found = engine.examine(fields, language=language, published=published, closely=True)
    views = () if found.document is None else tuple(_views(engine, found))
    return Anatomy(
        language=found.language, sentences=views, events=tuple(event_json(d) for d in found.detections if not d.denied)
    )


def _views(engine: Engine, found: Examined) -> Iterator[SentenceView]:
    document = found.document
    assert document is not None
    for sentence in document.sentences:
        field = document.fields[sentence.field]
        start, end = sentence.starts[0], sentence.ends[-1]
        yield SentenceView(
            field=sentence.field,
            start=start,
            end=end,
            text=field[start:end],
            classes=tuple(
                _piece(sentence, name, mark.start, mark.end)
                for name, marks in sorted(sentence.marks.items())
                for mark in marks
            ),
            places=tuple(_piece(sentence, "/".join(place.codes), place.start, place.end) for place in sentence.places),
            counts=tuple(
                _piece(sentence, _number(count.min, count.max, approx=count.approx), count.start, count.end)
                for count in sentence.quantities
            ),
            matched=tuple(_matched(engine, sentence, document.language)),
            weighed=tuple(_weighed(c) for c in found.candidates if c.sentence is sentence),
        )


def _matched(engine: Engine, sentence: Sentence, language: str) -> Iterator[Matched]:
    for rule in engine.rules:
        for pattern, settings in zip(rule.patterns, rule.settings.patterns, strict=True):
            if pattern.languages and language not in pattern.languages:
                continue
            for match in matches(pattern, sentence):
                parts = tuple(_piece(sentence, name, span.start, span.end) for name, span in match.parts)
                yield Matched(rule=rule.settings.id, pattern=settings.find, cost=match.cost, parts=parts)


def _weighed(candidate: Candidate) -> Weighed:
    cue = candidate.cue
    return Weighed(
        rule=candidate.detection.rule,
        event={k: v for k, v in event_json(candidate.detection).items() if k not in {"evidence", "rule"}},
        taken_by=candidate.rejected,
        cue=None if cue is None else Piece(name=cue.proves, start=cue.start, end=cue.end, text=cue.quote),
    )


def _piece(sentence: Sentence, name: str, start: int, end: int) -> Piece:
    first, last = sentence.starts[start], sentence.ends[end - 1]
    return Piece(
        name=name.rpartition("/")[2] if name[:1].islower() else name,
        start=first,
        end=last,
        text=sentence.source[first:last],
    )


def _number(least: int | None, most: int | None, *, approx: bool) -> str:
    about = "about " if approx else ""
    if least == most:
        return f"{about}{least}"
    return f"{about}{'' if least is None else least}..{'' if most is None else most}"
