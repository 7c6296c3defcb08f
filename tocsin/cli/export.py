"""`tocsin export`: what was changed by web or command line, in the form of the files."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tocsin.cli.options import DATA, ConfigOption, DataOption, JsonOption, settings_of
from tocsin.cli.terminal import in_yaml, plain
from tocsin.store.overlay import FEED, PAUSE


def export(data: DataOption = DATA, *, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Print what was changed by web or command line, as YAML to put into the files.

    Asks the running service, or the store itself when nothing runs. What the files say is not repeated.
    """
    changes = asyncio.run(_changes(data.absolute(), config))
    if as_json:
        json.dump(changes, sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(as_yaml(changes))


async def _changes(folder: Path, config: Path | None) -> list[dict[str, Any]]:
    from tocsin.control import ControlClient, NothingRuns

    try:
        changes: list[dict[str, Any]] = (await ControlClient(folder).get("/api/overlay"))["items"]
    except NothingRuns:
        changes = await _kept(folder, config)
    return changes


async def _kept(folder: Path, config: Path | None) -> list[dict[str, Any]]:
    """Read the store; where there is none yet, nothing was changed, and none is made."""
    from tocsin.cli.state import is_there, opened

    settings = settings_of(config, folder)
    if not is_there(settings):
        return []
    async with opened(settings, name="export") as store:
        kept = await store.read(lambda tx: tx.overlay.all())
    return [
        {"kind": one.kind, "id": one.id, "value": json.loads(one.value), "actor": one.actor, "at": one.at.isoformat()}
        for one in kept
    ]


def as_yaml(changes: list[dict[str, Any]]) -> str:
    """Write added feeds as `sources:`, and everything else, which no file can say, as comments.

    Values are written as JSON, which YAML 1.2 contains: nothing is mistaken for a number or for false.
    """
    added = [change for change in changes if change["kind"] == FEED]
    others = [change for change in changes if change["kind"] != FEED]
    lines = []
    if added:
        lines += ["# to be put into feeds.yaml, and then taken out of the overlay", "sources:", "  feeds:"]
    for change in added:
        pairs = ", ".join(f"{key}: {_written(value)}" for key, value in {"id": change["id"], **change["value"]}.items())
        lines += [f"    # added by {plain(change['actor'])}, {change['at']}", f"    - {{{pairs}}}"]
    for change in others:
        what = f"feed {change['id']} is paused" if change["kind"] == PAUSE else f"{change['kind']} {change['id']}"
        value = "" if change["kind"] == PAUSE else f": {_written(change['value'])}"
        lines.append(f"# {plain(what)}{value} (by {plain(change['actor'])}, {change['at']})")
    return "".join(f"{line}\n" for line in lines) or "# nothing was changed\n"


def _written(value: object) -> str:
    return in_yaml(json.dumps(value, ensure_ascii=False))
