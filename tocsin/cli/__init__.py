"""The command line. Each command is a module of this package that is imported only when it is asked for.

Exit codes: 0 fine, 1 found something wrong, 2 could not do it.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command
from typing_extensions import override

from tocsin.errors import SettingsInvalid, TocsinError

if TYPE_CHECKING:
    from collections.abc import Sequence

# In the order of `tocsin --help`. A module has a function of the command's name, or an `app` with commands of its own.
COMMANDS: Final = ("run", "demo", "init", "check", "test", "scan", "parse-feed", "why", "feeds", "token", "export")
COULD_NOT: Final = 2


class _Lazy(TyperGroup):
    """Commands whose modules are imported when needed: `tocsin check` waits for no web server."""

    @override
    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        module = importlib.import_module(f"tocsin.cli.{name}")
        app: typer.Typer | None = getattr(module, "app", None)
        if app is None:
            app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
            app.command(cmd_name)(getattr(module, name))
        command = get_command(app)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=_Lazy,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Watches news feeds and rings once per step of an escalation.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tocsin {version('tocsin')}")
        raise typer.Exit


@app.callback()
def _tocsin(
    *,
    version: bool = typer.Option(
        False, "--version", help="Say which version this is.", callback=_version, is_eager=True
    ),
) -> None: ...


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; never returns, the exit code tells how it went."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="tocsin")
    except SettingsInvalid as error:
        sys.stderr.write(f"{error}\n")
    except TocsinError as error:
        sys.stderr.write(f"tocsin: {error}\n")
    sys.exit(COULD_NOT)
