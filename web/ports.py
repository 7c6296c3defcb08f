"""What the web needs of the rest of the house; `tocsin.app` hands it over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from tocsin.clock import Clock
from tocsin.store.port import Store
from web.settings import WebSettings

if TYPE_CHECKING:
    from tocsin.errors import Problem
    from tocsin.store.archive import Kept
    from tocsin.store.dead_letters import Which
    from tocsin.stream.port import Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStatus:
    """How one stage does. `trouble` is the reason of its last crash, in words without secrets."""

    name: str
    running: bool
    restarts: int = 0
    trouble: str = ""


class Health(Protocol):
    """Says how the service is; answers at once, from memory."""

    def stages(self) -> Sequence[StageStatus]:
        """Return every stage that this process runs."""
        ...

    def unready(self) -> Sequence[str]:
        """Return why work should not be sent here now; empty when all is well."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What `/api/status` and the gauges tell.

    `lag` is records by "group topic", `store_bytes` bytes by part; `dead_letters` are counted by the stage that set
    them aside, `replays` by the group that has them before it. `stale` says why the numbers are of before; empty when
    they are of now.
    """

    version: str
    rules: str = ""
    lag: Mapping[str, int] = field(default_factory=dict)
    store_bytes: Mapping[str, int] = field(default_factory=dict)
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    replays: Mapping[str, int] = field(default_factory=dict)
    stale: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What became of one dead letter. `id` is None when there is none; `obstacle` says why nothing was done to it."""

    id: str | None = None
    stage: str = ""
    obstacle: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """What became of many: `done`, `left` with the reasons of the first of them, and where to go on."""

    done: int
    left: int = 0
    refused: Sequence[tuple[str, str]] = ()
    after: tuple[datetime, str] | None = None


class Letters(Protocol):
    """What people may do with dead letters. Each act and its entry in the audit are one transaction."""

    async def replay(self, id: str, *, actor: str) -> Decision:  # noqa: A002  the domain's own word
        """Have one letter taken up again by whoever set it aside; the beginning of its id will do."""
        ...

    async def drop(self, id: str, *, actor: str) -> Decision:  # noqa: A002  the domain's own word
        """Forget one letter for good; the beginning of its id will do."""
        ...

    async def replay_many(self, which: Which, *, actor: str, after: tuple[datetime, str] | None = None) -> Handled:
        """Have a part of *which* taken up again, the oldest first; *after* is where the part before ended."""
        ...

    async def drop_many(self, which: Which, *, actor: str, after: tuple[datetime, str] | None = None) -> Handled:
        """Forget a part of *which* for good; *after* is where the part before ended."""
        ...


class Actions(Protocol):
    """What a caller may have the service do."""

    @property
    def stream(self) -> Stream:
        """The topics, to be looked at."""
        ...

    @property
    def letters(self) -> Letters:
        """The desk for dead letters."""
        ...

    def feed_problems(self, feed: Mapping[str, object]) -> Sequence[str]:
        """Return what keeps *feed*, in the words of `feeds.yaml`, from being polled; empty when nothing does."""
        ...

    async def reload(self) -> Sequence[Problem]:
        """Read the files again; on any problem the old configuration stays in force."""
        ...

    async def why(self, query: str) -> Mapping[str, object]:
        """Say why something rang, or which stage said no."""
        ...

    async def measure(self) -> Measured:
        """Look at lag, sizes and versions now, and set the gauges of `tocsin.metrics` accordingly.

        Answers within seconds whoever is away.
        """
        ...


class Archive(Protocol):
    """Keeps what was read. Every method blocks, so it is asked in a thread (`tocsin.store.archive`)."""

    def latest(self, kind: str, *, limit: int, before: tuple[datetime, str] | None = None) -> list[Kept]:
        """Return a page, the newest first; *before* is the instant and id of the last one seen."""
        ...

    def search(self, kind: str, words: str, *, limit: int = 50) -> list[Kept]:
        """Return what holds all of *words*, the newest first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Everything an endpoint may use. `settings` is asked anew each time, so a reload takes hold at once."""

    store: Store
    archive: Archive
    settings: Callable[[], WebSettings]
    health: Health
    actions: Actions
    clock: Clock
