"""`tocsin feeds`."""

from __future__ import annotations

import json
import sys

import typer

from tocsin.cli.options import DATA, ConfigOption, DataOption, JsonOption, settings_of

COLUMNS = ("id", "language", "country", "tier", "owner", "url")

feeds = typer.Typer(no_args_is_help=True, help="List the feeds, or try them.")


@feeds.callback()
def _feeds() -> None: ...


@feeds.command("list")
def list_feeds(config: ConfigOption = None, data: DataOption = DATA, *, as_json: JsonOption = False) -> None:
    """List the feeds of the configuration."""
    rows = [
        {
            "id": feed.id,
            "language": feed.language,
            "country": feed.country,
            "tier": feed.source.tier.value,
            "owner": feed.source.owner,
            "weight": feed.weight,
            "verified": feed.verified,
            "url": feed.url,
        }
        for feed in settings_of(config, data).sources.all()
    ]
    if as_json:
        json.dump(rows, sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
        return
    table = [[str(row[name] or "-") for name in COLUMNS] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(COLUMNS, *table, strict=True)]
    for line in (list(COLUMNS), *table):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
