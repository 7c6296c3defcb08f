"""`tocsin test`."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.options import DATA, DataOption, JsonOption, settings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detectors.ruletests import TestResult
    from tocsin.errors import Problem

TEXT_CHARS = 300


def try_rules(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            envvar="TOCSIN_CONFIG",
            help="Your configuration; without one the shipped files.",
            show_default=False,
        ),
    ] = None,
    data: DataOption = DATA,
    *,
    as_json: JsonOption = False,
) -> None:
    """Run the tests that stand beside the rules, the shipped ones and yours.

    Exits 1 when a rule does not find what its test says, with what was found instead.
    """
    from detectors.engine import prepare
    from detectors.ruletests import run_tests

    settings = settings_of(directory, data)
    results = run_tests(prepare(settings.detectors))
    told = list(zip(_places(directory, results), results, strict=True))
    if as_json:
        typer.echo(json.dumps([_as_json(place, result) for place, result in told], ensure_ascii=False, indent=1))
    else:
        _report(told, untested=[rule.id for rule in settings.detectors.rules if not rule.tests])
    raise typer.Exit(0 if all(result.passed for result in results) else 1)


test = try_rules  # the command's name


def _places(directory: Path | None, results: Sequence[TestResult]) -> list[Problem]:
    """Return where each test stands, with its differences as the message."""
    from tocsin.configfiles import RULES, read_files
    from tocsin.settings import KEYS, shipped

    gathered = read_files(shipped(), directory, keys=KEYS).gathered
    numbers = {rule["id"]: number for number, rule in enumerate(gathered.at(RULES))}
    return [
        gathered.problem("; ".join(result.differences), RULES, numbers[result.rule], "tests", result.number - 1)
        for result in results
    ]


def _report(told: Sequence[tuple[Problem, TestResult]], untested: Sequence[str]) -> None:
    for file, group in groupby(told, key=lambda one: one[0].file):
        tests = list(group)
        failed = [(place, result) for place, result in tests if not result.passed]
        typer.echo(f"Unit Testing:  {file}")
        for place, result in failed:
            typer.echo(
                f"  FAILED: {place.file}:{place.line}:{place.column}: rule {result.rule!r}, test {result.number}"
            )
            typer.echo(f"    text: {result.text[:TEXT_CHARS]}")
            for difference in result.differences:
                typer.echo(f"    {difference}")
            typer.echo(f"    found: {json.dumps([_short(event) for event in result.found], ensure_ascii=False)}")
        typer.echo(f"  SUCCESS ({len(tests)} tests)" if not failed else f"  {len(failed)} of {len(tests)} tests failed")
    if untested:
        typer.echo(f"Without tests: {', '.join(untested)}")


def _short(event: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in event.items() if key not in {"evidence", "rule"}}


def _as_json(place: Problem, result: TestResult) -> dict[str, object]:
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "rule": result.rule,
        "test": result.number,
        "passed": result.passed,
        "differences": list(result.differences),
        "text": result.text,
        "expected": list(result.expected),
        "found": list(result.found),
    }
