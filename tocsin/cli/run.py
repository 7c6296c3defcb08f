"""`tocsin run`: the long-lived service."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer
import uvloop

from tocsin.cli.options import DATA, ConfigOption, DataOption, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tocsin.settings import Settings

STAGE_DRAIN_S: Final = 6.0  # of the ten seconds that a service manager is promised; the rest closes store and children
LAST_RESORT_S: Final = 9.5


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
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, load))


async def _serve(settings: Settings, load: Callable[[], Settings]) -> None:
    from tocsin.app import run as serve

    loop = asyncio.get_running_loop()
    reload_asked = asyncio.Event()
    service = asyncio.ensure_future(serve(settings, load=load, reload_asked=reload_asked, stage_drain_s=STAGE_DRAIN_S))

    def stop() -> None:
        service.cancel()
        # A stage or thread that will not end must not keep the service manager waiting for its own SIGKILL.
        loop.call_later(LAST_RESORT_S, partial(os._exit, 0))

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
    loop.add_signal_handler(signal.SIGHUP, reload_asked.set)
    with suppress(asyncio.CancelledError):
        await service
    sys.stderr.flush()
