"""`tocsin backtest`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli.options import DATA, ConfigOption, DataOption, JsonOption, settings_of

if TYPE_CHECKING:
    from detectors.backtest import Difference
    from tocsin.records import Detection

TITLE_CHARS = 100
SHOWN = 50


def backtest(
    corpus: Annotated[
        list[Path], typer.Argument(metavar="CORPUS", help='Lines {"id","title","text","lang"?,"published"?}.')
    ],
    against: Annotated[
        Path, typer.Option("--against", metavar="DIR", help="The configuration with the old rules.", show_default=False)
    ],
    config: ConfigOption = None,
    data: DataOption = DATA,
    *,
    shown: Annotated[int, typer.Option("--shown", help="How many differences to show of each kind.")] = SHOWN,
    as_json: JsonOption = False,
) -> None:
    """Compare the rules with old ones on a corpus: detections gained, lost and altered, with their evidence."""
    from detectors.backtest import differences
    from detectors.engine import prepare
    from tocsin.cli.corpus import articles

    old, new = (prepare(settings_of(each, data).detectors) for each in (against, config))
    counts: Counter[tuple[str, str]] = Counter()
    read = 0
    for found in differences(old, new, (article for path in corpus for article in articles(path))):
        read += 1
        for difference in found:
            counts[difference.type, difference.change] += 1
            if as_json:
                typer.echo(json.dumps(_as_json(difference), ensure_ascii=False))
            elif counts[difference.type, difference.change] <= shown:
                _tell(difference)
    if not as_json:
        typer.echo(f"{read} articles read, {sum(counts.values())} differences")
        for (type_, change), count in sorted(counts.items()):
            typer.echo(f"  {type_:24} {change:8} {count:6}")


def _tell(difference: Difference) -> None:
    from tocsin.cli.findings import headline
    from tocsin.cli.terminal import plain

    sign = {"gained": "+", "lost": "-", "altered": "~"}[difference.change]
    either = difference.new or difference.old
    assert either is not None
    typer.echo(f"{sign} {difference.type}: {headline(either)}")
    for key, (was, now) in difference.altered().items():
        typer.echo(f"    {key}: {was!r} → {now!r}")
    typer.echo(f"    {plain(difference.title)[:TITLE_CHARS]} ({plain(difference.article)})")
    quotes = dict.fromkeys(f"{evidence.proves}: {plain(evidence.quote)}" for evidence in either.evidence)
    typer.echo(f"    {'; '.join(quotes)}")


def _as_json(difference: Difference) -> dict[str, Any]:
    return {
        "article": difference.article,
        "title": difference.title,
        "type": difference.type,
        "change": difference.change.value,
        "old": _event(difference.old),
        "new": _event(difference.new),
    }


def _event(detection: Detection | None) -> dict[str, Any] | None:
    from detectors.scan import event_json

    return None if detection is None else event_json(detection)
