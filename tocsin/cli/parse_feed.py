"""`tocsin parse-feed`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.options import JsonOption

if TYPE_CHECKING:
    from ingest.parse import ParsedFeed


def parse_feed(
    source: Annotated[str, typer.Argument(metavar="FILE|URL|-", help="A feed document; - is standard input.")],
    content_type: Annotated[
        str | None, typer.Option(help="What HTTP would say, as `text/xml; charset=koi8-r`.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Where the document comes from; relative links are resolved on it.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show what a feed document says: RSS, RDF, Atom or JSON Feed.

    Exits 2, with one line on standard error, when it is no feed.
    """
    from ingest.parse import parse, to_json
    from tocsin.cli.source import open_source

    document = open_source(source, content_type=content_type, base_url=base_url)
    feed = parse(document)
    if as_json:
        json.dump(to_json(feed), sys.stdout, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        _show(feed)


def _show(feed: ParsedFeed) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(
        Text(feed.title or "(no title)", style="bold"), Text(f"  {feed.language or ''}  {feed.url or ''}", style="dim")
    )
    for entry in feed.entries:
        when = (
            f"{entry.published or entry.updated:%Y-%m-%d %H:%M}"
            if entry.published or entry.updated
            else "no date".ljust(16)
        )
        console.print(Text(f"{when}  ", style="dim"), Text(entry.title or "(no title)"), sep="")
        if entry.url:
            console.print(Text(f"{'':18}{entry.url}", style="dim"), soft_wrap=True)
    for warning in feed.warnings:
        console.print(Text(f"warning: {warning}", style="yellow"))
