"""Articles as lines of JSON: `{"id","title","text","lang"?,"published"?}`, and labelled cases, which have `events`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from tocsin.errors import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def articles(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the article of each line, in order, while they come; `-` is standard input.

    The text may be missing where there is a title, and the other way round.

    Raises:
        Stop: the file cannot be read, or a line is none of ours; the lines before it have been yielded.
    """
    try:
        with sys.stdin.buffer if str(path) == "-" else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _article(number, line)
    except OSError as error:
        raise Stop(f"{path}: {error.strerror}") from error


def cases(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the labelled case of each line.

    Raises:
        Stop: the file cannot be read, or a line is no case.
    """
    for number, case in enumerate(articles(path), start=1):
        events = case.get("events")
        if not isinstance(events, list) or not all(_is_event(event) for event in events):
            raise Stop(f'{path}: case {number} ({case["id"]}): expected "events", a list of objects with a "type" each')
        yield case


def _is_event(event: object) -> bool:
    return isinstance(event, dict) and isinstance(event.get("type"), str)


def _article(number: int, line: bytes) -> dict[str, Any]:
    try:
        article = json.loads(line)
    except ValueError as error:
        raise Stop(f"line {number}: no JSON: {error}") from None
    if not isinstance(article, dict) or not isinstance(article.get("id"), str | int):
        raise Stop(f'line {number}: expected an object with "id", "title" and "text"')
    texts = {key: article.get(key) or "" for key in ("title", "text")}
    hints = {key: article.get(key) for key in ("lang", "published")}
    if not all(isinstance(value, str) for value in texts.values()):
        raise Stop(f'line {number}: "title" and "text" must be strings')
    if not all(value is None or isinstance(value, str) for value in hints.values()):
        raise Stop(f'line {number}: "lang" and "published" must be strings')
    return {**article, "id": str(article["id"]), **texts, **hints}
