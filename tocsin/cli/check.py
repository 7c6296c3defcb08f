"""`tocsin check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.options import DATA, DataOption, settings_of
from tocsin.errors import SettingsInvalid


def check(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            envvar="TOCSIN_CONFIG",
            help="Your configuration; without one the shipped files.",
            show_default=False,
        ),
    ] = None,
    data: DataOption = DATA,
) -> None:
    """Check a configuration, rules and all.

    Says nothing and exits 0 when it is right. Otherwise each mistake is a line `file:line:col: message`, and the
    exit code is 1. Secrets count: an environment variable that is not set is a mistake.
    """
    from tocsin.testfiles import read_tests

    try:
        settings = settings_of(directory, data, every_pack=True)
        read_tests(directory, rules={rule.id for rule in settings.detectors.rules})
    except SettingsInvalid as error:
        typer.echo(str(error))
        raise typer.Exit(1) from None
