"""The whole demo: feeds, sinks and the real service, from the first poll to the reckoning."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp

from tocsin.demo.feeds import feed_server
from tocsin.demo.judgement import judge
from tocsin.demo.playback import SPEED, Playback
from tocsin.demo.rings import Board, Message, cause
from tocsin.demo.screen import Screen
from tocsin.demo.service import Place, Service, free_port, service, write_config
from tocsin.demo.sinks import sinks
from tocsin.demo.story import Story, bundled
from tocsin.errors import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator

STARTUP_DEADLINE_S: Final = 60.0
OPENING_DEADLINE_S: Final = 20.0
SETTLE_S: Final = 3.0  # after the last text, for what is still under way
SETTLE_DEADLINE_S: Final = 12.0
READ_EVERY_S: Final = 0.05
TOLD_AFTER_S: Final = 1.0  # a message is shown when every sink has it, or after this time
METRICS_DEADLINE_S: Final = 5.0
RINGING_SINKS: Final = frozenset({"slack", "mail"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks. `folder` stays after the end; without one a temporary folder goes with it."""

    speed: float = SPEED
    keep: bool = False
    plain: bool = False
    folder: Path | None = None


@dataclass(slots=True, kw_only=True)
class _Stage:
    """What the parts of a running demo share. `told` are the names and keys that the screen has shown."""

    story: Story
    playback: Playback
    board: Board
    screen: Screen
    place: Place
    running: Service
    told: set[str]
    read: int = 0


async def play(options: Options) -> int:
    """Run the demo and return the exit code: 0 when every expected ring came and none besides, else 1.

    Raises:
        Stop: it cannot run at all: the folder is in use, or the service did not start.
    """
    story = bundled()
    playback = Playback(story, speed=options.speed)
    board = Board()
    with folder_of(options.folder) as place, Screen(plain=options.plain, minutes=story.minutes) as screen:
        async with feed_server(playback) as feeds, sinks(board.hear) as listening:
            web_port = free_port()
            write_config(place, story, feeds, listening, web_port=web_port)
            screen.say(
                f"“{story.title}”: {len(story.editions)} texts from {len(story.outlets)} invented outlets,"
                f" about {(story.minutes / options.speed):.0f} s. The service starts; its log: {place.log}"
            )
            async with service(place, web_port=web_port) as running:
                stage = _Stage(
                    story=story,
                    playback=playback,
                    board=board,
                    screen=screen,
                    place=place,
                    running=running,
                    told=set(),
                )
                await _perform(stage)
                seen = await _articles_seen(running.web_url)
                judgement = judge(story, board, playback.served)
                if options.keep:
                    screen.reckoning(judgement, playback, feeds, seen=seen, ending="goes on")
                    screen.addresses(place, feeds, playback, running.web_url)
                    await _interrupted(running)
            if not options.keep:
                screen.reckoning(judgement, playback, feeds, seen=seen, ending=running.ending)
        for refusal in listening.refused:
            screen.say(f"the webhook refused a message: {refusal}", "red")
        if not judgement.is_right and options.folder is None:
            screen.say("`tocsin demo --data DIR` keeps the service's log and state for a closer look.")
    return 0 if judgement.is_right else 1


async def _perform(stage: _Stage) -> None:
    """Play the story to its end and show what comes of it.

    Raises:
        Stop: the service ended, or never polled.
    """
    async with asyncio.TaskGroup() as tasks:
        ended = tasks.create_task(stage.running.process.wait(), name="service")
        acting = tasks.create_task(_act(stage), name="story")
        watching = tasks.create_task(_watch(stage), name="screen")
        await asyncio.wait({ended, acting}, return_when=asyncio.FIRST_COMPLETED)
        trouble = acting.result() if acting.done() else f"the service ended with {ended.result()}"
        for task in (ended, acting, watching):
            task.cancel()
    _look(stage)
    if trouble:
        raise Stop(f"{trouble}; the end of its log:\n{stage.running.log_tail()}")


