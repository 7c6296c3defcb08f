"""Dead letters as lines for people."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from tocsin.cli.terminal import spelt

ID_SHOWN: Final = 12  # characters; a beginning will do wherever an id is asked for
RECORD_SHOWN: Final = 32
VALUE_SHOWN: Final = 4_000


def table(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each letter, below what stands in them; as wide as the screen where there is one."""
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


def lines(letter: Mapping[str, Any]) -> list[str]:
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
