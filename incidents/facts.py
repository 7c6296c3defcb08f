"""What holds after weighing all claims of one type: who takes what back, what is stale, what is disputed.

The view is a function of the set of claims, ordered by when they were told: the order of arrival does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from tocsin.matcher import DEATHS, FOREIGN_TROOPS
from tocsin.records import Certainty, Figure, Sender, Speaker, Toll

from .state import Claim, Known
from .tolls import contradicted, is_refined_by, is_retold

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

LEVELS: Final = (Certainty.POSSIBLE, Certainty.REPORTED, Certainty.CONFIRMED)
WHO_MAY_DENY: Final = (None, Speaker.AUTHORITY, Speaker.PARTY)
ENOUGH_OWNERS: Final = 2


@dataclass(slots=True)
class Standing:
    """Where the claims of one subject stand: what holds, what was taken back, and whether somebody objects in vain."""

    live: list[Claim] = field(default_factory=list)
    fallen: list[Claim] = field(default_factory=list)
    disputed: bool = False
    objections: dict[int, set[str]] = field(default_factory=dict)
    informed: set[str] = field(default_factory=set)  # owners that have told the correction themselves
    by: Claim | None = None  # the last claim that took something back
    surely: int = 0  # the highest confirmed toll so far
    has_rough: bool = False  # whether a round number was among the claims

    def take_back(self, targets: Iterable[Claim], *, by: Claim, even_confirmed: bool) -> None:
        """Let one claim take back *targets*, each of them only where it may."""
        targets = list(targets)
        if not targets:
            return
        self.informed.add(by.owner)
        for target in targets:
            against = self.objections.setdefault(id(target), set())
            if not by.copied:
                against.add(by.owner)
            weighty = by.tier >= target.tier or len(against) >= ENOUGH_OWNERS
            sure = even_confirmed or target.certainty is not Certainty.CONFIRMED
            if by.owner == target.owner or (weighty and sure):
                self.live.remove(target)
                self.fallen.append(target)
                self.by = by
        self.disputed = any(id(held) in self.objections for held in self.live)

    def end(self, claim: Claim) -> None:
        """Take back a claim whose own articles no longer make it."""
        if claim in self.live:
            self.live.remove(claim)
            self.fallen.append(claim)
            self.informed.add(claim.owner)


def known_of(claims: Sequence[Claim], *, settle: timedelta) -> tuple[Known, ...]:
    """Return the current view, one `Known` for each type that was ever claimed, in order of first mention."""
    types = dict.fromkeys(claim.type for claim in sorted(claims, key=_when_told))
    views = (_known_type(kind, [c for c in claims if c.type == kind], settle=settle) for kind in types)
    return tuple(view for view in views if view is not None)


def _when_told(claim: Claim) -> tuple[object, ...]:
    names = tuple(sender.code for sender in claim.senders)
    return (
        claim.told_at,
        claim.owner,
        claim.articles,
        claim.type,
        claim.certainty.rank,
        claim.low,
        claim.kind or "",
        names,
    )


def _known_type(kind: str, claims: Sequence[Claim], *, settle: timedelta) -> Known | None:
    if kind == DEATHS:
        return _deaths(_weigh(claims, settle=settle))
    if kind == FOREIGN_TROOPS:
        return _troops(claims, settle=settle)
    return _plain(_weigh(claims, settle=settle))


def _weigh(claims: Sequence[Claim], *, settle: timedelta) -> Standing:
    """Go through the claims as they were told, endings included."""
    standing = Standing()
    events = [(claim.told_at, 1, _when_told(claim), claim) for claim in claims]
    events += [(claim.ended_at, 0, _when_told(claim), claim) for claim in claims if claim.ended_at is not None]
    events.sort(key=lambda event: event[:3])
    for _, starts, _, claim in events:
        if not starts:
            standing.end(claim)
        elif claim.denied:
            if claim.attribution is None or claim.attribution.speaker in WHO_MAY_DENY:
                standing.take_back(standing.live, by=claim, even_confirmed=False)
        elif claim.type == DEATHS:
            _hear_toll(standing, claim, settle=settle)
        elif not _is_stale(standing, claim):
            standing.live.append(claim)
    return standing


def _hear_toll(standing: Standing, claim: Claim, *, settle: timedelta) -> None:
    most = None if claim.toll is None else claim.toll.max
    if claim.withdrawn is not None or (most is not None and most < standing.surely):
        targets = contradicted(claim, standing.live, heard=standing.fallen, settle=settle)
        standing.take_back(targets, by=claim, even_confirmed=True)
    if standing.fallen and is_retold(claim, standing.fallen) and claim.owner not in standing.informed:
        return
    standing.has_rough |= claim.toll is not None and claim.toll.approx
    if standing.has_rough:
        for rough in [held for held in standing.live if is_refined_by(held, claim)]:
            standing.live.remove(rough)
        if any(is_refined_by(claim, held) for held in standing.live):
            return
    standing.live.append(claim)
    if claim.certainty is Certainty.CONFIRMED:
        standing.surely = max(standing.surely, claim.low)  # may stay too high: then `contradicted` looks in vain


def _is_stale(standing: Standing, claim: Claim) -> bool:
    """Say whether *claim* only retells what was taken back: no surer, by one who has not told the denial."""
    if claim.owner in standing.informed:
        return False
    ranks = [fallen.certainty.rank for fallen in standing.fallen]
    return bool(ranks) and (
        claim.certainty.rank in ranks or Certainty.REPORTED.rank <= claim.certainty.rank <= max(ranks)
    )


def _deaths(standing: Standing) -> Known | None:
    live = standing.live
    if not live:
        return _taken_back(standing)
    floors = tuple(max((c.low for c in live if c.certainty.rank >= level.rank), default=0) for level in LEVELS)
    level = max((c.certainty for c in live), key=lambda certainty: certainty.rank)
    floor = floors[level.rank]
    leading = [c for c in live if c.certainty is level and c.low == floor]
    # An exact figure says more than "at least"; among equals the first to tell it is shown.
    lead = min(leading, key=lambda c: (not _is_exact(c.toll), _when_told(c)))
    higher = [c for c in live if c.certainty.rank < level.rank and _most(c) > max(floor, _most(lead))]
    top = max(higher, key=lambda c: (_most(c), c.certainty.rank), default=None)
    return _view(
        lead,
        leading,
        standing,
        floors=(floors[0], floors[1], floors[2]),
        toll=lead.toll or Toll(min=1, max=None),
        claimed=Figure(toll=top.toll, certainty=top.certainty) if top is not None and top.toll is not None else None,
    )


def _most(claim: Claim) -> int:
    if claim.toll is None:
        return claim.low
    return claim.low or claim.toll.max or 0


def _is_exact(toll: Toll | None) -> bool:
    return toll is not None and toll.min == toll.max and not toll.approx


def _plain(standing: Standing) -> Known | None:
    live = standing.live
    if not live:
        return _taken_back(standing)
    level = max(claim.certainty.rank for claim in live)
    leading = [claim for claim in live if claim.certainty.rank == level]
    # Of several ways in which a government is said to have ended, the one most newsrooms tell now; then the first.
    last_words = {claim.owner: claim for claim in sorted(leading, key=_when_told)}
    told = [claim.kind for claim in last_words.values()]
    lead = min(last_words.values(), key=lambda c: (-told.count(c.kind), _when_told(c)))
    return _view(lead, leading, standing)


def _troops(claims: Sequence[Claim], *, settle: timedelta) -> Known | None:
    """Weigh each sender alone; a denial that names nobody is about all of them."""
    subjects = sorted({(s.code, s.alliance) for c in claims for s in c.senders if not c.denied})
    if any(not claim.senders and not claim.denied for claim in claims):
        subjects.append(("", False))
    standings = {subject: _weigh(_about(claims, subject), settle=settle) for subject in subjects}
    whole = Standing(
        live=[claim for standing in standings.values() for claim in standing.live],
        fallen=[claim for standing in standings.values() for claim in standing.fallen],
        disputed=any(standing.disputed for standing in standings.values()),
        by=max((s.by for s in standings.values() if s.by is not None), key=_when_told, default=None),
    )
    if not whole.live:
        return _taken_back(whole)
    senders = tuple(
        Sender(code=code, alliance=alliance, certainty=max((c.certainty for c in held.live), key=lambda c: c.rank))
        for (code, alliance), held in standings.items()
        if held.live
    )
    level = max(sender.certainty.rank for sender in senders)
    leading = [claim for claim in whole.live if claim.certainty.rank == level]
    lead = min(leading, key=_when_told)
    ordered = sorted(senders, key=lambda s: (not s.code, -s.certainty.rank, not s.alliance, s.code))
    return _view(lead, leading, whole, senders=tuple(ordered))


def _about(claims: Sequence[Claim], subject: tuple[str, bool]) -> list[Claim]:
    found = []
    for claim in claims:
        if not claim.senders:
            if claim.denied or subject == ("", False):
                found.append(claim)
            continue
        named = next((s for s in claim.senders if (s.code, s.alliance) == subject), None)
        if named is not None:
            found.append(claim if claim.denied else replace(claim, certainty=named.certainty))
    return found


def _taken_back(standing: Standing) -> Known | None:
    if not standing.fallen:
        return None  # a denial of what nobody claimed
    last = max(standing.fallen, key=_when_told)
    was = _view(last, standing.fallen, standing, toll=last.toll, senders=last.senders)
    by = standing.by
    if by is not None:
        was = replace(
            was,
            attribution=by.attribution,
            quote=by.quote,
            language=by.language,
            rule=by.rule,
            articles=by.articles[-1:],
        )
    return replace(was, withdrawn=True, disputed=False)


def _view(
    lead: Claim,
    leading: Sequence[Claim],
    standing: Standing,
    *,
    floors: tuple[int, int, int] = (0, 0, 0),
    toll: Toll | None = None,
    claimed: Figure | None = None,
    senders: tuple[Sender, ...] = (),
) -> Known:
    independent = [claim for claim in leading if not claim.copied]
    by_weight = sorted(independent or leading, key=lambda c: (-c.tier, _when_told(c)))
    severities = [c.severity for c in leading if c.severity is not None]
    return Known(
        type=lead.type,
        certainty=lead.certainty,
        floors=floors,
        toll=toll,
        claimed=claimed,
        senders=senders,
        kind=lead.kind,
        disputed=standing.disputed,
        owners=len({claim.owner for claim in independent}),
        articles=tuple(dict.fromkeys(article for c in by_weight for article in c.articles[:1])),
        attribution=lead.attribution,
        severity=max(severities, key=lambda severity: severity.rank, default=None),
        official=any(c.attribution is None or c.attribution.speaker is Speaker.AUTHORITY for c in leading),
        quote=lead.quote,
        language=lead.language,
        rule=lead.rule,
        volume=lead.volume,
    )
