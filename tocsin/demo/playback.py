"""The story's clock: which texts are out, which the reader has been given, and when."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from tocsin.demo.documents import Shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tocsin.demo.story import Edition, Outlet, Story

WINDOW: Final = 15  # items that a feed holds; older ones have dropped out
SPEED: Final = 25.0  # story minutes a second: the bundled story takes about a minute


class Patience(StrEnum):
    """What must have happened to a text before the next one appears.

    Feeds are polled at moments of their own, so without any patience a slow reader can meet two texts of different
    outlets in the wrong order, and what must ring would be a matter of luck.
    """

    NONE = "none"  # nothing: the story runs by the clock alone
    SERVED = "served"  # it has gone out in a 200
    KEPT = "kept"  # the reader has asked again with the validator it came with, so it is safe with them


class Playback:
    """What the feeds show at this moment.

    `served` has the instant (`time.monotonic`) at which each text first went out in a 200, by its name.
    Backfill keeps its distance to the start in real minutes; a live text is published when it appears.
    """

    def __init__(self, story: Story, *, speed: float = SPEED, patience: Patience = Patience.SERVED) -> None:
        self.story = story
        self.speed = speed
        self.patience = patience
        self.served: dict[str, float] = {}
        self.served_at: dict[str, datetime] = {}
        self._kept: set[str] = set()
        self._shown: list[Shown] = []
        self._changed = asyncio.Event()
        self._since: tuple[float, float] | None = None  # (story minutes, monotonic) of the last text
        self._next_at: float = 0.0
        now = datetime.now(UTC)
        for edition in story.backfill:
            self._show(edition, now + timedelta(minutes=edition.at))

    # -- what the feeds ask

    def window(self, outlet: Outlet, *, size: int = WINDOW) -> Sequence[Shown]:
        """Return what *outlet* shows now, the newest first; of an article only its latest text."""
        latest = {shown.edition.article: shown for shown in self._shown if shown.edition.outlet is outlet}
        return sorted(latest.values(), key=lambda shown: shown.updated, reverse=True)[:size]

    def note_served(self, window: Iterable[Shown]) -> None:
        """Note that *window* goes out in a 200 now."""
        instant, wall = time.monotonic(), datetime.now(UTC)
        for shown in window:
            self.served.setdefault(shown.edition.name, instant)
            self.served_at.setdefault(shown.edition.name, wall)
        self._changed.set()

    def note_kept(self, window: Iterable[Shown]) -> None:
        """Note that the reader asked again with the validator of *window*."""
        self._kept.update(shown.edition.name for shown in window)
        self._changed.set()

    # -- what the player asks

    @property
    def minute(self) -> float:
        """Story minutes since the live part began; it stands still while the story waits for its reader."""
        if self._since is None:
            return 0.0
        minutes, instant = self._since
        return min(minutes + (time.monotonic() - instant) * self.speed, self._next_at)

    @property
    def shown(self) -> Sequence[Shown]:
        """Every text that is or was out, in the order of appearance."""
        return self._shown

    async def backfill_read(self) -> None:
        """Return when every text that was there before the first poll has been served."""
        await self._until(lambda: all(edition.name in self.served for edition in self.story.backfill))

    async def run(self) -> None:
        """Let the live texts appear one after the other, and return when the last has been read as patience asks."""
        await self.caught_up()
        self._since = (0.0, time.monotonic())
        for edition in self.story.live:
            self._next_at = edition.at
            await asyncio.sleep(max(0.0, edition.at - self._since[0]) / self.speed)
            await self.caught_up()
            self._show(edition, datetime.now(UTC))
            self._since = (edition.at, time.monotonic())
        await self.caught_up()

    async def caught_up(self) -> None:
        """Return when the reader has what is out, as far as patience asks."""
        match self.patience:
            case Patience.NONE:
                return
            case Patience.SERVED:
                await self._until(lambda: all(shown.edition.name in self.served for shown in self._shown))
            case Patience.KEPT:
                await self._until(lambda: all(shown.edition.name in self._kept for shown in self._shown))

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed.clear()
            await self._changed.wait()

    def _show(self, edition: Edition, now: datetime) -> None:
        earlier = next((shown for shown in self._shown if shown.edition.article == edition.article), None)
        self._shown.append(Shown(edition=edition, published=earlier.published if earlier else now, updated=now))
