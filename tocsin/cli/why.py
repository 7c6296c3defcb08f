"""`tocsin why`: asks the running service, or the store itself when nothing runs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli.options import DATA, ConfigOption, DataOption, JsonOption, settings_of
from tocsin.cli.state import opened, opened_archive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tocsin.records import Article
    from tocsin.settings import Settings

SIGNS = {"yes": "[green]✓[/]", "no": "[red]✗[/]", "not yet": "[yellow]…[/]", "passed over": "[dim]–[/]"}


def why(
    query: Annotated[
        list[str], typer.Argument(help="A URL, words of a title, or the beginning of the id of an alert or a burst.")
    ],
    *,
    config: ConfigOption = None,
    data: DataOption = DATA,
    as_json: JsonOption = False,
) -> None:
    """Say why something rang, or which stage said no and what would change it.

    Walks every stage: feed, article, detection and the scopes that took one away, what was known, routing, delivery.
    """
    folder = data.absolute()
    question = " ".join(query).strip()
    if not question:
        raise typer.BadParameter("ask with a URL, words of a title, or the beginning of an alert's id")
    answer = asyncio.run(_ask(question, config=config, folder=folder))
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2, default=str))
    else:
        _show(answer)
    raise typer.Exit(0 if answer["ways"] else 1)


async def _ask(question: str, *, config: Path | None, folder: Path) -> Mapping[str, Any]:
    from tocsin.control import ControlClient, NothingRuns

    try:
        answer: Mapping[str, Any] = await ControlClient(folder).get("/api/why", {"q": question})
    except NothingRuns:
        answer = await _look(question, settings_of(config, folder))
    return answer


async def _look(question: str, settings: Settings) -> Mapping[str, Any]:
    from detectors.engine import prepare
    from tocsin.stages.detecting import explain_record
    from tocsin.stream.codec import encode
    from tocsin.why import why as ask

    async def explain(article: Article) -> Sequence[str]:
        return explain_record(prepare(settings.detectors), encode(article))

    async with opened(settings, name="why") as store:
        with opened_archive(settings) as archive:
            return await ask(question, store=store, archive=archive, explain=explain, feeds=settings.sources.all())


def _show(answer: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    for way in answer["ways"]:
        console.print(f"\n[bold]{escape(way['title'])}[/]\n[dim]{escape(way['url'])}[/]")
        for stop in way["stages"]:
            sign = SIGNS.get(stop["says"], " ")
            console.print(f"  {sign} [cyan]{stop['stage']:<10}[/] {escape(stop['what'])}")
        if way["first_no"]:
            no = way["first_no"]
            change = f" What would change it: {escape(no['change'])}" if no["change"] else ""
            console.print(f"  [bold]The first no:[/] {no['stage']}.{change}")
    if not answer["ways"]:
        missing = answer["missing"]
        console.print(f"{SIGNS['no']} {escape(missing['what'])}\n  What would change it: {escape(missing['change'])}")
    elif answer["found"] > len(answer["ways"]):
        console.print(f"\n[dim]{answer['found'] - len(answer['ways'])} more articles fit; ask with more words.[/]")
