"""What one more reading does to the claims of an incident: new ones, repeated ones, those that a rewrite drops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tocsin.records import SourceRef

from .likeness import likeness
from .state import ARTICLES_LIMIT, CLAIM_ARTICLES_LIMIT, CLAIMS_LIMIT, Claim, Heard, Incident

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tocsin.records import Detection, Reading

COPY: Final = 0.8  # an agency's text, printed under another name
COPY_WORDS: Final = 12  # two headlines of one story can be alike by chance


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOf:
    """The article that is heard, with its words, to be compared with those heard before."""

    article: str
    source: SourceRef
    words: frozenset[int]

    def is_copied(self, heard: Sequence[Heard]) -> bool:
        """Say whether another newsroom told it in these words before."""
        return len(self.words) >= COPY_WORDS and any(
            one.source.owner != self.source.owner and likeness(one.words, self.words) >= COPY
            for one in heard
            if len(one.words) >= COPY_WORDS
        )


def hear(
    incident: Incident, detections: Sequence[Detection], *, reading: Reading, heard: CopyOf, told_at: datetime
) -> Incident:
    """Return the incident after one reading, which replaces all that the article said before."""
    copied = heard.is_copied([one for one in incident.heard if one.article != heard.article])
    fresh = [_claim(detection, reading, told_at=told_at, copied=copied) for detection in detections]
    claims: list[Claim] = []
    for claim in incident.claims:
        if reading.article not in claim.articles or claim.ended_at is not None:
            claims.append(claim)
            continue
        same = next((one for one in fresh if one.says_as(claim)), None)
        if same is not None:
            fresh.remove(same)
            claims.append(replace(claim, last_at=max(claim.last_at, told_at)))
            continue
        left = tuple(article for article in claim.articles if article != reading.article)
        claims.append(replace(claim, articles=left) if left else replace(claim, ended_at=reading.mention.seen_at))
    for claim in fresh:
        _add(claims, claim)
    was_heard = any(one.article == reading.article for one in incident.heard)
    others = tuple(one for one in incident.heard if one.article != reading.article)
    listed = (*others, Heard(article=reading.article, source=heard.source, words=heard.words))
    return replace(
        incident,
        claims=bounded(claims),
        heard=_bounded_heard(listed, incident),
        articles=incident.articles + (not was_heard),
    )


def _claim(detection: Detection, reading: Reading, *, told_at: datetime, copied: bool) -> Claim:
    source = reading.mention.source
    return Claim(
        type=detection.type,
        owner=source.owner,
        tier=source.tier.rank,
        articles=(reading.article,),
        told_at=told_at,
        last_at=told_at,
        certainty=detection.certainty,
        toll=detection.toll,
        also=detection.also,
        withdrawn=detection.withdrawn,
        senders=detection.senders,
        kind=detection.kind,
        denied=detection.denied,
        attribution=detection.attribution,
        severity=detection.severity,
        copied=copied,
        quote=detection.sentence or (detection.evidence[0].quote if detection.evidence else ""),
        language=reading.mention.language,
        rule=detection.rule,
        # Its articles are told once, when it rings; an incident need not carry them along.
        volume=None if detection.volume is None else replace(detection.volume, sources=()),
    )


def _add(claims: list[Claim], claim: Claim) -> None:
    """Add a claim, or let the newsroom's last word on the matter, if it is the same, stand for both."""
    own = [
        place
        for place, held in enumerate(claims)
        if held.owner == claim.owner and held.type == claim.type and held.ended_at is None
    ]
    last = max(own, key=lambda place: claims[place].told_at, default=None)
    if last is None or not claims[last].says_as(claim):
        claims.append(claim)
        return
    held = claims[last]
    articles = (*held.articles, *claim.articles)[:CLAIM_ARTICLES_LIMIT]
    claims[last] = replace(
        held,
        articles=articles,
        told_at=min(held.told_at, claim.told_at),
        last_at=max(held.last_at, claim.last_at),
        copied=held.copied and claim.copied,
    )


def bounded(claims: Sequence[Claim]) -> tuple[Claim, ...]:
    """Keep the state small: beyond `CLAIMS_LIMIT`, of claims that say the same only the first few and the last stay.

    What differs stays, so that the view is the same; a story in which more than twice that many different things
    are said loses the oldest.
    """
    if len(claims) <= CLAIMS_LIMIT:
        return tuple(claims)
    kept: list[Claim] = []
    alike: dict[object, int] = {}
    for claim in sorted(claims, key=lambda one: one.told_at):
        what = (
            claim.type,
            claim.certainty,
            claim.denied,
            claim.kind,
            claim.toll,
            claim.withdrawn,
            frozenset(claim.senders),
        )
        alike[what] = alike.get(what, 0) + 1
        if alike[what] <= 3:  # noqa: PLR2004 - two independent owners, and one to spare
            kept.append(claim)
    return tuple(kept[-2 * CLAIMS_LIMIT :])


def _bounded_heard(heard: Sequence[Heard], incident: Incident) -> tuple[Heard, ...]:
    """Keep the founding article, those that what is known rests on, and the latest."""
    if len(heard) <= ARTICLES_LIMIT:
        return tuple(heard)
    cited = {article for known in incident.known for article in known.articles[:4]}
    spare = next((place for place, one in enumerate(heard) if place > 0 and one.article not in cited), 1)
    return tuple(one for place, one in enumerate(heard) if place != spare)
