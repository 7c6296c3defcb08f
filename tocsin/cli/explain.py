"""`tocsin explain`."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.options import DATA, ConfigOption, DataOption, JsonOption, settings_of
from tocsin.errors import Stop

_ID = re.compile(r"[0-9a-f]{32}")

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.console import Console

    from detectors.anatomy import Anatomy, SentenceView, Weighed
    from tocsin.cli.page import Piece
    from tocsin.records import Reading
    from tocsin.settings import Settings


def explain(
    source: Annotated[
        str,
        typer.Argument(
            metavar="ARTICLE|FILE|URL|-",
            help="The id of an article in the archive, or of a burst, a text, a web page or a feed; - is stdin.",
        ),
    ],
    language: Annotated[
        str | None, typer.Option(help="What the text is written in, as de; else it is recognised.")
    ] = None,
    config: ConfigOption = None,
    data: DataOption = DATA,
    *,
    every: Annotated[bool, typer.Option("--all", help="Show sentences without any match, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show for every sentence what matched, what a scope took away, and why."""
    from detectors.anatomy import anatomy
    from detectors.engine import prepare

    settings = settings_of(config, data)
    burst = _burst(source, settings)
    if burst is not None:
        _show_burst(burst, as_json=as_json)
        return
    found = _pieces(source, settings)
    engine = prepare(settings.detectors)
    for piece in found:
        fields = {"title": piece.title, "text": piece.text}
        laid_open = anatomy(engine, fields, language=language or piece.language, published=_instant(piece.published))
        if as_json:
            typer.echo(json.dumps({"id": piece.id, **asdict(laid_open)}, ensure_ascii=False))
        else:
            _show(piece, laid_open, every=every)


def _burst(source: str, settings: Settings) -> Reading | None:
    """Return the burst of that id, if it is one: no text, but what articles came to."""
    from tocsin.cli.state import is_there, opened_archive
    from tocsin.stream.codec import decode_reading
    from tocsin.stream.port import READINGS

    if not _ID.fullmatch(source) or Path(source).exists() or not is_there(settings):
        return None
    with opened_archive(settings) as archive:
        kept = archive.by_key(READINGS, source)
    reading = decode_reading(kept[0].value) if kept else None
    return reading if reading is not None and any(one.volume for one in reading.detections) else None


def _show_burst(burst: Reading, *, as_json: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    from tocsin.cli.terminal import plain

    if as_json:
        told = {"id": burst.article, "bursts": [asdict(one.volume) for one in burst.detections if one.volume]}
        typer.echo(json.dumps(told, ensure_ascii=False, default=str))
        return
    console = Console(highlight=False)
    console.print(Text(burst.mention.title, style="bold"))
    for volume in (one.volume for one in burst.detections if one.volume):
        console.print(Text(f"  score {volume.score}, {volume.owners} owners; some of the articles:", style="dim"))
        for article, source in zip(volume.articles, volume.sources, strict=True):
            console.print(Text(f"  ✓ {plain(source.title)} ({plain(source.owner)}) {plain(source.url)} {article}"))


def _instant(text: str | None) -> datetime | None:
    from detectors.scan import instant

    return instant(text) if text else None


def _pieces(source: str, settings: Settings) -> Sequence[Piece]:
    """Return what is meant: what can be opened, else the article of that id.

    Raises:
        Stop: it is neither.
    """
    from tocsin.cli.page import Piece, pieces
    from tocsin.cli.source import is_url, open_source

    if source == "-" or is_url(source) or Path(source).exists():
        return pieces(open_source(source), source)
    from tocsin.cli.state import is_there, opened_archive
    from tocsin.stream.codec import decode_article
    from tocsin.stream.port import ARTICLES

    if is_there(settings):
        with opened_archive(settings) as archive:
            kept = archive.by_key(ARTICLES, source)
        if kept:
            article = decode_article(kept[0].value)
            text = (
                article.text if article.text.startswith(article.summary[:200]) else f"{article.summary}\n{article.text}"
            )
            published = (article.published_at or article.seen_at).isoformat()
            return [Piece(id=source, title=article.title, text=text, language=article.language, published=published)]
    raise Stop(f"{source}: neither a file nor the id of an article in the archive of {settings.data_dir}")


def _show(piece: Piece, laid_open: Anatomy, *, every: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(f"{piece.title or piece.id}  [{laid_open.language or 'language unknown'}]", style="bold"))
    if not laid_open.sentences:
        console.print(Text("  no lexicon knows this language: only keywords and queries read it", style="dim"))
    for view in laid_open.sentences:
        if every or view.matched or view.weighed:
            _show_sentence(console, view)
    silent = sum(not (view.matched or view.weighed) for view in laid_open.sentences)
    if silent and not every:
        console.print(Text(f"\n  {silent} more sentences match nothing: --all shows them", style="dim"))
    console.print()


def _show_sentence(console: Console, view: SentenceView) -> None:
    from rich.padding import Padding
    from rich.text import Text

    text = Text(view.text)
    for style, pieces in (
        ("cyan", [part for match in view.matched for part in match.parts]),
        ("green", view.places),
        ("bold yellow", view.counts),
        ("red", [weighed.cue for weighed in view.weighed if weighed.cue is not None]),
    ):
        for piece in pieces:
            if view.start <= piece.start < view.end:
                text.stylize(style, piece.start - view.start, piece.end - view.start)
    console.print(Padding(text, (1, 0, 0, 2)))
    lines = [
        *(
            ("✓" if w.taken_by is None else "✗", "green" if w.taken_by is None else "red", _weighed(w))
            for w in view.weighed
        ),
        *(
            (
                " ",
                "cyan",
                f"{m.rule}: {m.pattern} (cost {m.cost:g}): " + " … ".join(f"{p.text} [{p.name}]" for p in m.parts),
            )
            for m in view.matched
        ),
        *((" ", "yellow", f"count {count.name}: {count.text}") for count in view.counts),
        *((" ", "green", f"place {place.name}: {place.text}") for place in view.places),
    ]
    scopes = [piece for piece in view.classes if piece.name.startswith("scope:")]
    lines += [(" ", "red", f"{piece.name.removeprefix('scope:').partition(':')[0]}: {piece.text}") for piece in scopes]
    for sign, style, line in lines:
        console.print(
            Padding(Text(f"{sign} ", style=style).append(line, style="dim" if sign == " " else ""), (0, 0, 0, 4))
        )


def _weighed(weighed: Weighed) -> str:
    event = ", ".join(
        f"{key} {value}" for key, value in weighed.event.items() if key != "type" and value not in (None, [])
    )
    taken = "" if weighed.taken_by is None else f" — taken by {weighed.taken_by}"
    cue = "" if weighed.cue is None else f": “{weighed.cue.text}”"
    return f"{weighed.event['type']}: {event}{taken}{cue}"
