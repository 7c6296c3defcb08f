"""`tocsin tail`: the records of a topic as they come, for people."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from tocsin.cli.options import DATA, ConfigOption, DataOption, JsonOption
from tocsin.cli.topics import PAGE, looking_at
from tocsin.errors import RecordUnreadable, TryLater

if TYPE_CHECKING:
    from tocsin.stream.looking import Look
    from tocsin.stream.port import StreamRecord

LAST: Final = 10
LAST_LIMIT: Final = 10_000
WAIT_S: Final = 5.0
RETRY_S: Final = 1.0
NOTHING: Final = 1

Place: TypeAlias = int | datetime
Show: TypeAlias = "Callable[[StreamRecord], bool]"


def tail(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="articles, readings, alerts or dead-letters.")],
    *,
    last: Annotated[
        int | None,
        typer.Option(
            "--last", "-n", min=1, max=LAST_LIMIT, help="So many records: the last ones, or with --from the first.",
            show_default=f"the last {LAST}, or all from there",
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", help="From an offset on, an instant (2026-03-04T12:00), or a time ago (15m).", show_default=False
        ),
    ] = None,
    wanted: Annotated[
        str | None,
        typer.Option("--id", help="Only what has an id or a key that begins so.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    data: DataOption = DATA,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Show the records of a topic, one in a line: when, partition@offset, id, and what it says.

    Asks the running service, or the stream itself when none runs here. With --json each line is a record as it is on
    the topic. Exits 1 when nothing has the --id.
    """
    chosen, place = _topic(topic), _place(start)
    shown = 0
    show_line = _json_printer() if as_json else _printer()

    def show(record: StreamRecord) -> bool:
        nonlocal shown
        if wanted is None or record.id.startswith(wanted) or record.key.startswith(wanted):
            shown += 1
            show_line(record)
        return last is None or place is None or shown < last

    if follow and last is not None and place is not None:
        raise typer.BadParameter("--last with --from says where to end: leave --follow or one of them out")
    if wanted is not None and place is None and last is None:
        place = 0  # what one looks for by name may lie anywhere
    most = LAST if last is None else last
    try:
        asyncio.run(_tail(chosen, place, most=most, follow=follow, show=show, config=config, folder=data.absolute()))
    except KeyboardInterrupt:
        pass  # the way to end it
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more at its end
    raise typer.Exit(NOTHING if wanted is not None and not shown else 0)


def _topic(name: str) -> str:
    from tocsin.mistakes import did_you_mean
    from tocsin.stream.contract.schema import RECORDS

    known = {topic.partition(".")[0]: topic for topic in RECORDS}
    if name not in RECORDS and name not in known:
        raise typer.BadParameter(f"there is no topic {name!r}{did_you_mean(name, (*known, *RECORDS))}")
    return known.get(name, name)


def _place(text: str | None) -> Place | None:
    """Read what --from says: an offset, an instant, or a duration before now."""
    from tocsin.quantities import parse_duration

    if text is None:
        return None
    if text.isascii() and text.isdecimal():
        return int(text)
    with suppress(ValueError, OverflowError):
        return datetime.now(UTC) - parse_duration(text)
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no offset (41), no instant (2026-03-04T12:00, UTC) and no duration (15m)"
        ) from None


def _printer() -> Callable[[StreamRecord], None]:
    from rich.console import Console

    from tocsin.cli.record_lines import line

    console = Console(highlight=False)
    fits = console.is_terminal

    def show(record: StreamRecord) -> None:
        console.print(
            line(record), no_wrap=True, overflow="ellipsis" if fits else "ignore", crop=fits, soft_wrap=not fits
        )

    return show


def _json_printer() -> Callable[[StreamRecord], None]:
    from tocsin.cli.record_lines import as_json
    from tocsin.cli.terminal import plain

    def show(record: StreamRecord) -> None:
        try:
            text = as_json(record)
        except RecordUnreadable as error:
            place = f"{record.topic}, partition {record.partition}, offset {record.offset}"
            sys.stderr.write(f"tocsin: {place}: {plain(str(error))}\n")
        else:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    return show


# ------------------------------------------------------------------------------------------------------ what to show


async def _tail(
    topic: str, place: Place | None, *, most: int, follow: bool, show: Show, config: Path | None, folder: Path
) -> None:
    from tocsin.stream import looking

    async with looking_at(config, folder, follow=follow) as look:
        if place is None:
            found, ends = await looking.last(look, topic, most)
            for record in found:
                show(record)
        else:
            ends = {partition: bounds.end for partition, bounds in (await look.bounds(topic)).items()}
            async for record in looking.between(look, topic, await _starts(look, topic, place), ends):
                if _is_since(record, place) and not show(record):
                    return
        if follow:
            await _follow(look, topic, ends, show)


async def _starts(look: Look, topic: str, place: Place) -> Mapping[int, int]:
    from tocsin.stream import looking

    if isinstance(place, datetime):
        return await looking.since(look, topic, place)
    bounds = await look.bounds(topic)
    return {partition: max(place, within.first) for partition, within in bounds.items()}


def _is_since(record: StreamRecord, place: Place) -> bool:
    """Tell whether *record* belongs behind *place*: times rise only about, so an earlier one may lie further on."""
    from tocsin.stream import looking

    when = looking.moment(record) if isinstance(place, datetime) else None
    return when is None or not isinstance(place, datetime) or when >= place


async def _follow(look: Look, topic: str, starts: Mapping[int, int], show: Show) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            for partition, start in starts.items():
                tasks.create_task(_follow_one(look, topic, partition, start, show), name=f"follow {topic} {partition}")
    except ExceptionGroup as group:
        raise group.exceptions[0] from None  # what ended one ends all, and is told by itself


async def _follow_one(look: Look, topic: str, partition: int, start: int, show: Show) -> None:
    trouble = ""
    while True:
        try:
            found = await look.fetch(topic, start=start, most=PAGE, timeout_s=WAIT_S, partition=partition)
        except TryLater as error:
            if str(error) != trouble:
                sys.stderr.write(f"tocsin: {error}; trying again\n")
            trouble = str(error)
            await asyncio.sleep(RETRY_S)
            continue
        trouble = ""
        for record in found:
            show(record)
            start = record.offset + 1
