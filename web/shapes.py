"""The JSON of the API: what is answered and what is taken. The OpenAPI document is made of these."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tocsin.quantities import Duration
from tocsin.records import Alert, Article, IncidentState, Severity, Tier
from tocsin.store.schema import EPOCH, MICROSECOND
from web.problems import Refused

T = TypeVar("T")
Body = TypeVar("Body", bound=BaseModel)

PAGE: Final = 50
PAGE_LIMIT: Final = 200
NUMBER_DIGITS: Final = 18
URL_LIMIT: Final = 2_000
FeedId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]


class Answer(BaseModel):
    """Something the API tells."""

    model_config = ConfigDict(frozen=True)


class Page(Answer, Generic[T]):
    """One page of a list. `next` goes into `after` of the following request; null on the last page."""

    items: list[T]
    next: str | None = None


class IncidentSummary(Answer):
    """An incident in a list. `revision` counts its alerts, `articles` what speaks of it."""

    id: str
    state: IncidentState
    country: str | None
    happening: str | None
    severity: Severity
    opened_at: datetime
    last_seen: datetime
    revision: int
    articles: int
    headline: str


class IncidentAnswer(IncidentSummary):
    """One incident with its steps, the newest first, and the ids of its articles."""

    alerts: list[Alert]
    article_ids: list[str]


class FeedAnswer(Answer):
    """One feed, where it comes from and how it does. `failures` counts polls in a row that failed."""

    id: str
    url: str
    origin: str
    owner: str
    tier: str
    language: str | None
    country: str | None
    verified: bool
    state: str
    next_due: datetime
    polled_at: datetime | None
    last_ok_at: datetime | None
    last_new_at: datetime | None
    failures: int
    last_error: str | None
    last_status: int | None
    moved_to: str | None
    paused_by: str | None = None
    paused_at: datetime | None = None


class DeadLetterAnswer(Answer):
    """One record that was set aside, and why.

    `stage` could not work on it, `times` times by now. `topic` is the stream's, or `timers`, `outbox`, `documents`.
    Only a single one is told with `traceback`, `value` (as text) and `record` (the same as JSON, when it is JSON).
    """

    id: str
    stage: str
    topic: str
    key: str
    partition: int | None
    offset: int | None
    record_id: str
    reason: str
    at: datetime
    times: int
    size_bytes: int
    traceback: str | None = None
    value: str | None = None
    record: Any = None


class DeadLetterPage(Page[DeadLetterAnswer]):
    """One page of the dead letters; `total` counts all that were asked for."""

    total: int


class ReplayAnswer(Answer):
    """A dead letter was given back; the stage takes it up as soon as it can."""

    id: str
    stage: str


class RefusedLetter(Answer):
    """A dead letter to which nothing was done, and why."""

    id: str
    reason: str


class HandledAnswer(Answer):
    """What became of many dead letters.

    `done` of them are gone, `left` are still there, `refused` are the first of those with the reason. Many take
    several requests: `next` goes into `after` of the following one; null when there are no more.
    """

    done: int
    left: int
    refused: list[RefusedLetter]
    next: str | None = None


class ChangeAnswer(Answer):
    """A standing change that somebody made by web or command line."""

    kind: str
    id: str
    value: Any
    actor: str
    at: datetime


class AuditAnswer(Answer):
    """One change, who made it and when."""

    number: int
    at: datetime
    actor: str
    action: str
    target: str
    detail: Any


class StageAnswer(Answer):
    """How one stage does."""

    name: str
    running: bool
    restarts: int
    trouble: str


class StatusAnswer(Answer):
    """Whether all is well, and the numbers that say so.

    `dead_letters` counts all of them, `set_aside` by the stage that could not work on them; `replays` waits, by group.
    """

    ready: bool
    unready: list[str]
    time: datetime
    version: str
    rules: str
    stages: list[StageAnswer]
    lag: dict[str, int]
    store_bytes: dict[str, int]
    dead_letters: int
    set_aside: dict[str, int]
    replays: dict[str, int]


class PartitionAnswer(Answer):
    """What of a partition can be looked at: offsets from `first` up to, not including, `end`."""

    partition: int
    first: int
    end: int


class TopicAnswer(Answer):
    """One topic of the stream, and where the JSON Schema of its records is."""

    topic: str
    partitions: list[PartitionAnswer]
    json_schema: str


class RecordAnswer(Answer):
    """One record as it is on the topic. `value` is null when it cannot be read, and `damage` says why."""

    partition: int
    offset: int
    key: str
    id: str
    value: Any = None
    damage: str | None = None


class RecordPage(Answer):
    """Some records of a partition. `next` is the `start` of the following request, which may bring nothing yet."""

    items: list[RecordAnswer]
    next: int


class ReloadAnswer(Answer):
    """The configuration was read again and is in force."""

    reloaded: bool


class Asked(BaseModel):
    """Something a caller sends. An unknown key is an error: a typo must not pass for a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FeedToAdd(Asked):
    """A feed in the words of `feeds.yaml`, without what only the operator's files may say.

    Private addresses, credentials and secret files cannot be asked for here.
    """

    id: FeedId
    url: Annotated[str, Field(max_length=URL_LIMIT)]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    owner: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    tier: Tier | None = None
    weight: Annotated[float, Field(gt=0, le=1000)] | None = None
    every: Annotated[Duration, Field(ge=timedelta(seconds=30), le=timedelta(days=7))] | None = None

    @field_validator("url")
    @classmethod
    def _is_web_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("no web address: it must begin with https:// or http://")
        if parts.username is not None or parts.password is not None:
            raise ValueError("an address with a user or a password in it belongs into a file, not here")
        if not url.isprintable() or " " in url or "$" + "{" in url:
            raise ValueError("a web address holds no spaces, control characters or ${…}")
        return url


