"""`tocsin eval`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli.options import DATA, ConfigOption, DataOption, JsonOption, settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.engine import Engine
    from detectors.evaluation import Counts, Report

TEXT_CHARS = 240
MISTAKES = 20


def evaluate_rules(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="CASES", help='Lines {"id","lang","title","text","published","events","tags"}.'),
    ],
    config: ConfigOption = None,
    data: DataOption = DATA,
    *,
    mistakes: Annotated[int, typer.Option("--mistakes", help="How many to show, the worst first.")] = MISTAKES,
    tags: Annotated[bool, typer.Option("--tags", help="Show each tag, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure the rules on labelled cases: precision, recall and attributes, the worst mistakes first."""
    from detectors.engine import prepare
    from detectors.evaluation import evaluate
    from tocsin.cli.corpus import cases

    engine = prepare(settings_of(config, data).detectors)
    report = evaluate((case, _found(engine, case)) for file in files for case in cases(file))
    if as_json:
        typer.echo(json.dumps(_as_json(report), ensure_ascii=False, indent=1))
    else:
        _tell(report, mistakes=mistakes, tags=tags)


eval = evaluate_rules  # noqa: A001 — the command's name


def _found(engine: Engine, case: Mapping[str, Any]) -> list[dict[str, Any]]:
    from detectors.scan import event_json, scan

    result = scan(
        engine,
        id=str(case["id"]),
        title=case.get("title") or "",
        text=case.get("text") or "",
        language=case.get("lang"),
        published=case.get("published"),
    )
    return [event_json(event) for event in result.events]


def _tell(report: Report, *, mistakes: int, tags: bool) -> None:
    from tocsin.cli.terminal import plain

    wanted = ["", "type", "language", *(["tag"] if tags else [])]
    typer.echo(f"{'':34} precision  recall      F1   hits  false  missed")
    for (what, name), counts in sorted(
        report.counts.items(), key=lambda one: (wanted.index(one[0][0]) if one[0][0] in wanted else 9, one[0][1])
    ):
        if what in wanted:
            typer.echo(_line(f"{what} {name}".strip(), counts))
    typer.echo()
    for name, rights in sorted(report.attributes.items()):
        typer.echo(f"{name:34} {rights[True] / rights.total():9.3f}  of {rights.total()}")
    typer.echo(f"{'false alarms where nothing is':34} {report.false_alarm_rate:9.3f}  of {report.negatives}")
    typer.echo(f"{'cases wholly right':34} {report.exact / max(report.cases, 1):9.3f}  of {report.cases}")
    for mistake in report.mistakes[:mistakes]:
        typer.echo(f"\n{plain(str(mistake.case))}: {plain(mistake.what)}\n    {plain(mistake.text)[:TEXT_CHARS]}")
    if len(report.mistakes) > mistakes:
        typer.echo(f"\n… and {len(report.mistakes) - mistakes} more: --mistakes {len(report.mistakes)}")


def _line(name: str, counts: Counts) -> str:
    figures = f"{counts.precision:9.3f} {counts.recall:7.3f} {counts.f1:7.3f}"
    return f"{name:34} {figures} {counts.hits:6} {counts.false:6} {counts.missed:7}"


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "cases": report.cases,
        "exact": report.exact,
        "negatives": report.negatives,
        "false_alarms": report.false_alarms,
        "counts": [
            {
                "of": what or "all", "name": name, "precision": counts.precision, "recall": counts.recall,
                "f1": counts.f1, "hits": counts.hits, "false": counts.false, "missed": counts.missed,
            }
            for (what, name), counts in sorted(report.counts.items())
        ],
        "attributes": {name: {"right": some[True], "of": some.total()} for name, some in report.attributes.items()},
        "mistakes": [{"case": m.case, "what": m.what, "text": m.text} for m in report.mistakes],
    }  # fmt: skip
