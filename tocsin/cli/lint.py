"""`tocsin lint`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.options import DATA, ConfigOption, DataOption, JsonOption, settings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detectors.lint import Coverage, Frequent

SHARE = 0.03
ABROAD = 0.10


def lint(
    corpus: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[CORPUS]...", help='Lines {"id","title","text","lang"}: which words are too frequent?'),
    ] = None,
    config: ConfigOption = None,
    data: DataOption = DATA,
    *,
    share: Annotated[float, typer.Option("--share", help="Of a language's articles; a word in more is told.")] = SHARE,
    abroad: Annotated[float, typer.Option("--abroad", help="The same, of another language's articles.")] = ABROAD,
    table: Annotated[bool, typer.Option("--coverage", help="Print lemmas and forms by type and language.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look for what is doubtful: rules without a test, words that fire too often or in another language.

    Exits 1 when there is something.
    """
    from detectors.lint import coverage, frequent
    from tocsin.cli.corpus import articles
    from tocsin.testfiles import read_tests

    settings = settings_of(config, data, every_pack=True)
    rules = settings.detectors.rules
    tested = {file.settings.rule for file in read_tests(config, rules={rule.id for rule in rules})}
    untested = [rule.id for rule in rules if not rule.tests and rule.id not in tested]
    words = frequent(
        settings.detectors, (a for path in corpus or () for a in articles(path)), share=share, abroad=abroad
    )
    broad = coverage(settings.detectors) if table else []
    if as_json:
        found = {
            "untested": untested,
            "frequent": [asdict(one) for one in words],
            "coverage": [asdict(one) for one in broad],
        }
        typer.echo(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        _tell(untested, words, broad)
    raise typer.Exit(1 if untested or words else 0)


def _tell(untested: Sequence[str], words: Sequence[Frequent], broad: Sequence[Coverage]) -> None:
    if broad:
        languages = sorted({one.language for one in broad})
        typer.echo("Lemmas (forms) by type and language; likely forms of one word count as one.\n")
        typer.echo(f"{'':22}" + "".join(f"{language:>12}" for language in languages))
        for type_ in dict.fromkeys(one.type for one in broad):
            cells = {one.language: f"{one.lemmas} ({one.forms})" for one in broad if one.type == type_}
            typer.echo(f"{type_:22}" + "".join(f"{cells.get(language, '-'):>12}" for language in languages))
        typer.echo()
    for rule in untested:
        typer.echo(f"rule {rule!r} has no test")
    for one in words:
        whose = f"class {one.name!r}" if one.read_as is None else f"class {one.name!r} of {one.read_as}"
        typer.echo(f"{one.words!r} ({whose}) stands in {one.share:.1%} of the {one.language} articles")