async def _act(stage: _Stage) -> str:
    """Wait for the first polls and the opening picture, play, and wait until all is quiet; return what went wrong."""
    try:
        async with asyncio.timeout(STARTUP_DEADLINE_S):
            await stage.playback.backfill_read()
    except TimeoutError:
        return f"the service has not polled every feed within {STARTUP_DEADLINE_S:.0f} s"
    with suppress(TimeoutError):
        async with asyncio.timeout(OPENING_DEADLINE_S):
            await stage.board.until(lambda messages: any(_has_arrived(message) for message in messages))
    await stage.playback.run()
    await asyncio.sleep(SETTLE_S)
    with suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_DEADLINE_S):
            await stage.board.until(lambda messages: all(_has_arrived(message) for message in messages))
    return ""


async def _watch(stage: _Stage) -> None:
    while True:
        _look(stage)
        await asyncio.sleep(READ_EVERY_S)


def _look(stage: _Stage) -> None:
    """Read what is new in the alerts' file, and show what is new everywhere, in the order in which it happened."""
    board, playback, screen = stage.board, stage.playback, stage.screen
    stage.read = _read_new_lines(stage.place.alerts, board, stage.read)
    for edition in stage.story.editions:
        if edition.name in playback.served and edition.name not in stage.told:
            stage.told.add(edition.name)
            screen.shown(edition, playback.served_at[edition.name])
    editions = {edition.name: edition for edition in stage.story.editions}
    for message in board.messages:
        ripe = _has_arrived(message) or time.monotonic() - message.noticed > TOLD_AFTER_S
        if ripe and message.line.key not in stage.told:
            stage.told.add(message.line.key)
            screen.rang(message, cause(message, editions, playback.served), playback.served)
    screen.tick(playback, sum(message.line.rings for message in board.messages))


def _read_new_lines(path: Path, board: Board, offset: int) -> int:
    """Give *board* the whole lines beyond *offset*, and return how far that was."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            fresh = file.read()
    except FileNotFoundError:
        return offset
    whole = fresh[: fresh.rfind(b"\n") + 1]
    for line in whole.splitlines():
        if line.strip():
            board.read(line.decode("utf-8", "replace"))
    return offset + len(whole)


def _has_arrived(message: Message) -> bool:
    return message.heard.keys() >= RINGING_SINKS


async def _articles_seen(web_url: str) -> str:
    """Ask the service itself how many texts it has accepted."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=METRICS_DEADLINE_S)) as client,
            client.get(f"{web_url}/metrics") as response,
        ):
            text = await response.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        return f"unknown: {web_url}/metrics does not answer ({type(error).__name__})"
    for line in text.splitlines():
        if line.startswith("tocsin_articles_total"):
            return f"{float(line.split()[-1]):.0f} texts (by its own metrics)"
    return f"unknown: {web_url}/metrics has no tocsin_articles_total"


async def _interrupted(running: Service) -> None:
    """Return at Ctrl-C, or when the service has ended."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    loop.add_signal_handler(signal.SIGINT, asked.set)
    try:
        async with asyncio.TaskGroup() as tasks:
            ended = tasks.create_task(running.process.wait(), name="service")
            waiting = tasks.create_task(asked.wait(), name="interrupt")
            await asyncio.wait({ended, waiting}, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            waiting.cancel()
    finally:
        loop.remove_signal_handler(signal.SIGINT)


@contextmanager
def folder_of(folder: Path | None) -> Iterator[Place]:
    """Give the folder of this demo: *folder*, which stays, or a temporary one, which goes.

    Raises:
        Stop: *folder* holds something already, perhaps an earlier demo whose articles the service would know.
    """
    if folder is None:
        made = Path(tempfile.mkdtemp(prefix="tocsin-demo-"))
        try:
            yield Place(folder=made)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        return
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Stop(f"{folder} is not empty: a demo begins in a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    yield Place(folder=folder)
