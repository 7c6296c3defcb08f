"""What travels between the rooms. Ids are functions of content, so every stage may see its input twice.

State moves by `seen_at` carried in the record, never by the clock.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


def digest(*parts: str) -> str:
    """Return a name for *parts*, 32 hexadecimal digits (BLAKE2b-128); the order and the borders of the parts count."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        hasher.update(len(raw).to_bytes(8, "big"))
        hasher.update(raw)
    return hasher.hexdigest()


class Tier(StrEnum):
    """How much a source's word weighs; set by configuration, never by a text. Ordered by `rank`."""

    OFFICIAL = "official"
    WIRE = "wire"
    NATIONAL = "national"
    REGIONAL = "regional"
    LOCAL = "local"
    OTHER = "other"

    @property
    def rank(self) -> int:
        """Higher is weightier."""
        return _TIER_RANKS[self]


class Certainty(StrEnum):
    """How sure a text is. Ordered by `rank`."""

    POSSIBLE = "possible"
    REPORTED = "reported"
    CONFIRMED = "confirmed"

    @property
    def rank(self) -> int:
        """Higher is surer."""
        return _CERTAINTY_RANKS[self]


class Severity(StrEnum):
    """CAP 1.2's words. Ordered by `rank`."""

    MINOR = "minor"
    MODERATE = "moderate"
    SEVERE = "severe"
    EXTREME = "extreme"

    @property
    def rank(self) -> int:
        """Higher is graver."""
        return _SEVERITY_RANKS[self]


# Looked up, not searched for: ranks are compared for every claim of every reading.
_TIER_RANKS = {tier: -place for place, tier in enumerate(Tier)}
_CERTAINTY_RANKS = {certainty: place for place, certainty in enumerate(Certainty)}
_SEVERITY_RANKS = {severity: place for place, severity in enumerate(Severity)}


class Step(StrEnum):
    """What an alert adds to its incident."""

    NEW = "new"
    ESCALATION = "escalation"
    UPDATE = "update"
    CORRECTION = "correction"


class DismissalKind(StrEnum):
    """How a government ended."""

    DISMISSED = "dismissed"
    RESIGNED = "resigned"
    TOPPLED = "toppled"
    NO_CONFIDENCE = "no_confidence"


class Speaker(StrEnum):
    """What sort of source a text names for a statement."""

    AUTHORITY = "authority"
    MEDIA = "media"
    WITNESS = "witness"
    PARTY = "party"
    UNNAMED = "unnamed"


