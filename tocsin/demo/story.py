"""The story as data: who publishes what, when, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tocsin import yamlfile
from tocsin.records import Tier

if TYPE_CHECKING:
    from collections.abc import Sequence


class Format(StrEnum):
    """What an outlet serves."""

    RSS = "rss"
    ATOM = "atom"
    RDF = "rdf"
    JSON = "jsonfeed"


class Outcome(StrEnum):
    """What must come of an article."""

    OPENING = "opening"
    NEW = "new"
    ESCALATION = "escalation"
    CORRECTION = "correction"
    UPDATE = "update"
    NONE = "none"
    SILENT = "silent"

    @property
    def rings(self) -> bool:
        """Whether every receiver hears of it by itself; an update is told quietly."""
        return self in {Outcome.NEW, Outcome.ESCALATION, Outcome.CORRECTION}


class Expectation(BaseModel):
    """What must come of one text. `incident` is the story's own label; `types` are what rings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: Outcome
    incident: str | None = None
    types: tuple[str, ...] = ()
    why_silent: str = ""

    @model_validator(mode="after")
    def _explained(self) -> Self:
        if self.step.rings and not (self.incident and self.types):
            raise ValueError("a step that rings needs 'incident' and 'types'")
        if not self.step.rings and self.step is not Outcome.OPENING and not self.why_silent:
            raise ValueError("what does not ring needs 'why_silent'")
        return self


class Outlet(BaseModel):
    """One invented publisher with one feed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    name: str
    owner: str
    tier: Tier
    language: str
    format: Format
    site: str
    path: str


class RevisionText(BaseModel):
    """A later text of an article: same identity, same address."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: int
    title: str
    lead: str
    body: tuple[str, ...] = ()
    expect: Expectation


class ArticleText(RevisionText):
    """One article and what later became of its text."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    outlet: str
    revisions: tuple[RevisionText, ...] = ()


class StoryFile(BaseModel):
    """All of `story.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    outlets: tuple[Outlet, ...]
    articles: tuple[ArticleText, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One text as a feed shows it at one time: an article in one revision, counted from 0."""

    article: str
    revision: int
    outlet: Outlet
    at: int
    title: str
    lead: str
    body: tuple[str, ...]
    expect: Expectation

    @property
    def name(self) -> str:
        """Tell this text from every other of the story."""
        return f"{self.article}.{self.revision}" if self.revision else self.article

    @property
    def url(self) -> str:
        """The article's address, the same in all its revisions."""
        return f"{self.outlet.site}/{self.article}"

    @property
    def is_backfill(self) -> bool:
        """Whether the feeds have it before the service first asks."""
        return self.at < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Every text in the order in which it appears; no two of them appear at once."""

    title: str
    outlets: tuple[Outlet, ...]
    editions: tuple[Edition, ...]

    @property
    def backfill(self) -> Sequence[Edition]:
        """What the feeds hold before the first poll."""
        return [edition for edition in self.editions if edition.is_backfill]

    @property
    def live(self) -> Sequence[Edition]:
        """What appears while the service looks on."""
        return [edition for edition in self.editions if not edition.is_backfill]

    @property
    def minutes(self) -> int:
        """How long the live part lasts."""
        return self.editions[-1].at


def bundled() -> Story:
    """Return the story that comes with the package."""
    raw = resources.files(__package__).joinpath("story.yaml").read_bytes()
    return told(yamlfile.validate(StoryFile, yamlfile.parse(raw, file="story.yaml")))


def told(file: StoryFile) -> Story:
    """Lay the articles and their revisions out in the order of their appearance."""
    outlets = {outlet.id: outlet for outlet in file.outlets}
    editions = [
        Edition(
            article=article.id,
            revision=number,
            outlet=outlets[article.outlet],
            at=text.at,
            title=text.title,
            lead=text.lead,
            body=text.body,
            expect=text.expect,
        )
        for article in file.articles
        for number, text in enumerate((article, *article.revisions))
    ]
    editions.sort(key=lambda edition: edition.at)
    return Story(title=file.title, outlets=file.outlets, editions=tuple(editions))
