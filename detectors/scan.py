"""One text read for people or for `scan --jsonl`, and why what was found was found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tocsin.records import Detection, Evidence

if TYPE_CHECKING:
    from detectors.candidates import Candidate
    from detectors.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One statement that a rule looked at: what it would have been, and which scope or reason took it, if any."""

    rule: str
    type: str
    field: str
    sentence: str
    accepted: bool
    reason: str | None
    cue: Evidence | None
    detection: Detection


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """What one text states. `denials` are statements that something did not happen; they are no events."""

    id: str
    language: str | None
    events: tuple[Detection, ...]
    denials: tuple[Detection, ...]
    explanations: tuple[Explanation, ...]


def scan(
    engine: Engine,
    *,
    id: str,  # noqa: A002  the contract's word
    title: str,
    text: str,
    language: str | None = None,
    published: datetime | str | None = None,
) -> ScanResult:
    """Read one text by every rule but the level-four ones, which need a whole article."""
    when = instant(published) if isinstance(published, str) else published
    found = engine.examine({"title": title, "text": text}, language=language, published=when)
    return ScanResult(
        id=id,
        language=found.language,
        events=tuple(d for d in found.detections if not d.denied),
        denials=tuple(d for d in found.detections if d.denied),
        explanations=tuple(_explained(found.document.fields, c) for c in found.candidates) if found.document else (),
    )


def _explained(fields: dict[str, str], candidate: Candidate) -> Explanation:
    sentence = candidate.sentence
    return Explanation(
        rule=candidate.detection.rule,
        type=candidate.detection.type,
        field=sentence.field,
        sentence=fields[sentence.field][sentence.starts[0] : sentence.ends[-1]],
        accepted=candidate.rejected is None,
        reason=candidate.rejected,
        cue=candidate.cue,
        detection=candidate.detection,
    )


def instant(text: str) -> datetime | None:
    """Return the time that *text* writes in ISO form, in UTC where it names no zone; None for anything else."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def to_json(result: ScanResult) -> dict[str, Any]:
    """Return the object of one `scan --jsonl` line; codes are bare, so AU is whoever the text meant."""
    return {"id": result.id, "lang": result.language, "events": [event_json(event) for event in result.events]}


def event_json(event: Detection) -> dict[str, Any]:
    """One event with the attributes of its type."""
    shown: dict[str, Any] = {"type": event.type}
    if event.type == "deaths" and event.toll is not None:
        shown |= {"min": event.toll.min, "max": event.toll.max, "approx": event.toll.approx}
        shown |= {"certainty": event.certainty.value, "country": event.country}
        shown["also"] = [
            {"min": f.toll.min, "max": f.toll.max, "approx": f.toll.approx, "certainty": f.certainty.value}
            for f in event.also
        ]
    elif event.type == "foreign_troops":
        shown |= {
            "from": [sender.code for sender in event.senders],
            "to": event.country,
            "certainty": event.certainty.value,
        }
        shown["senders"] = [{"code": sender.code, "certainty": sender.certainty.value} for sender in event.senders]
    elif event.type == "government_dismissal":
        shown |= {"country": event.country, "kind": event.kind.value if event.kind else None}
        shown["certainty"] = event.certainty.value
    else:
        if event.toll is not None:
            shown |= {"min": event.toll.min, "max": event.toll.max, "approx": event.toll.approx}
        shown |= {"country": event.country, "certainty": event.certainty.value}
    shown["evidence"] = [{"field": e.field, "start": e.start, "end": e.end, "text": e.quote} for e in event.evidence]
    shown["rule"] = event.rule
    return shown
