"""What an operator writes about feeds and polling: `sources:` and `tocsin.polling`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from tocsin.quantities import Duration, Secret, Size, Wrong
from tocsin.records import Source, Tier

if TYPE_CHECKING:
    from typing import Self

FeedId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)]
_ADDRESS: TypeAdapter[HttpUrl] = TypeAdapter(HttpUrl)
# What a feed's own headers may not say: those that we manage, or that carry the connection itself.
_OUR_HEADERS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "te", "upgrade", "cookie"}
    | {"if-none-match", "if-modified-since"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One feed to poll, whoever named it: defaults filled in, `origin` says whether a file or the overlay did."""

    id: str
    url: str
    source: Source
    language: str | None = None
    country: str | None = None
    weight: float = 1.0
    every: timedelta | None = None
    timeout: timedelta | None = None
    allow_private: bool = False
    verified: bool = False
    headers: tuple[tuple[str, SecretStr], ...] = field(default=(), repr=False)
    origin: Literal["file", "overlay"] = "file"


class FeedDefaults(BaseModel):
    """What holds for every feed that does not say otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tier: Tier = Tier.NATIONAL
    language: str | None = None
    country: str | None = None
    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    every: Annotated[Duration, Field(ge=timedelta(milliseconds=50))] | None = None


class FeedSettings(BaseModel):
    """One feed as an operator writes it. `owner` is who answers for it; feeds of one owner confirm nothing together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: FeedId
    url: str
    owner: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    tier: Tier | None = None
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    weight: Annotated[float, Field(gt=0, le=1000)] | None = None
    every: Annotated[Duration, Field(ge=timedelta(milliseconds=50))] | None = None
    timeout: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(minutes=10))] | None = None
    allow_private: bool = False
    verified: bool = False
    headers: dict[str, Secret] = {}

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        try:
            _ADDRESS.validate_python(url)
        except ValidationError:
            raise ValueError(f"{url!r} is no address: write it whole, as https://news.example/feed.xml") from None
        return url

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
                raise Wrong(f"{name!r} is no name of a header", name)
            if name.lower() in _OUR_HEADERS:
                raise Wrong(f"the header {name!r} is set by the service itself", name)
            if any(character in value.get_secret_value() for character in "\r\n\0"):
                raise Wrong(f"the value of {name!r} holds a line break", name)
        return headers

    def feed(self, defaults: FeedDefaults, *, origin: Literal["file", "overlay"] = "file") -> Feed:
        """Return the feed that this and the defaults describe."""
        return Feed(
            id=self.id,
            url=self.url,
            source=Source(owner=self.owner or self.id, tier=self.tier or defaults.tier),
            language=self.language or defaults.language,
            country=self.country or defaults.country,
            weight=self.weight or defaults.weight,
            every=self.every or defaults.every,
            timeout=self.timeout,
            allow_private=self.allow_private,
            verified=self.verified,
            headers=tuple(self.headers.items()),
            origin=origin,
        )


class SourcesSettings(BaseModel):
    """The `sources:` key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    defaults: FeedDefaults = FeedDefaults()
    feeds: tuple[FeedSettings, ...] = ()

    @model_validator(mode="after")
    def _each_id_once(self) -> Self:
        seen: set[str] = set()
        for number, feed in enumerate(self.feeds):
            if feed.id in seen:
                raise Wrong(f"the feed {feed.id!r} stands here twice", "feeds", number, "id")
            seen.add(feed.id)
        return self

    def all(self) -> tuple[Feed, ...]:
        """Return every feed with the defaults filled in."""
        return tuple(feed.feed(self.defaults) for feed in self.feeds)


class PerHostSettings(BaseModel):
    """Manners towards one host."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_once: Annotated[int, Field(ge=1, le=100)] = 2
    gap: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(minutes=10))] = timedelta(seconds=1)


class PollingSettings(BaseModel):
    """The `tocsin.polling` key: the budget, the manners and every limit of a request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 600
    per_host: PerHostSettings = PerHostSettings()
    at_once: Annotated[int, Field(ge=1, le=1000)] = 64
    floor: Annotated[Duration, Field(ge=timedelta(milliseconds=50))] = timedelta(seconds=60)
    ceiling: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(hours=24)
    deadline: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(minutes=10))] = timedelta(seconds=30)
    parse_deadline: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(minutes=5))] = timedelta(seconds=10)
    body_limit: Annotated[Size, Field(ge=1024, le=256_000_000)] = 16_000_000
    ratio_limit: Annotated[int, Field(ge=10, le=2000)] = 150
    redirects: Annotated[int, Field(ge=0, le=20)] = 5
    contact: Annotated[str, Field(max_length=200, pattern=r"^[\x20-\x7e]*$")] = ""

    @model_validator(mode="after")
    def _floor_below_ceiling(self) -> Self:
        if self.floor > self.ceiling:
            raise Wrong("the floor lies above the ceiling", "floor")
        return self

    @property
    def user_agent(self) -> str:
        """Who we say we are; with `contact` (an address or a URL) a publisher can tell us something."""
        return f"Tocsin/0.1 (+{self.contact})" if self.contact else "Tocsin/0.1 (news alerts)"
