"""A burst in the form of a reading, so that incidents and receivers take it as any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.countries import country_name
from tocsin.errors import RecordUnreadable
from tocsin.matcher import BURST
from tocsin.records import Certainty, Detection, Mention, Reading, Source, SourceRef, Tier, Volume, digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tocsin.store.bursts import BurstRow, CountedRow

    from .settings import BurstsSettings
    from .verdict import Verdict

OWNER: Final = "Tocsin"
RULE: Final = "bursts"
ARTICLES_SHOWN: Final = 12
LEAD_CHARS: Final = 400

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SourceRef)


def source_of(mention: Mention) -> SourceRef:
    """Return an article as people are shown it."""
    return SourceRef(
        owner=mention.source.owner,
        tier=mention.source.tier,
        url=mention.url,
        title=mention.title,
        language=mention.language,
        published_at=mention.published_at,
        seen_at=mention.seen_at,
    )


def to_bytes(source: SourceRef) -> bytes:
    """Return what `from_bytes` reads."""
    return _encoder.encode(source)


def from_bytes(raw: bytes) -> SourceRef:
    """Return the source again.

    Raises:
        RecordUnreadable: the bytes are no source of this version.
    """
    try:
        return _decoder.decode(raw)
    except msgspec.MsgspecError as error:
        raise RecordUnreadable(f"stored article of a burst: {error}") from error


def told(
    burst: BurstRow,
    verdict: Verdict,
    rows: Sequence[CountedRow],
    *,
    owners: int,
    before: BurstRow | None,
    settings: BurstsSettings,
) -> Reading:
    """Return the reading that tells *burst*, explained by its articles; *before* is how it was told last."""
    shown = chosen([(row.article, from_bytes(row.source)) for row in rows])
    volume = Volume(
        topic=burst.topic,
        window_s=verdict.hours * 3600,
        count=verdict.count,
        owners=owners,
        usual=verdict.usual,
        score=int(verdict.score),
        before=before.count if before is not None else 0,
        articles=tuple(article for article, _ in shown),
        sources=tuple(source for _, source in shown),
    )
    detection = Detection(
        type=BURST,
        certainty=Certainty.CONFIRMED,
        rule=RULE,
        severity=settings.severity,
        country=burst.country,
        volume=volume,
    )
    return Reading(
        article=burst.id,
        revision=burst.revision,
        supersedes=before.revision if before is not None else None,
        rules=digest("bursts", settings.model_dump_json()),
        mention=Mention(
            feed="",
            source=Source(owner=OWNER, tier=Tier.OTHER),
            language="en",
            url="",
            title=title(volume, burst.country),
            lead=" · ".join(source.title for source in volume.sources)[:LEAD_CHARS],
            published_at=None,
            seen_at=burst.seen_at,
            backfill=False,
        ),
        detections=(detection,),
    )


def title(volume: Volume, country: str) -> str:
    """Say it in one English line."""
    hours = volume.window_s // 3600
    topic = volume.topic.replace("_", " ")
    return f"{volume.count} articles on {topic} in {country_name(country)} in {hours} h, usually {volume.usual}"


def chosen(articles: Sequence[tuple[str, SourceRef]]) -> list[tuple[str, SourceRef]]:
    """Return the articles to show: one of each owner first, the weightiest owners and the newest articles first."""
    ordered = sorted(articles, key=lambda one: one[1].seen_at, reverse=True)
    ordered.sort(key=lambda one: -one[1].tier.rank)
    firsts: dict[str, tuple[str, SourceRef]] = {}
    for one in ordered:
        firsts.setdefault(one[1].owner, one)
    further = [one for one in ordered if firsts[one[1].owner] is not one]
    return [*firsts.values(), *further][:ARTICLES_SHOWN]
