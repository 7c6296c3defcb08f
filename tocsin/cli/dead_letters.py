"""`tocsin dead-letters`: what was set aside, and what shall become of it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, TypeVar

import typer

from tocsin.cli.options import DATA, ConfigOption, DataOption, JsonOption, settings_of
from tocsin.cli.terminal import spelt

if TYPE_CHECKING:
    from tocsin.control import ControlClient
    from tocsin.dead_letters import Desk as StoreDesk
    from tocsin.store.port import Store

T = TypeVar("T")

PART: Final = 1
NOTHING: Final = 2
PAGE: Final = 200
SHOWN: Final = 50
ID_SHOWN: Final = 12  # characters; a beginning will do wherever an id is asked for
RECORD_SHOWN: Final = 32
VALUE_SHOWN: Final = 4_000
PATH: Final = "/api/dead-letters"

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


class Desk(Protocol):
    """Where dead letters are asked for: answers in the JSON of the API, errors as `AnsweredNo`."""

    async def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page."""
        ...

    async def one(self, id: str) -> dict[str, Any]:  # noqa: A002 — the domain's own word
        """Return one with what it holds."""
        ...

    async def act(self, action: str, id: str) -> str:  # noqa: A002 — the domain's own word
        """Replay or drop one, and say what was done."""
        ...

    async def act_on_many(self, action: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Replay or drop a part of many."""
        ...


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
    for line in _table(items):
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
    for line in _lines(letter):
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
        async with _desk(config, folder) as desk:
            return await question(desk)

    return asyncio.run(ask())


@asynccontextmanager
async def _desk(config: Path | None, folder: Path) -> AsyncIterator[Desk]:
    """Yield the desk of the service that runs here, or one of our own before the store when none does."""
    from tocsin.control import ControlClient, NothingRuns

    client = ControlClient(folder)
    try:
        await client.get(PATH, {"limit": "1"})
    except NothingRuns:
        pass
    else:
        yield _ServiceDesk(client)
        return
    from tocsin.cli.state import opened
    from tocsin.clock import SystemClock
    from tocsin.dead_letters import Desk as StoreDesk

    settings = settings_of(config, folder)
    async with opened(settings, name="tocsin dead-letters") as store:
        desk = StoreDesk(store=store, clock=SystemClock(), receivers=lambda: settings.notifier.receivers)
        yield _OwnDesk(store, desk)


class _ServiceDesk:
    """`Desk` of the running service, by its control socket."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    async def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page."""
        page: dict[str, Any] = await self._client.get(PATH, query)
        return page

    async def one(self, id: str) -> dict[str, Any]:  # noqa: A002 — the domain's own word
        """Return one with what it holds."""
        letter: dict[str, Any] = await self._client.get(f"{PATH}/{_segment(id)}")
        return letter

    async def act(self, action: str, id: str) -> str:  # noqa: A002 — the domain's own word
        """Replay or drop one."""
        if action == "drop":
            await self._client.delete(f"{PATH}/{_segment(id)}")
            return f"{id}: dropped"
        answer = await self._client.post(f"{PATH}/{_segment(id)}/replay")
        return f"{answer['id']}: given back to {answer['stage']}"

    async def act_on_many(self, action: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Replay or drop a part of many."""
        handled: dict[str, Any] = await self._client.post(f"{PATH}/{action}", dict(body))
        return handled


class _OwnDesk:
    """`Desk` over an open store, with the words of the service and an entry in its audit."""

    def __init__(self, store: Store, desk: StoreDesk) -> None:
        self._store = store
        self._desk = desk
        self._actor = f"local:{os.getuid()}"

    async def page(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page."""
        from web.letters import page_of

        page: dict[str, Any] = json.loads(await page_of(self._store, query))
        return page

    async def one(self, id: str) -> dict[str, Any]:  # noqa: A002 — the domain's own word
        """Return one with what it holds."""
        from web.letters import one_of

        return (await _answered(one_of(self._store, id))).model_dump(mode="json")

    async def act(self, action: str, id: str) -> str:  # noqa: A002 — the domain's own word
        """Replay or drop one."""
        from web.letters import drop_by, replay_by

        if action == "drop":
            await _answered(drop_by(self._desk, id, actor=self._actor))
            return f"{id}: dropped"
        answer = await _answered(replay_by(self._desk, id, actor=self._actor))
        return f"{answer.id}: given back to {answer.stage}, which takes it up when it runs"

    async def act_on_many(self, action: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Replay or drop a part of many."""
        from web.letters import many_by

        act = self._desk.drop_many if action == "drop" else self._desk.replay_many
        return (await _answered(many_by(act, json.dumps(body).encode(), actor=self._actor))).model_dump(mode="json")


async def _answered(answer: Awaitable[T]) -> T:
    from tocsin.control import AnsweredNo
    from web.problems import Refused

    try:
        return await answer
    except Refused as refused:
        raise AnsweredNo(refused.status_code, refused.detail, refused.errors) from None


def _segment(id_: str) -> str:
    from urllib.parse import quote

    return quote(id_, safe="")


# -------------------------------------------------------------------------------------------------- what is shown


def _table(items: Sequence[Mapping[str, Any]]) -> list[str]:
    if not items:
        return []
    head = ("id", "set aside (UTC)", "times", "stage", "topic", "record", "reason")
    rows = [
        (
            item["id"][:ID_SHOWN],
            _moment(item["at"]),
            str(item["times"]),
            spelt(item["stage"]),
            spelt(item["topic"]),
            _cut(spelt(item["record_id"]), RECORD_SHOWN),
            spelt(item["reason"].strip().splitlines()[0] if item["reason"].strip() else ""),
        )
        for item in items
    ]
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)][:-1]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines = []
    for row in (head, *rows):
        line = "  ".join(cell.ljust(wide) for cell, wide in zip(row, [*widths, 0], strict=True)).rstrip()
        lines.append(line if width is None else _cut(line, width))
    return lines


def _lines(letter: Mapping[str, Any]) -> list[str]:
    """Tell all of one letter; nothing in it may move the cursor or colour the screen."""
    place = "" if letter["partition"] is None else f", partition {letter['partition']}, offset {letter['offset']}"
    lines = [
        f"dead letter  {letter['id']}",
        f"stage        {spelt(letter['stage'])}",
        f"topic        {spelt(letter['topic'])}{place}",
        f"record       {spelt(letter['record_id'])}",
        f"key          {spelt(letter['key'])}",
        f"set aside    {_moment(letter['at'])} UTC, {letter['times']} times by now",
        f"bytes        {letter['size_bytes']:,}",
        "reason",
        *_indented(letter["reason"]),
    ]
    if letter["traceback"]:
        lines += ["traceback", *_indented(letter["traceback"])]
    if letter["record"] is not None:
        lines += ["it holds", *_indented(json.dumps(letter["record"], ensure_ascii=False, indent=2))]
    elif letter["value"]:
        lines += ["it holds, as text", *_indented(_cut(letter["value"], VALUE_SHOWN))]
    return lines


def _indented(text: str) -> list[str]:
    return [f"  {spelt(line)}" for line in text.splitlines()]


def _moment(at: str) -> str:
    return datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
