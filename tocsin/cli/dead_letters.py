"""`tocsin dead-letters`: what was set aside, and what shall become of it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from tocsin.cli.letter_desks import desk_of
from tocsin.cli.letter_lines import ID_SHOWN, lines, table
from tocsin.cli.options import DATA, ConfigOption, DataOption, JsonOption
from tocsin.cli.terminal import spelt

if TYPE_CHECKING:
    from tocsin.cli.letter_desks import Desk

T = TypeVar("T")

PART: Final = 1
NOTHING: Final = 2
PAGE: Final = 200
SHOWN: Final = 50

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID]...", help="Which; the beginning of an id will do.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="All of them, or all that --stage, --topic and --since mean.")]
Stage = Annotated[str | None, typer.Option(help="Only those that this stage set aside.", show_default=False)]
Topic = Annotated[
    str | None, typer.Option(help="Only those of this topic, or timers, outbox, documents.", show_default=False)
]
Since = Annotated[
    str | None, typer.Option(help="Only those of the last 2h, 3d …, or since an instant.", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

dead_letters = typer.Typer(no_args_is_help=True, help="List what was set aside, look at it, replay it or drop it.")


# ------------------------------------------------------------------------------------------------------- commands


@dead_letters.command("list")
def list_letters(
    *,
    stage: Stage = None,
    topic: Topic = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=0, help="How many of the newest; 0 for all.")] = SHOWN,
    config: ConfigOption = None,
    data: DataOption = DATA,
    as_json: JsonOption = False,
) -> None:
    """List what was set aside, the newest first."""
    query = _query(stage=stage, topic=topic, since=since)

    async def ask(desk: Desk) -> tuple[list[dict[str, Any]], int]:
        items: list[dict[str, Any]] = []
        place: dict[str, str] = {}
        while True:
            most = min(PAGE, limit - len(items)) if limit else PAGE
            page = await desk.page({**query, **place, "limit": str(most)})
            items += page["items"]
            if page["next"] is None or (limit and len(items) >= limit):
                return items, page["total"]
            place = {"after": page["next"]}

    items, total = _ask(ask, config=config, data=data)
    if as_json:
        json.dump(items, sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
        return
    for line in table(items):
        typer.echo(line)
    if total > len(items):
        typer.echo(f"{len(items)} of {total}; --limit shows more")
    elif not items:
        typer.echo("there are no dead letters" + (" of these" if query else ""))


@dead_letters.command("show")
def show_letter(
    which: Annotated[str, typer.Argument(metavar="ID", help="The id, or its beginning.")],
    *,
    config: ConfigOption = None,
    data: DataOption = DATA,
    as_json: JsonOption = False,
) -> None:
    """Show one: what it is, why it was set aside, and the record itself."""
    letter = _ask(lambda desk: desk.one(which), config=config, data=data)
    if as_json:
        json.dump(letter, sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
        return
    for line in lines(letter):
        typer.echo(line)


@dead_letters.command()
def replay(
    which: Ids = None,
    *,
    all_: All = False,
    stage: Stage = None,
    topic: Topic = None,
    since: Since = None,
    yes: Yes = False,
    config: ConfigOption = None,
    data: DataOption = DATA,
) -> None:
    """Have the stage that set them aside take them up once more.

    What fails again comes back with the new reason. Exit code 1: some cannot be replayed; 2: none.
    """
    query = _chosen(which, all_=all_, stage=stage, topic=topic, since=since)
    _decide("replay", which or (), query, yes=yes, config=config, data=data)


@dead_letters.command()
def drop(
    which: Ids = None,
    *,
    all_: All = False,
    stage: Stage = None,
    topic: Topic = None,
    since: Since = None,
    yes: Yes = False,
    config: ConfigOption = None,
    data: DataOption = DATA,
) -> None:
    """Forget them for good."""
    query = _chosen(which, all_=all_, stage=stage, topic=topic, since=since)
    _decide("drop", which or (), query, yes=yes, config=config, data=data)


# --------------------------------------------------------------------------------------------------- what is asked


def _query(*, stage: str | None, topic: str | None, since: str | None) -> dict[str, str]:
    asked = {"stage": stage, "topic": topic, "since": None if since is None else _instant(since)}
    return {name: value for name, value in asked.items() if value is not None}


def _instant(text: str) -> str:
    """Read `2h` as an instant that long ago, or an instant as it is written."""
    from tocsin.quantities import parse_duration

    try:
        return (datetime.now(UTC) - parse_duration(text)).isoformat()
    except (ValueError, OverflowError):
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a time such as 2h or 3d nor an instant (ISO 8601)") from None
    return (at.replace(tzinfo=UTC) if at.tzinfo is None else at).isoformat()


def _chosen(
    which: Sequence[str] | None, *, all_: bool, stage: str | None, topic: str | None, since: str | None
) -> dict[str, str]:
    query = _query(stage=stage, topic=topic, since=since)
    if which and (all_ or query):
        raise typer.BadParameter("name ids, or say --all, not both")
    if not which and not all_:
        raise typer.BadParameter("name ids, or say --all" + (" beside what narrows it" if query else ""))
    return query


def _decide(
    action: str, ids: Sequence[str], query: Mapping[str, str], *, yes: bool, config: Path | None, data: Path
) -> None:
    done, left = _ask(
        lambda desk: _one_by_one(desk, action, ids) if ids else _many(desk, action, query, yes=yes),
        config=config,
        data=data,
    )
    if left:
        raise typer.Exit(PART if done else NOTHING)


async def _one_by_one(desk: Desk, action: str, ids: Sequence[str]) -> tuple[int, int]:
    from tocsin.control import AnsweredNo

    left = 0
    for id_ in ids:
        try:
            typer.echo(spelt(await desk.act(action, id_)))
        except AnsweredNo as no:
            left += 1
            typer.echo(f"tocsin: {spelt(str(no))}", err=True)
    return len(ids) - left, left


async def _many(desk: Desk, action: str, query: Mapping[str, str], *, yes: bool) -> tuple[int, int]:
    """Act on all that *query* means and that are there now, once somebody has said yes to their number."""
    page = await desk.page({**query, "limit": "1"})
    if not page["items"]:
        typer.echo("there are no dead letters" + (" of these" if query else ""))
        return 0, 0
    if not yes:
        of_what = "".join(f", {name} {spelt(value)}" for name, value in query.items())
        typer.confirm(f"{action} {page['total']} dead letters{of_what}?", abort=True)
    body: dict[str, object] = {**query, "all": True, "until": page["items"][0]["at"]}
    done = left = 0
    while True:
        answer = await desk.act_on_many(action, body)
        done += answer["done"]
        left += answer["left"]
        for one in answer["refused"]:
            typer.echo(f"{one['id'][:ID_SHOWN]}: {spelt(one['reason'])}", err=True)
        if answer["next"] is None:
            break
        body["after"] = answer["next"]
    typer.echo(f"{done} {'given back' if action == 'replay' else 'dropped'}" + (f", {left} left" if left else ""))
    return done, left


# ---------------------------------------------------------------------------------------------------- whom we ask


def _ask(question: Callable[[Desk], Awaitable[T]], *, config: Path | None, data: Path) -> T:
    folder = data.absolute()

    async def ask() -> T:
        async with desk_of(config, folder) as desk:
            return await question(desk)

    return asyncio.run(ask())
