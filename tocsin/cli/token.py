"""`tocsin token`: make the tokens that programs and browsers show."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
SCOPES = ("operate", "read", "metrics")

token = typer.Typer(help="Tokens for the web and the API.", no_args_is_help=True)


@token.callback()
def _group() -> None:
    """Keep `create` a command of its own; typer would make a single command the group itself."""


@token.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will use it; the audit shows this name.")],
    scope: Annotated[
        list[str], typer.Option(help="operate (change and read), read, or metrics; may be given several times.")
    ],
) -> None:
    """Make a token. It is shown this once; the configuration gets only its hash."""
    from web.tokens import hash_of, new_token

    if not NAME.fullmatch(name):
        raise typer.BadParameter(f"{name!r}: use lower-case letters, digits and hyphens", param_hint="NAME")
    for each in scope:
        if each not in SCOPES:
            raise typer.BadParameter(f"{each!r} is none of {', '.join(SCOPES)}", param_hint="--scope")
    made = new_token()
    typer.echo(f"{name}'s token, shown only now:\n\n  {made}\n")
    typer.echo("Put this line under tocsin.web.tokens, and reload:\n")
    typer.echo(f"  {yaml_line(name, scope, hash_of(made))}")


def yaml_line(name: str, scopes: Sequence[str], hash_: str) -> str:
    """Return the entry for the configuration. The hash has a colon, so it is quoted."""
    return f'- {{id: {name}, scopes: [{", ".join(dict.fromkeys(scopes))}], hash: "{hash_}"}}'
