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

# In the order of `tocsin --help`, which imports none of them. A module of this package has a function of the command's
# name, or a `typer.Typer` of that name with commands of its own.
COMMANDS: Final = {
    "run": "Run the service until it is told to stop.",
    "demo": "Play a story to the real service and show what rings, and why.",
    "init": "Write a configuration to start from.",
    "check": "Check a configuration, rules and all.",
    "test": "Run the tests that stand beside the rules.",
    "lint": "Look for what is doubtful in rules and lexicons.",
    "eval": "Measure the rules on labelled cases.",
    "backtest": "Compare the rules with old ones on a corpus.",
    "scan": "Show what the rules find in a text.",
    "explain": "Show for every sentence what matched, what a scope took away, and why.",
    "parse-feed": "Show what a feed document says.",
    "why": "Say why something rang, or which stage said no.",
    "tail": "Show the records of a topic as they come.",
    "feeds": "List the feeds, or try them.",
    "token": "Make tokens for the web interface.",
    "status": "Say whether all is well.",
    "doctor": "Look for damage in what is stored, and mend what can be mended.",
    "dead-letters": "List what was set aside, look at it, replay it or drop it.",
    "export": "Print what was changed by web or command line, as YAML.",
    "schemas": "Print what the records of the topics are, for other programs.",
}
COULD_NOT: Final = 2


class _Lazy(TyperGroup):
    """Commands whose modules are imported when needed: `tocsin check` waits for no web server."""

    _is_listing = False

    @override
    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._is_listing = True
        super().format_help(ctx, formatter)

    @override
    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    @override
    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            from tocsin.mistakes import did_you_mean

            ctx.fail(f"There is no command {cmd_name!r}{did_you_mean(cmd_name, COMMANDS)}")
        name = cmd_name.replace("-", "_")
        command = typer.Typer()
        if self._is_listing:
            command.command(cmd_name, help=COMMANDS[cmd_name])(lambda: None)
        else:
            found = getattr(importlib.import_module(f"tocsin.cli.{name}"), name)
            if isinstance(found, typer.Typer):
                command = found
            else:
                command.command(cmd_name)(found)
        command.rich_markup_mode = None  # to import rich for a page of help takes longer than all else
        command._add_completion = False  # noqa: SLF001  typer has no other way to say so afterwards
        made = get_command(command)
        made.name = cmd_name
        return made


app = typer.Typer(
    cls=_Lazy,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
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