class IncidentState(StrEnum):
    """Where an incident is in its life."""

    OPEN = "open"
    QUIET = "quiet"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class MessageKind(StrEnum):
    """What a message to a receiver is."""

    ALERT = "alert"
    UPDATE = "update"
    CORRECTION = "correction"
    DIGEST = "digest"
    REMINDER = "reminder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Who publishes a feed. `owner` makes independent sources countable."""

    owner: str
    tier: Tier = Tier.NATIONAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """One news item as a feed told it, in one revision.

    `published_at` is the feed's claim and may lie in the future; `seen_at` is our clock.
    Windows and deadlines use `seen_at`; people are shown `published_at`.
    `title`, `summary` and `text` are plain text; `country` is the feed's own (ISO alpha-2), a guess at best.
    `backfill` marks what a first poll, or the first after an outage, brought: it never rings singly.
    """

    id: str
    revision: str
    supersedes: str | None = None
    feed: str
    source: Source
    language: str | None = None
    country: str | None = None
    url: str = ""
    title: str = ""
    summary: str = ""
    text: str = ""
    published_at: datetime | None = None
    seen_at: datetime
    backfill: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The words that prove something: `field` is title, summary or text; *start* and *end* count characters in it."""

    field: str
    start: int
    end: int
    quote: str
    proves: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Toll:
    """A count of people as an interval; an open end is None."""

    min: int | None
    max: int | None
    approx: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A further count that a text gives for the same happening."""

    toll: Toll
    certainty: Certainty


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """A state (ISO alpha-2) or an alliance that sends troops. The code `AU` is two actors, told apart by `alliance`."""

    code: str
    alliance: bool = False
    certainty: Certainty


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Who says so, in the text's own words."""

    speaker: Speaker
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRef:
    """One article behind a fact, as people are shown it."""

    owner: str
    tier: Tier
    url: str
    title: str
    language: str | None
    published_at: datetime | None
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """How many articles tell of one thing in one country, and how many usually do.

    `topic` is the event type that they state. `count` is how many came within a window of `window_s` seconds, from
    `owners` independent owners; `usual` is the median of such windows on earlier days, rounded up; `score` says how
    many robust standard deviations lie between, rounded down. `before` is the count when it was last told, 0 at first.
    `articles` are the ids of some of them, and `sources` the same ones as people are shown them: the weightiest first.
    """

    topic: str
    window_s: int
    count: int
    owners: int
    usual: int
    score: int
    before: int = 0
    articles: tuple[str, ...] = ()
    sources: tuple[SourceRef, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One typed event that a text states.

    `country` is where it happens (deaths), where the troops go (`to` in the guideline) or whose government it is;
    `country_guessed` says that it is only the feed's. `toll`, `also` belong to deaths, `senders` to foreign_troops,
    `kind` to government_dismissal, `volume` to burst: its evidence is those articles. `happening` is the cause as far
    as words show it (unrest, attack, accident, disaster, war, epidemic, politics). `denied` marks a statement that this
    did *not* happen: no event, but it can take one back.
    `withdrawn` is an earlier figure that this text itself takes back ("statt der gemeldeten 62 gebe es 47").
    `sentence` is the one in which the first evidence stands, for people to read.
    """

    type: str
    certainty: Certainty
    rule: str
    severity: Severity | None = None
    attribution: Attribution | None = None
    evidence: tuple[Evidence, ...] = ()
    country: str | None = None
    country_guessed: bool = False
    places: tuple[str, ...] = ()
    happening: str | None = None
    toll: Toll | None = None
    also: tuple[Figure, ...] = ()
    withdrawn: Toll | None = None
    senders: tuple[Sender, ...] = ()
    kind: DismissalKind | None = None
    denied: bool = False
    sentence: str = ""
    volume: Volume | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """What later stages need to know of an article without its body; `lead` is at most 400 characters."""

    feed: str
    source: Source
    language: str | None
    url: str
    title: str
    lead: str
    published_at: datetime | None
    seen_at: datetime
    backfill: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All that one revision states; it replaces every earlier reading of that article.

    `rules` is the version (content digest) of the rules that read it. `detections` may be empty: a rewritten
    article can take something back.
    """

    article: str
    revision: str
    supersedes: str | None
    rules: str
    mention: Mention
    detections: tuple[Detection, ...]

    @property
    def id(self) -> str:
        """The same article, revision and rules give the same id."""
        return digest("reading", self.article, self.revision, self.rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What is currently known of one type in an incident, and what was known when it last rang.

    `changed` says that this fact is why the alert rings. `country` is ISO alpha-2. `toll` belongs to deaths, `senders`
    to foreign_troops, `kind` to government_dismissal, `volume` to burst. `was` and `was_certainty` are None for a fact
    never told before. `claimed` is a higher figure that somebody gives less surely than `toll` is known. `disputed`
    says that somebody denies it, `withdrawn` that it does not hold any more. `quote` is the sentence that proves it,
    in `language`.
    """

    type: str
    certainty: Certainty
    changed: bool
    country: str | None = None
    toll: Toll | None = None
    senders: tuple[Sender, ...] = ()
    kind: DismissalKind | None = None
    disputed: bool = False
    withdrawn: bool = False
    was: Toll | None = None
    was_certainty: Certainty | None = None
    claimed: Figure | None = None
    attribution: Attribution | None = None
    quote: str = ""
    language: str | None = None
    rule: str = ""
    volume: Volume | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One step of an incident worth telling.

    `id` names this step for good; `incident` is the same for all steps of one incident, and `revision` counts them
    from 1. `severity` is the incident's, `certainty` that of the surest fact that changed. `types`, `countries` (ISO
    alpha-2, where it happens first), `alliances` and `places` are those of all `facts`. `headline` is English; each
    receiver's frame may say it anew from `facts`. `sources` are independent owners, the weightiest first; `urls` are
    their articles. `seen_at` is our clock when the article that rings was seen. `late` marks a happening seen too
    late to ring singly: it goes into the opening picture. `happening` is the cause as far as words show it.
    """

    id: str
    incident: str
    revision: int
    step: Step
    severity: Severity
    certainty: Certainty
    types: tuple[str, ...]
    countries: tuple[str, ...]
    alliances: tuple[str, ...]
    places: tuple[str, ...]
    headline: str
    facts: tuple[Fact, ...]
    sources: tuple[SourceRef, ...]
    urls: tuple[str, ...]
    seen_at: datetime
    late: bool = False
    happening: str | None = None


class DeliveryState(StrEnum):
    """How far a message has come."""

    PENDING = "pending"
    SENDING = "sending"
    DONE = "done"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message to one receiver; `key` is a function of receiver, kind, alerts and period, so that it is made once.

    `alerts` are in the order of their steps, the last one the state told; a digest has one for each incident.
    `thread` is the key of the message that this one answers. `cause` says why a digest came (`opening`, `budget`).
    `accepted` are the addresses of the receiver that have it already. `created_at` is our clock at routing,
    `seen_at` that of the newest article behind it.
    """

    key: str
    receiver: str
    kind: MessageKind
    alerts: tuple[str, ...]
    incident: str | None = None
    thread: str | None = None
    subscription: str = ""
    language: str = "en"
    cause: str = ""
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    next_try: datetime
    created_at: datetime
    seen_at: datetime
    finished_at: datetime | None = None
    remote: str | None = None
    reason: str = ""
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One record that was set aside.

    `stage` is the consumer group that could not work on it, or says who else could not; `topic` is the stream's, or
    says what else it is: `timers`, `outbox`, `documents`. `value` is what the stage was given, byte for byte, unless
    it has fewer than `size` bytes: then it was damaged or too much to keep. `times` counts how often the record was
    set aside, failed replays included; `at` is the last time.
    """

    id: str
    stage: str
    topic: str
    record_id: str
    reason: str
    value: bytes
    at: datetime
    key: str = ""
    partition: int | None = None
    offset: int | None = None
    size: int = 0
    times: int = 1
    traceback: str = ""
