"""`tocsin status`: one screen that says whether all is well."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from tocsin.cli.options import DATA, DataOption, JsonOption
from tocsin.cli.terminal import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ILL: Final = 1


def status(data: DataOption = DATA, *, as_json: JsonOption = False) -> None:
    """Say whether all is well with the service on this data directory.

    Exit code 0: every stage works; 1: something does not, and the first lines say what; 2: no service answers.
    """
    from tocsin.control import ControlClient

    told: dict[str, Any] = asyncio.run(ControlClient(data.absolute()).get("/api/status"))
    if as_json:
        json.dump(told, sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _lines(told)))
    if not told["ready"]:
        sys.exit(ILL)


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    """Write the answer of `/api/status` for people: what is wrong first."""
    yield "all is well" if told["ready"] else "not ready"
    yield from (f"  {plain(reason)}" for reason in told["unready"])
    yield f"version {told['version']}, rules {str(told['rules'])[:12]}, at {told['time']}"
    yield "stages"
    wide = max((len(stage["name"]) for stage in told["stages"]), default=0)
    for stage in told["stages"]:
        state = "running" if stage["running"] else "not running"
        trouble = f", {stage['restarts']} restarts, last: {plain(stage['trouble'])}" if stage["restarts"] else ""
        yield f"  {plain(stage['name']):{wide}}  {state}{trouble}"
    yield "waiting records"
    yield from (f"  {name}: {behind:,}" for name, behind in told["lag"].items())
    yield "bytes kept"
    yield from (f"  {part}: {size:,}" for part, size in told["store_bytes"].items())
    letters = told["dead_letters"]
    yield f"dead letters: {letters}{' (tocsin dead-letters list)' if letters else ''}"
