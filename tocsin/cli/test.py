"""`tocsin test`."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.options import DATA, DataOption, JsonOption, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detectors.engine import DetectorsConfig
    from detectors.ruletests import TestResult
    from tocsin.errors import Problem

TEXT_CHARS = 300

RuleOption = Annotated[str | None, typer.Option("--rule", help="Only the tests of this rule.", show_default="all")]
LanguageOption = Annotated[
    str | None, typer.Option("--language", help="Only the tests in this language.", show_default="all")
]


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
    rule: RuleOption = None,
    language: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the tests that stand beside the rules, the shipped ones and yours.

    Exits 1 when a rule does not find what its test says, with what was found instead.
    """
    settings = settings_of(directory, data, every_pack=True)
    told = list(_tried(directory, settings.detectors, rule, language))
    if as_json:
        typer.echo(json.dumps([_as_json(place, result) for place, result in told], ensure_ascii=False, indent=1))
    else:
        tested = {result.rule for _, result in told}
        _report(told, untested=[each.id for each in settings.detectors.rules if each.id not in tested and not rule])
    raise typer.Exit(0 if all(result.passed for _, result in told) else 1)


test = try_rules  # the command's name


def _tried(
    directory: Path | None, detectors: DetectorsConfig, rule: str | None, language: str | None
) -> Iterator[tuple[Problem, TestResult]]:
    """Run what was asked for, and yield where each test stands, with its differences as the message."""
    from detectors.engine import prepare
    from detectors.ruletests import run_test
    from tocsin.configfiles import RULES, read_files
    from tocsin.settings import KEYS, shipped
    from tocsin.testfiles import read_tests

    engine = prepare(detectors)
    gathered = read_files(shipped(), directory, keys=KEYS, every_pack=True).gathered
    for index, each in enumerate(detectors.rules):
        for number, test in enumerate(each.tests, 1):
            if rule in {None, each.id} and language in {None, test.language}:
                result = run_test(engine, each.id, number, test)
                yield gathered.problem("; ".join(result.differences), RULES, index, "tests", number - 1), result
    for file in read_tests(directory, rules={each.id for each in detectors.rules}):
        for number, test in enumerate(file.settings.tests, 1):
            spoken = test.language or file.settings.language
            if rule in {None, file.settings.rule} and language in {None, spoken}:
                result = run_test(engine, file.settings.rule, number, test, language=spoken)
                yield file.problem("; ".join(result.differences), number), result


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
        waiting = sum(result.pending for _, result in tests)
        pending = f", {waiting} pending" if waiting else ""
        done = f"  SUCCESS ({len(tests)} tests{pending})"
        typer.echo(f"  {len(failed)} of {len(tests)} tests failed{pending}" if failed else done)
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
        "pending": result.pending,
        "differences": list(result.differences),
        "text": result.text,
        "expected": list(result.expected),
        "found": list(result.found),
    }
