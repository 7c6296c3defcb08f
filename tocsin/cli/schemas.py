"""`tocsin schemas`: what the records on the topics are, for programs, and files of configuration, for editors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def schemas(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="A topic, `asyncapi`, `rules` …; without it, what there is.", show_default=False
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Write all of them into this directory.", show_default=False)
    ] = None,
) -> None:
    """Print the JSON Schema of a topic's records or of a kind of configuration file, or the topics' AsyncAPI document.

    With --to, exits 1 and writes nothing when a schema that lies there promises what does not hold any more.
    """
    from tocsin.configschemas import FILES, FOLDER, config_file
    from tocsin.stream.contract.files import SUFFIX, broken, file, names

    known = {each.removesuffix(SUFFIX): each for each in names()}
    if name is not None and name in FILES:
        sys.stdout.write(config_file(name).decode())
    elif name is not None:
        wanted = name.removesuffix(SUFFIX)
        if wanted not in known:
            from tocsin.mistakes import did_you_mean

            raise typer.BadParameter(f"there is no schema {name!r}{did_you_mean(wanted, [*known, *FILES])}")
        sys.stdout.write(file(known[wanted]).decode())
    elif to is None:
        sys.stdout.write("".join(f"{each}\n" for each in [*known, *FILES]))
    else:
        taken_back = broken(to) if to.is_dir() else []
        if taken_back:
            sys.stderr.write("".join(f"{each}\n" for each in taken_back))
            raise typer.Exit(1)
        to.mkdir(parents=True, exist_ok=True)
        for each in known.values():
            (to / each).write_bytes(file(each))
        (to / FOLDER).mkdir(exist_ok=True)
        for kind in FILES:
            (to / FOLDER / f"{kind}{SUFFIX}").write_bytes(config_file(kind))
