"""`tocsin run`: the long-lived service."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Final

import typer
import uvloop

from tocsin.cli.options import DATA, ConfigOption, DataOption, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from tocsin.settings import Settings

STAGE_DRAIN_S: Final = 6.0  # of the ten seconds that a service manager is promised; the rest closes store and children
LAST_RESORT_S: Final = 9.5
STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


def run(
    *,
    config: ConfigOption = None,
    data: DataOption = DATA,
    level: Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the service until SIGTERM or Ctrl-C.

    SIGTERM drains within ten seconds and exits 0. SIGHUP reads the configuration again; a wrong one changes nothing
    and is told in the log.
    """
    reload_asked = asyncio.Event()
    for number in STOPPING:
        signal.signal(number, _leave)
    signal.signal(signal.SIGHUP, lambda *_: reload_asked.set())
    from tocsin import logs
    from tocsin.datadir import held

    logs.configure(level=level)
    folder = data.absolute()

    def load() -> Settings:
        loaded = settings_of(config, folder)
        logs.hide(loaded.secrets())
        return loaded

    settings = load()
    with held(folder):
        typer.echo(f"tocsin: state in {folder}, rules {settings.detectors.version[:12]}", err=True)
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(settings, load, reload_asked))
        finally:
            for number in (*STOPPING, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End the process before the service has begun: there is nothing yet to drain."""
    raise SystemExit(0)


async def _serve(settings: Settings, load: Callable[[], Settings], reload_asked: asyncio.Event) -> None:
    from tocsin.app import run as serve
    from tocsin.clock import SystemClock
    from tocsin.health import Health

    loop = asyncio.get_running_loop()
    health = Health(SystemClock())
    running = serve(settings, load=load, reload_asked=reload_asked, health=health, stage_drain_s=STAGE_DRAIN_S)
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
