"""`tocsin run`: the long-lived service."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
import uvloop

from tocsin.cli.options import DATA, ConfigOption, DataOption, settings_of
from tocsin.errors import Stop
from tocsin.mistakes import did_you_mean
from tocsin.records import digest
from tocsin.stages import PRELOAD, WORK

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import FrameType

    from tocsin.settings import Settings

STAGE_DRAIN_S: Final = 6.0  # of the ten seconds that a service manager is promised; the rest closes store and children
LAST_RESORT_S: Final = 9.5
STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
COMPILED: Final = "rules.compiled"  # names the rules that compiled at the last start, and the version they did with
CHILDREN_FOR: Final = frozenset({"ingest", "detectors"})
SWITCH_S: Final = 0.001  # how long the loop waits for a thread of ours: Python's 5 ms starve the children
WEB: Final = "web"  # which every process serves; alone it means: nothing else


class Level(StrEnum):
    """How grave a line must be to be logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def run(
    stages: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STAGE]...",
            help="What of the work this process does, in mode cluster: ingest, detectors, incidents, notifier, archive,"
            " or only web.",
            show_default="all",
        ),
    ] = None,
    *,
    config: ConfigOption = None,
    data: DataOption = DATA,
    listen: Annotated[
        str | None,
        typer.Option("--listen", metavar="HOST:PORT", help="Where the web is served, instead of web.listen."),
    ] = None,
    level: Annotated[Level, typer.Option("--log-level", case_sensitive=False, help="The least that is logged.")] = (
        Level.INFO
    ),
) -> None:
    """Run the service until SIGTERM or Ctrl-C.

    SIGTERM drains within ten seconds and exits 0. SIGHUP reads the configuration again; a wrong one changes nothing
    and is told in the log. In mode cluster any number of processes share the work, each with a data directory and an
    address of its own; every one serves the web.
    """
    reload_asked = asyncio.Event()
    sys.setswitchinterval(SWITCH_S)
    for number in STOPPING:
        signal.signal(number, _leave)
    signal.signal(signal.SIGHUP, lambda *_: reload_asked.set())
    if not stages or CHILDREN_FOR & set(stages):
        from tocsin.workers import start_fork_server

        start_fork_server(PRELOAD)  # it imports as long as we do
    from tocsin import logs
    from tocsin.datadir import held

    logs.configure(level=level)
    folder = data.absolute()
    note = folder / COMPILED

    def load() -> Settings:
        loaded = settings_of(config, folder, compiled=_compiled(note))
        logs.hide(loaded.secrets())
        return loaded if listen is None else loaded.listening_on(listen)

    settings = load()
    work = _work(stages, settings)
    with held(folder):
        typer.echo(f"tocsin: state in {folder}, rules {settings.detectors.version[:12]}", err=True)
        _note_compiled(note, settings.detectors.version)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(settings, load, reload_asked, work))
        finally:
            for number in (*STOPPING, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)


def _work(stages: list[str] | None, settings: Settings) -> Collection[str]:
    """Return what of the work this process does.

    Raises:
        Stop: there is no such stage, or this mode cannot be shared out.
    """
    if not stages:
        return WORK
    for name in stages:
        if name not in {*WORK, WEB}:
            raise Stop(f"there is no stage {name!r}{did_you_mean(name, (*WORK, WEB))}: {', '.join((*WORK, WEB))}")
    if settings.tocsin.mode == "embedded":
        raise Stop("mode embedded is one process that does everything: name no stage, or set mode: cluster")
    return frozenset(stages) - {WEB}


def _compiled(note: Path) -> str:
    """Return the version of the rules that are known to compile with this very program; empty when none are."""
    with contextlib.suppress(OSError, ValueError):
        rules, program = note.read_text("utf-8").split()
        return rules if program == _program() else ""
    return ""


def _note_compiled(note: Path, rules: str) -> None:
    if _compiled(note) != rules:
        with contextlib.suppress(OSError):  # then it takes a second longer the next time, too
            note.write_text(f"{rules} {_program()}\n", "utf-8")


def _program() -> str:
    """Name the code that compiles rules, by the times at which its files were written."""
    import detectors

    folder = Path(detectors.__file__).parent
    return digest(*(f"{path.name} {path.stat().st_mtime_ns}" for path in sorted(folder.glob("*.py"))))


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End the process before the service has begun: there is nothing yet to drain."""
    raise SystemExit(0)


async def _serve(
    settings: Settings, load: Callable[[], Settings], reload_asked: asyncio.Event, work: Collection[str]
) -> None:
    from tocsin.app import run as serve
    from tocsin.clock import SystemClock
    from tocsin.health import Health

    loop = asyncio.get_running_loop()
    health = Health(SystemClock())
    running = serve(
        settings, load=load, reload_asked=reload_asked, health=health, stage_drain_s=STAGE_DRAIN_S, work=work
    )
    service = asyncio.ensure_future(running)
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:  # being told once more must not cut short what drains
            stopping = True
            _end_at_last(0)
            health.drain()
            service.cancel()

    for number in STOPPING:
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, reload_asked.set)
    try:
        await service
    except asyncio.CancelledError:
        sys.stderr.flush()
    except BaseException:
        _end_at_last(2)
        raise


def _end_at_last(code: int) -> None:
    """End the process by force should it still be there after `LAST_RESORT_S`.

    A stage or thread that will not end must not keep the service manager waiting for its own SIGKILL, nor the data
    directory from the next process. A thread, as the loop may be over when it is waited for.
    """
    timer = threading.Timer(LAST_RESORT_S, os._exit, (code,))
    timer.daemon = True
    timer.start()
