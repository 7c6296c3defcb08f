"""`tocsin demo`: the real service on a bundled story, with everything on loopback."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from tocsin.demo.playback import SPEED
from tocsin.demo.player import Options, play

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM


def demo(
    *,
    speed: Annotated[float, typer.Option(min=0.1, max=1000.0, help="Story minutes a second.")] = SPEED,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running until Ctrl-C.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="A new folder that stays: configuration, state, log. Default: a temporary one.")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines, without colour and progress bar.")] = False,
) -> None:
    """Play an unfolding story to the real service and show what rings, and why.

    Four invented outlets publish it on loopback, in RSS, Atom, RDF and JSON Feed; the alerts arrive in a webhook
    that answers as Slack's does and in a mailbox behind a real SMTP server. No internet is needed.
    Exit code 0: every expected ring came and none besides; 1: not so; 2: it could not run.
    """
    try:
        code = asyncio.run(_played(Options(speed=speed, keep=keep, plain=plain, folder=data)))
    except KeyboardInterrupt:
        typer.echo("tocsin demo: interrupted; the service has been stopped", err=True)
        code = INTERRUPTED
    except asyncio.CancelledError:
        code = TERMINATED
    raise typer.Exit(code)


async def _played(options: Options) -> int:
    """Play, and let SIGTERM end it in the same order as Ctrl-C does."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await play(options)
