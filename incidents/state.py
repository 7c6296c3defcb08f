"""What an incident remembers: who said what when, and what was told of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from tocsin.errors import RecordUnreadable
from tocsin.records import (
    Attribution,
    Certainty,
    DismissalKind,
    Figure,
    IncidentState,
    Sender,
    Severity,
    SourceRef,
    Toll,
    Volume,
)

CLAIMS_LIMIT: Final = 240
CLAIM_ARTICLES_LIMIT: Final = 8
ARTICLES_LIMIT: Final = 32
PLACES_LIMIT: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one owner's newsroom says of one type, from when on, and in which of its articles.

    `told_at` orders claims: when the statement was published, or seen where that is not known. `ended_at` is set when
    the last of its articles was rewritten without it. `copied` marks the text of another newsroom: no confirmation.
    """

    type: str
    owner: str
    tier: int
    articles: tuple[str, ...]
    told_at: datetime
    last_at: datetime
    ended_at: datetime | None = None
    certainty: Certainty
    toll: Toll | None = None
    also: tuple[Figure, ...] = ()
    withdrawn: Toll | None = None
    senders: tuple[Sender, ...] = ()
    kind: DismissalKind | None = None
    denied: bool = False
    attribution: Attribution | None = None
    severity: Severity | None = None
    copied: bool = False
    quote: str = ""
    language: str | None = None
    rule: str = ""
    volume: Volume | None = None

    @property
    def low(self) -> int:
        """The least number of dead that this claim states; 0 for "up to n"."""
        if self.toll is None:
            return 1
        return self.toll.min or 0

    def says_as(self, other: Claim) -> bool:
        """Say whether both state the same."""
        return (
            self.type == other.type
            and self.certainty is other.certainty
            and self.denied == other.denied
            and self.kind is other.kind
            and self.toll == other.toll
            and self.withdrawn == other.withdrawn
            and set(self.senders) == set(other.senders)
            and self.volume == other.volume
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The current view of one type: what holds after weighing all claims.

    `floors` are the least numbers of dead stated possibly, reportedly or surely, and surer (see `facts`).
    `withdrawn` says that everything once claimed was taken back; then the rest is what it was before.
    """

    type: str
    certainty: Certainty
    floors: tuple[int, int, int] = (0, 0, 0)
    toll: Toll | None = None
    claimed: Figure | None = None
    senders: tuple[Sender, ...] = ()
    kind: DismissalKind | None = None
    disputed: bool = False
    withdrawn: bool = False
    owners: int = 0
    articles: tuple[str, ...] = ()
    attribution: Attribution | None = None
    severity: Severity | None = None
    official: bool = False
    quote: str = ""
    language: str | None = None
    rule: str = ""
    volume: Volume | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One article of an incident: what people are shown of it, and its words for likeness."""

    article: str
    source: SourceRef
    words: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What several detections are about. `id` never changes; `revision` counts the alerts."""

    id: str
    state: IncidentState = IncidentState.OPEN
    country: str | None = None
    country_guessed: bool = False
    places: tuple[str, ...] = ()
    happening: str | None = None
    opened_at: datetime
    last_seen: datetime
    revision: int = 0
    severity: Severity = Severity.MINOR
    headline: str = ""
    claims: tuple[Claim, ...] = ()
    known: tuple[Known, ...] = ()
    heard: tuple[Heard, ...] = ()
    articles: int = 0

    def of_type(self, type: str) -> Known | None:  # noqa: A002 - the domain's own word
        """Return what is known of one type."""
        return next((known for known in self.known if known.type == type), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """The words of one article and their language."""

    language: str | None
    words: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """What matching looks at: a tenth of an incident, so that dozens can be read for every reading.

    `places` are keys (see `placenames`); `counts` are all numbers of dead that were heard, `highest` the most claimed.
    """

    id: str
    country: str | None
    country_guessed: bool
    places: frozenset[str]
    happening: str | None
    last_seen: datetime
    types: frozenset[str]
    counts: frozenset[int]
    highest: int
    tellings: tuple[Telling, ...]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Incident)
_faces = msgspec.msgpack.Decoder(Face)


def to_bytes(incident: Incident | Face) -> bytes:
    """Return what `from_bytes` or `face_from_bytes` reads."""
    return _encoder.encode(incident)


def from_bytes(raw: bytes) -> Incident:
    """Return the incident again.

    Raises:
        RecordUnreadable: the bytes are no incident of this version.
    """
    try:
        return _decoder.decode(raw)
    except msgspec.MsgspecError as error:
        raise RecordUnreadable(f"stored incident: {error}") from error


def face_from_bytes(raw: bytes) -> Face:
    """Return the face again; raises RecordUnreadable."""
    try:
        return _faces.decode(raw)
    except msgspec.MsgspecError as error:
        raise RecordUnreadable(f"stored face of an incident: {error}") from error
