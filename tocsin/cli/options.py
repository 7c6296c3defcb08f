"""Options that several commands share, and the one place that reads the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tocsin.settings import Settings

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="TOCSIN_CONFIG",
        help="A directory whose files replace the shipped ones of the same name.",
        show_default="only the shipped files",
    ),
]
DataOption = Annotated[
    Path,
    typer.Option(
        "--data", envvar="TOCSIN_DATA", help="The directory that holds all state; relative paths start there."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DATA = Path("data")


def settings_of(config: Path | None, data: Path, *, compiled: str = "", every_pack: bool = False) -> Settings:
    """Load and check the configuration, with this process's environment for its secrets (see `load_settings`).

    Raises:
        SettingsInvalid: with every mistake of every file.
    """
    from tocsin.settings import load_settings

    return load_settings(
        config, data_dir=data.absolute(), environment=os.environ, compiled=compiled, every_pack=every_pack
    )
