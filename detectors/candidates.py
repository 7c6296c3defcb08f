"""What a detector thinks it has found, before and after the scopes had their say."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from detectors.marks import Mark
from detectors.scopes import scopes_of
from detectors.tokens import Sentence
from tocsin.records import Attribution, Certainty, Detection, Evidence, Speaker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.document import Document
    from detectors.rules import Rule
    from detectors.scopes import Cue

_COLON_REACH: Final = 4
SPEAKER_REACH: Final = 7  # words between a source and its `said`
DENIALS = frozenset({"denied", "negated"})
SOURCES: Mapping[str, Speaker] = {
    "authority": Speaker.AUTHORITY,
    "media": Speaker.MEDIA,
    "witness": Speaker.WITNESS,
    "party": Speaker.PARTY,
    "unnamed": Speaker.UNNAMED,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A possible event in one sentence. `rejected` names the scope or reason that took it; None is accepted."""

    detection: Detection
    sentence: Sentence
    at: int
    rejected: str | None = None
    cue: Evidence | None = None
    rank: float = 0
    notes: frozenset[str] = field(default_factory=frozenset)


def judge(
    document: Document, rule: Rule, detection: Detection, sentence: Sentence, points: list[int], *,
    notes: frozenset[str] = frozenset(), needs: tuple[str, ...] = (),
) -> Candidate:  # fmt: skip
    """Let the scopes of *rule* take or weaken *detection*, and name who says it."""
    scopes = scopes_of(document, sentence, points)
    for scope in rule.settings.unless:
        if scope in scopes:
            denied = scope in DENIALS and scope in rule.denials and detection.country is not None
            return Candidate(
                detection=replace(detection, denied=denied, certainty=Certainty.CONFIRMED),
                sentence=sentence,
                at=points[0],
                rejected=scope,
                cue=_shown(document, scopes[scope]),
                notes=notes,
            )
    if needs and not any(scope in scopes for scope in needs):
        return Candidate(detection=detection, sentence=sentence, at=points[0], rejected="no_movement", notes=notes)
    attribution, weak, evidence = _attributed(document, sentence, points)
    certainty = detection.certainty
    extra = [evidence] if evidence is not None else []
    for scope, lowered in rule.settings.lower.items():
        cue = scopes.get(scope)
        if cue is None or (scope == "hearsay" and attribution is not None and attribution.speaker is Speaker.AUTHORITY):
            continue
        if lowered.rank < certainty.rank:
            certainty = lowered
            shown = _shown(document, cue)
            if shown is not None:
                extra.append(shown)
    if weak and certainty is Certainty.CONFIRMED:
        certainty = Certainty.REPORTED
    detection = replace(detection, certainty=certainty, attribution=attribution, evidence=(*detection.evidence, *extra))
    return Candidate(detection=detection, sentence=sentence, at=points[0], notes=notes)


def _attributed(
    document: Document, sentence: Sentence, points: list[int]
) -> tuple[Attribution | None, bool, Evidence | None]:
    """`Dabei seien acht Menschen getötet worden`: indirect speech goes on with the speaker of the sentence before."""
    found = attribute(document, sentence, but=points)
    before = document.before(sentence) if sentence.of("indirect") else None
    if found[0] is not None or before is None:
        return found
    return attribute(document, before, but=[])


def attribute(
    document: Document, sentence: Sentence, *, but: list[int]
) -> tuple[Attribution | None, bool, Evidence | None]:
    """Return who says it, whether only weak sources do, and the words; what stands at *but* says nothing itself."""
    sayings = [*sentence.of("saying"), *_colons(sentence)]
    sources = [(name, mark) for name in SOURCES for mark in sentence.of(name) if mark.start not in but]
    if not sources or not sayings:
        return None, False, None
    quoting = {mark.start for mark in sentence.of("quoting")}
    chosen = []
    for saying in sayings:
        near = [(apart, name, mark) for name, mark in sources
                if (apart := _apart(mark.start, mark.end, saying.start, saying.end)) <= SPEAKER_REACH]  # fmt: skip
        if saying.start in quoting:  # `zitierte der Sender einen Sprecher`: the channel weakens nobody
            chosen += [(name, mark) for _, name, mark in near]
        elif near:
            chosen.append(min(near, key=lambda item: item[0])[1:])
    if not chosen:
        return None, False, None
    order = list(SOURCES)
    name, mark = min(chosen, key=lambda item: order.index(item[0]))
    evidence = document.evidence(sentence, mark.start, mark.end, "attribution")
    return Attribution(speaker=SOURCES[name], who=evidence.quote), name != "authority", evidence


def _colons(sentence: Sentence) -> list[Mark]:
    """`Medien: Mehrere Tote`: who is named before a colon says what follows."""
    at = next((i for i, text in enumerate(sentence.texts[: _COLON_REACH + 1]) if text == ":"), None)
    if not at:
        return []
    return [Mark("saying", at, at + 1) for name in SOURCES for mark in sentence.of(name) if mark.end == at][:1]


def _apart(start: int, end: int, other_start: int, other_end: int) -> int:
    return max(start - other_end, other_start - end, 0)


def _shown(document: Document, cue: Cue) -> Evidence | None:
    if cue.mark is None:
        return None
    end = cue.mark.tail[1] if cue.mark.tail else cue.mark.end
    return document.evidence(cue.sentence, cue.mark.start, end, f"scope:{cue.scope}")
