"""`tocsin feeds`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from tocsin.cli.options import DATA, ConfigOption, DataOption, JsonOption, settings_of
from tocsin.cli.source import is_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.settings import Feed, PollingSettings
    from ingest.sources import FeedReport

    Tell: TypeAlias = Callable[[str, FeedReport], None]

AT_ONCE: Final = 16

COLUMNS: Final = ("id", "language", "country", "tier", "owner", "url")

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


@feeds.command("test")
def try_feeds(
    which: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID|URL]...", help="Which feeds; without any, all.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    data: DataOption = DATA,
    *,
    as_json: JsonOption = False,
) -> None:
    """Fetch and read feeds once, keeping nothing.

    Exits 1 when one of them does not work. An address that is in no file can be tried before it is put into one.
    """
    settings = settings_of(config, data)
    known = {feed.id: feed for feed in settings.sources.all()}
    for name in which or ():
        if name not in known and not is_url(name):
            from tocsin.mistakes import did_you_mean

            raise typer.BadParameter(f"no feed {name!r}{did_you_mean(name, known)}")
    chosen = [known.get(name, name) for name in which] if which else list(known.values())
    tell = _tell_json if as_json else _tell
    problems = asyncio.run(_try_all(chosen, settings.tocsin.polling, tell))
    if not as_json:
        typer.echo(f"{len(chosen) - problems} of {len(chosen)} feeds work")
    raise typer.Exit(1 if problems else 0)


async def _try_all(chosen: Sequence[Feed | str], polling: PollingSettings, tell: Tell) -> int:
    """Try several at a time, and tell each as it is known; return how many do not work."""
    from ingest.sources import test_feed
    from tocsin.clock import SystemClock

    places = asyncio.Semaphore(AT_ONCE)
    clock = SystemClock()
    problems = 0

    async def one(feed: Feed | str) -> None:
        nonlocal problems
        async with places:
            report = await test_feed(feed, polling=polling, clock=clock)
        problems += report.problem is not None
        tell(feed if isinstance(feed, str) else feed.id, report)

    async with asyncio.TaskGroup() as tasks:
        for number, feed in enumerate(chosen):
            tasks.create_task(one(feed), name=f"try-{number}")
    return problems


def _tell(name: str, report: FeedReport) -> None:
    if report.feed is None:
        typer.echo(f"BAD   {name}: {report.problem}  ({report.url})")
        return
    entries = report.feed.entries
    newest = max((entry.published for entry in entries if entry.published), default=None)
    typer.echo(
        f"ok    {name}: {len(entries)} items, the newest of {newest:%Y-%m-%d %H:%M}"
        if newest
        else f"ok    {name}: {len(entries)} items"
    )
    if report.moved_to:
        typer.echo(f"      moved for good to {report.moved_to}")
    for warning in report.warnings:
        typer.echo(f"      {warning}")


def _tell_json(name: str, report: FeedReport) -> None:
    told = {
        "feed": name,
        "url": report.url,
        "problem": report.problem,
        "items": len(report.feed.entries) if report.feed else None,
        "moved_to": report.moved_to,
        "warnings": list(report.warnings),
    }
    typer.echo(json.dumps(told, ensure_ascii=False))
