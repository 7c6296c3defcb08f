"""What the receivers have, put together: the file's line has the facts, webhook and mailbox have the moments."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from tocsin.demo.sinks import Arrival
from tocsin.records import Certainty, MessageKind, Severity, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tocsin.demo.story import Edition

TITLE_COMPARED: Final = 100  # characters; Slack cuts a header at 150
_NO_WORD: Final = re.compile(r"\W+")


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class TollLine(_Line):
    """A count as the file receiver writes it."""

    min: int | None = None
    max: int | None = None
    approx: bool = False


class SenderLine(_Line):
    """Who sends troops."""

    code: str
    certainty: Certainty | None = None


class AttributionLine(_Line):
    """Who says so."""

    who: str = ""


class FactLine(_Line):
    """One fact of an alert."""

    type: str
    certainty: Certainty | None = None
    changed: bool = False
    country: str | None = None
    toll: TollLine | None = None
    senders: tuple[SenderLine, ...] = ()
    kind: str | None = None
    disputed: bool = False
    withdrawn: bool = False
    was: TollLine | None = None
    was_certainty: Certainty | None = None
    attribution: AttributionLine | None = None
    quote: str = ""
    language: str | None = None


class SourceLine(_Line):
    """One article behind an alert."""

    owner: str = ""
    tier: str = ""
    url: str = ""
    title: str = ""


class MessageLine(_Line):
    """One line of the file receiver, as far as the demo reads it."""

    key: str
    kind: MessageKind
    step: Step | None = None
    severity: Severity | None = None
    certainty: Certainty | None = None
    incident: str | None = None
    types: tuple[str, ...] = ()
    title: str = ""
    text: str = ""
    facts: tuple[FactLine, ...] = ()
    sources: tuple[SourceLine, ...] = ()
    urls: tuple[str, ...] = ()

    @property
    def rings(self) -> bool:
        """Whether this is a step that people are told by itself."""
        return self.kind is not MessageKind.DIGEST and self.step in {Step.NEW, Step.ESCALATION, Step.CORRECTION}

    @property
    def changed(self) -> frozenset[str]:
        """The types for which it came."""
        return frozenset(fact.type for fact in self.facts if fact.changed)


@dataclass(slots=True, kw_only=True)
class Message:
    """One message and where it has arrived. `noticed` is when its line was read, `heard` has each sink's first."""

    line: MessageLine
    noticed: float
    heard: dict[str, Arrival] = field(default_factory=dict)
    repeats: int = 0


class Board:
    """Everything that has arrived so far. Messages at the sinks are recognised by their title, each sink's in order."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.strays: list[Arrival] = []
        self.unreadable: list[str] = []
        self._changed = asyncio.Event()

    async def until(self, holds: Callable[[Sequence[Message]], bool]) -> None:
        """Return when *holds* says yes to what has arrived."""
        while not holds(self.messages):
            self._changed.clear()
            await self._changed.wait()

    def hear(self, arrival: Arrival) -> None:
        """Take what a sink has received."""
        self.strays.append(arrival)
        self._match()

    def read(self, raw: str) -> None:
        """Take one line of the file receiver."""
        try:
            line = MessageLine.model_validate_json(raw)
        except ValidationError as error:
            self.unreadable.append(f"{error.errors()[0]['loc']}: {error.errors()[0]['msg']}: {raw[:80]}")
            return
        again = next((message for message in self.messages if message.line.key == line.key), None)
        if again is not None:
            again.repeats += 1
            return
        self.messages.append(Message(line=line, noticed=time.monotonic()))
        self._match()

    def _match(self) -> None:
        self._changed.set()
        for arrival in list(self.strays):
            waiting = (message for message in self.messages if arrival.sink not in message.heard)
            found = next((message for message in waiting if fits(message.line, arrival)), None)
            if found is not None:
                found.heard[arrival.sink] = arrival
                self.strays.remove(arrival)


def fits(line: MessageLine, arrival: Arrival) -> bool:
    """Whether *arrival* tells what *line* tells: its title has the line's title in it, or the other way round."""
    mine, theirs = _bare(line.title)[:TITLE_COMPARED], _bare(arrival.title)[:TITLE_COMPARED]
    return bool(mine and theirs) and (mine in theirs or theirs in mine)


def cause(message: Message, editions: Mapping[str, Edition], served: Mapping[str, float]) -> Edition | None:
    """Return the text because of which *message* came: of those it links to, the one that was served last before it."""
    instant = min([message.noticed, *(arrival.instant for arrival in message.heard.values())])
    linked = set(message.line.urls) | {source.url for source in message.line.sources}
    before = [name for name, at in served.items() if at <= instant and editions[name].url in linked]
    return editions[max(before, key=served.__getitem__)] if before else None


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile; *share* is in 0..1 and *values* must not be empty."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * share // 1))
    return ordered[int(rank) - 1]


def _bare(text: str) -> str:
    return _NO_WORD.sub(" ", text.casefold()).strip()