class Meant(Asked):
    """Which dead letters are meant: `all`, or those that everything else given here holds for.

    `until` keeps those out that nobody has seen yet. `after` is the `next` of the answer before.
    """

    all: bool = False
    stage: Annotated[str, Field(max_length=200)] | None = None
    topic: Annotated[str, Field(max_length=200)] | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    after: Annotated[str, Field(max_length=200)] | None = None

    @model_validator(mode="after")
    def _says_which(self) -> Meant:
        if not self.all and (self.stage, self.topic, self.since) == (None, None, None):
            raise ValueError("say which: a stage, a topic, since when, or all")
        return self


class Pause(Asked):
    """Why a feed is paused, for whoever looks at it later."""

    reason: Annotated[str, Field(max_length=500)] = ""


# ---------------------------------------------------------------------------------------------------------- paging


def cursor(seen_at: datetime, id: str) -> str:  # noqa: A002  the domain's own word
    """Return the place after (*seen_at*, *id*) in a list, for a caller to hand back."""
    raw = f"{(seen_at - EPOCH) // MICROSECOND} {id}"
    return base64.urlsafe_b64encode(raw.encode()).decode().rstrip("=")


def after(text: str | None) -> tuple[datetime, str] | None:
    """Return what `cursor` was given.

    Raises:
        Refused: no cursor of ours.
    """
    if text is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        instant, _, id_ = raw.partition(" ")
        return EPOCH + int(instant) * MICROSECOND, id_
    except (ValueError, OverflowError):
        raise Refused(400, "the value of 'after' is not one that a page gave in 'next'") from None


def after_number(text: str | None) -> int:
    """Return the number that a cursor holds in place of an id; 0 without one.

    Raises:
        Refused: no cursor of ours.
    """
    place = after(text)
    if place is None:
        return 0
    if not (place[1].isascii() and place[1].isdecimal() and len(place[1]) < NUMBER_DIGITS):
        raise Refused(400, "the value of 'after' is not one that a page gave in 'next'")
    return int(place[1])


def cursor_at(number: int) -> str:
    """Return a cursor for lists that are paged by number."""
    return cursor(EPOCH, str(number))


def instant(text: str | None, name: str) -> datetime | None:
    """Return the instant that the parameter *name* says, UTC when it has no offset.

    Raises:
        Refused: it is none.
    """
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused(400, f"{name!r} must be an instant such as 2026-03-04T12:00:00Z") from None


def number(text: str | None, name: str, *, most: int) -> int:
    """Return the number that the parameter *name* says, 0 without one.

    Raises:
        Refused: no number, or more than *most*.
    """
    if text is None:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and int(text) <= most):
        raise Refused(400, f"{name!r} must be a number from 0 to {most}")
    return int(text)


def limit(text: str | None) -> int:
    """Return how many items a page shall hold.

    Raises:
        Refused: no number, or too many.
    """
    if text is None:
        return PAGE
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(PAGE_LIMIT))
    if not (is_number and 1 <= int(text) <= PAGE_LIMIT):
        raise Refused(400, f"'limit' must be a number from 1 to {PAGE_LIMIT}")
    return int(text)


def read(model: type[Body], body: bytes) -> Body:
    """Return the JSON *body* as a *model*; an empty one stands for `{}`.

    Raises:
        Refused: each mistake with the key it stands at, without repeating the value.
    """
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        told = tuple(
            f"{'.'.join(str(step) for step in each['loc']) or 'body'}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors(include_input=False, include_url=False, include_context=False)
        )
        raise Refused(422, f"the body is not what is asked for here: {told[0]}", errors=told) from None


AlertPage = Page[Alert]
ArticlePage = Page[Article]
