"""The demo's story told to a service that tests may kill: feeds and sinks in this process, the service in its own."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.harness import Service
from tocsin.demo.feeds import feed_server
from tocsin.demo.judgement import Judgement, judge
from tocsin.demo.playback import Patience, Playback
from tocsin.demo.rings import Board, fits
from tocsin.demo.service import Place, free_port, write_config
from tocsin.demo.sinks import Arrival, sinks
from tocsin.demo.story import Story, bundled
from tocsin.records import MessageKind

if TYPE_CHECKING:
    from pathlib import Path


SETTLE_S = 30


@dataclass(slots=True, kw_only=True)
class Theatre:
    """A story that is being told, who listens, and the service in between."""

    story: Story
    playback: Playback
    board: Board
    service: Service
    place: Place

    def read_file(self) -> None:
        """Give the board every whole line of the file receiver that it has not seen."""
        known = len(self.board.messages) + sum(message.repeats for message in self.board.messages)
        for line in self.service.messages()[known:]:
            self.board.read(json.dumps(line))

    def judgement(self) -> Judgement:
        """Lay what arrived beside what the story expects."""
        self.read_file()
        return judge(self.story, self.board, self.playback.served)

    def repeats(self) -> Counter[str]:
        """How often each sink got something more than once; the file by key, the others by title."""
        again: Counter[str] = Counter(stray.sink for stray in self.board.strays if self._is_told(stray))
        again["file"] = sum(message.repeats for message in self.board.messages)
        return again

    def strangers(self) -> Sequence[Arrival]:
        """What arrived at a sink and stands in no line of the file."""
        return [stray for stray in self.board.strays if not self._is_told(stray)]

    def wrong(self) -> list[str]:
        """Every expected ring that is missing or different, and every ring that nobody expected."""
        found = self.judgement()
        faults = [f"{verdict.edition.title}: {verdict.wrong}" for verdict in found.verdicts if verdict.fatal]
        return faults + [f"unasked: {message.line.title}" for message in found.unasked if message.line.rings]

    def _is_told(self, stray: Arrival) -> bool:
        return any(fits(message.line, stray) for message in self.board.messages)


@asynccontextmanager
async def theatre(
    folder: Path,
    *,
    speed: float = 100.0,
    patience: Patience = Patience.KEPT,
    more_feeds: str = "",
    receivers: str = "",
    main: str = "",
) -> AsyncIterator[Theatre]:
    """Yield everything but a running service; *more_feeds* and *receivers* are added to the written files.

    *main* is added to the `tocsin` key.
    """
    story = bundled()
    playback = Playback(story, speed=speed, patience=patience)
    board = Board()
    place = Place(folder=folder)
    async with feed_server(playback) as feeds, sinks(board.hear) as listening:
        write_config(place, story, feeds, listening, web_port=free_port())
        for name, text in (("feeds.yaml", more_feeds), ("tocsin.yaml", main)):
            with (place.config / name).open("a", encoding="utf-8") as file:
                file.write(text)
        if receivers:
            with (place.config / "receivers.yaml").open("a", encoding="utf-8") as file:
                file.write(receivers)
            names = ", ".join(line.strip().split(":")[0] for line in receivers.splitlines() if line.strip())
            path = place.config / "subscriptions.yaml"
            path.write_text(path.read_text("utf-8").replace("to: [slack", f"to: [{names}, slack"), "utf-8")
        async with Service(config=place.config, data=place.data) as service:
            yield Theatre(story=story, playback=playback, board=board, service=service, place=place)


async def has_opened(scene: Theatre) -> bool:
    scene.read_file()
    return any(
        message.line.kind is MessageKind.DIGEST and message.heard.keys() >= {"slack", "mail"}
        for message in scene.board.messages
    )


async def until_calm(scene: Theatre) -> None:
    """Return when nothing has arrived anywhere for three seconds."""
    seen = -1
    async with asyncio.timeout(SETTLE_S):
        while seen != (seen := len(scene.service.messages()) + sum(len(m.heard) for m in scene.board.messages)):
            await asyncio.sleep(3)
