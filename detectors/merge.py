"""The candidates of one article made into its events: title and text are one text, repeated figures are one fact."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tocsin.records import Certainty, Detection, DismissalKind, Evidence, Figure, Sender, Toll

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detectors.candidates import Candidate

EVIDENCE_SHOWN: Final = 20
_KINDS = (DismissalKind.NO_CONFIDENCE, DismissalKind.TOPPLED, DismissalKind.DISMISSED, DismissalKind.RESIGNED)


def merged(candidates: Sequence[Candidate]) -> list[Detection]:
    """One detection per happening and type; denials come after, marked as such."""
    kept = [candidate for candidate in candidates if candidate.rejected is None]
    events = [
        *_deaths([c for c in kept if c.detection.type == "deaths"]),
        *_troops([c for c in kept if c.detection.type == "foreign_troops"]),
        *_dismissals([c for c in kept if c.detection.type == "government_dismissal"]),
        *_others([c for c in kept if c.detection.type not in {"deaths", "foreign_troops", "government_dismissal"}]),
    ]
    told = {event.type for event in events}
    denials: dict[tuple[str, str | None], Detection] = {}
    for candidate in candidates:
        denied = candidate.detection
        if candidate.rejected and denied.denied and denied.type not in told:
            cue = () if candidate.cue is None else (candidate.cue,)
            denials.setdefault(
                (denied.type, denied.country), replace(denied, toll=None, evidence=(*denied.evidence, *cue))
            )
    return [*events, *denials.values()]


def _deaths(found: list[Candidate]) -> list[Detection]:
    groups: list[list[Candidate]] = []
    tolls: list[set[Toll | None]] = []  # of each group
    for candidate in found:
        country, toll = candidate.detection.country, candidate.detection.toll
        for group, told in zip(groups, tolls, strict=True):
            same = toll in told and not _is_plural(candidate)
            if same or country is None or group[0].detection.country in {None, country}:
                group.append(candidate)
                told.add(toll)
                break
        else:
            groups.append([candidate])
            tolls.append({toll})
    return [_one_toll(group) for group in groups]


def _is_plural(candidate: Candidate) -> bool:
    return "plural" in candidate.notes or (candidate.detection.toll is not None and candidate.detection.toll.min == 1)


def _one_toll(group: list[Candidate]) -> Detection:
    withdrawn = _withdrawn(group)
    current = [c for c in group if withdrawn is None or c.detection.toll != withdrawn] or group
    firm = [c for c in current if c.detection.certainty is not Certainty.POSSIBLE] or current
    counted = [c for c in firm if "plural" not in c.notes] or firm
    main = max(counted, key=lambda c: (*_height(c), "subset" not in c.notes))
    same = [c for c in firm if _says_the_same(c, main)]
    best = max(same, key=lambda c: c.detection.certainty.rank)
    also: dict[Toll, Certainty] = {}
    for candidate in current:
        toll = candidate.detection.toll
        if (
            toll is None
            or toll == main.detection.toll
            or "plural" in candidate.notes
            or _covers(toll, main.detection.toll)
        ):
            continue
        if candidate.detection.certainty is Certainty.POSSIBLE and candidate not in counted:
            continue
        old = also.get(toll)
        if old is None or old.rank < candidate.detection.certainty.rank:
            also[toll] = candidate.detection.certainty
    told = {main.detection.toll, *also, withdrawn}
    evidence = _joined_evidence([best, *(c for c in group if c is not best and c.detection.toll in told)])
    country = next((c.detection.country for c in [best, *group] if c.detection.country), None)
    return replace(
        best.detection,
        toll=main.detection.toll,
        country=country,
        evidence=evidence,
        places=tuple(dict.fromkeys(place for c in group for place in c.detection.places)),
        also=tuple(Figure(toll=toll, certainty=certainty) for toll, certainty in also.items()),
        withdrawn=withdrawn,
    )


def _says_the_same(candidate: Candidate, main: Candidate) -> bool:
    """Tell whether two figures are one, as the title's `eleven dead` and the text's `at least eleven`."""
    mine, told = candidate.detection.toll, main.detection.toll
    if mine is None or told is None or mine.min is None:
        return mine == told
    return mine.min == told.min


def _covers(toll: Toll, main: Toll | None) -> bool:
    """`one of the dead` and a rounder form of the main figure say nothing new."""
    return main is not None and toll.min == main.min and (toll.max is None or main.max is None) and not toll.approx


def _height(candidate: Candidate) -> tuple[int, int, bool]:
    toll = candidate.detection.toll
    if toll is None:
        return 0, 0, False
    low = toll.min if toll.min is not None else toll.max or 0
    return low, candidate.detection.certainty.rank, toll.max is None


def _withdrawn(group: list[Candidate]) -> Toll | None:
    """In a statement that corrects downwards, the figure that it takes back: the higher, told as the earlier one."""
    for candidate in group:
        if "withdrawn" in candidate.notes:
            return candidate.detection.toll
    for candidate in group:
        if "corrected" not in candidate.notes:
            continue
        tolls = [c.detection.toll for c in group if c.sentence is candidate.sentence and c.detection.toll]
        if len(tolls) == 1:
            tolls = [c.detection.toll for c in group if c.detection.toll and _height(c) >= _height(candidate)]
        if len(tolls) > 1:
            return max(tolls, key=lambda toll: toll.min or toll.max or 0)
    return None


def _joined_evidence(group: Sequence[Candidate]) -> tuple[Evidence, ...]:
    return tuple(dict.fromkeys(evidence for candidate in group for evidence in candidate.detection.evidence))


def _troops(found: list[Candidate]) -> list[Detection]:
    """One per destination; senders joined, each with the best certainty that a sentence gives it."""
    groups: dict[str | None, list[Candidate]] = {}
    told = [candidate for candidate in found if "guessed_to" not in candidate.notes]
    for candidate in told or found:
        groups.setdefault(candidate.detection.country, []).append(candidate)
    if told:
        next(iter(groups.values())).extend(candidate for candidate in found if "guessed_to" in candidate.notes)
    if None in groups and len(groups) > 1:
        homeless = groups.pop(None)
        next(iter(groups.values())).extend(homeless)
    events = []
    for group in groups.values():
        senders: dict[tuple[str, bool], Certainty] = {}
        for candidate in group:
            for sender in candidate.detection.senders:
                key = sender.code, sender.alliance
                certainty = candidate.detection.certainty
                if key not in senders or senders[key].rank < certainty.rank:
                    senders[key] = certainty
        best = max(group, key=lambda c: c.detection.certainty.rank)
        events.append(
            replace(
                best.detection,
                evidence=_joined_evidence([best, *(c for c in group if c is not best)]),
                places=tuple(dict.fromkeys(place for c in group for place in c.detection.places)),
                senders=tuple(
                    Sender(code=code, alliance=alliance, certainty=certainty)
                    for (code, alliance), certainty in senders.items()
                ),
            )
        )
    return events


def _dismissals(found: list[Candidate]) -> list[Detection]:
    groups: dict[str | None, list[Candidate]] = {}
    for candidate in found:
        groups.setdefault(candidate.detection.country, []).append(candidate)
    if None in groups and len(groups) > 1:
        homeless = groups.pop(None)
        next(iter(groups.values())).extend(homeless)
    events = []
    for group in groups.values():
        best = max(
            group,
            key=lambda c: (c.detection.certainty.rank, -_KINDS.index(c.detection.kind or DismissalKind.DISMISSED)),
        )
        events.append(replace(best.detection, evidence=_joined_evidence([best, *(c for c in group if c is not best)])))
    return events


def _others(found: list[Candidate]) -> list[Detection]:
    groups: dict[tuple[str, str, str | None], list[Candidate]] = {}
    for candidate in found:
        detection = candidate.detection
        groups.setdefault((detection.type, detection.rule, detection.country), []).append(candidate)
    return [_one_of_others(group) for group in groups.values()]


def _one_of_others(group: list[Candidate]) -> Detection:
    """Tell the highest number, and the best certainty that a sentence gives it."""
    main = max(group, key=lambda c: (*_height(c)[:1], c.detection.certainty.rank))
    best = max((c for c in group if c.detection.toll == main.detection.toll), key=lambda c: c.detection.certainty.rank)
    evidence = _joined_evidence([best, *(c for c in group if c is not best)])[:EVIDENCE_SHOWN]
    return replace(best.detection, evidence=evidence)
