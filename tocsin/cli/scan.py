"""`tocsin scan`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli.options import DATA, ConfigOption, DataOption, JsonOption, settings_of

if TYPE_CHECKING:
    from detectors.engine import Engine
    from detectors.scan import ScanResult
    from tocsin.cli.page import Piece


def scan(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE|URL|-", help="A text, a web page or a feed; - is standard input.", show_default=False
        ),
    ] = None,
    jsonl: Annotated[
        Path | None,
        typer.Option(
            "--jsonl",
            metavar="FILE",
            help='Lines {"id","title","text","lang"?,"published"?}; one line each comes out. - is standard input.',
        ),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="What the text is written in, as de; else it is recognised.")
    ] = None,
    config: ConfigOption = None,
    data: DataOption = DATA,
    *,
    rejected: Annotated[bool, typer.Option("--rejected", help="Show what was weighed and not taken, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what the rules find in a text, with the words that prove it."""
    if (source is None) == (jsonl is None):
        raise typer.BadParameter("give either FILE|URL|- or --jsonl FILE")
    if jsonl is not None:
        _lines(jsonl, _engine(config, data), language)
        return
    from tocsin.cli.page import pieces
    from tocsin.cli.source import open_source

    found = pieces(open_source(str(source)), str(source))
    engine = _engine(config, data)
    if as_json:
        from detectors.scan import to_json

        for piece in found:
            _put(to_json(_scanned(engine, piece, language)))
        return
    from tocsin.cli.findings import show

    for piece in found:
        show(piece, _scanned(engine, piece, language), rejected=rejected, alone=len(found) == 1)


def _engine(config: Path | None, data: Path) -> Engine:
    from detectors.engine import prepare

    return prepare(settings_of(config, data).detectors)


def _scanned(engine: Engine, piece: Piece, language: str | None) -> ScanResult:
    from detectors.scan import scan as scan_text

    return scan_text(
        engine,
        id=piece.id,
        title=piece.title,
        text=piece.text,
        language=language or piece.language,
        published=piece.published,
    )


def _lines(path: Path, engine: Engine, language: str | None) -> None:
    """Answer each line with a line, in order, while they come.

    Raises:
        Stop: the file cannot be read, or a line is none of ours; the lines before it are answered.
    """
    from detectors.scan import scan as scan_text, to_json
    from tocsin.cli.corpus import articles

    for article in articles(path):
        result = scan_text(
            engine,
            id=article["id"],
            title=article["title"],
            text=article["text"],
            language=article.get("lang") or language,
            published=article.get("published"),
        )
        _put(to_json(result))


def _put(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
