"""One record of a topic as one line for people. What strangers wrote is made harmless to the terminal first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from rich.text import Text

from tocsin.cli.findings import headline
from tocsin.cli.terminal import in_json, plain
from tocsin.errors import RecordUnreadable
from tocsin.records import Alert, Article, DeadLetter, Reading, Severity, Step
from tocsin.stream.looking import read, seen_at

if TYPE_CHECKING:
    from datetime import datetime

    from tocsin.stream.port import StreamRecord

ID_SHOWN: Final = 12  # digits; commands take the beginning of an id
_STEPS: Final = {Step.NEW: "bold red", Step.ESCALATION: "bold red", Step.UPDATE: "cyan", Step.CORRECTION: "yellow"}
_SEVERITIES: Final = {Severity.EXTREME: "bold magenta", Severity.SEVERE: "red", Severity.MODERATE: "yellow"}


def as_json(record: StreamRecord) -> str:
    """Return the record in one line as it is on the topic, with all escaped that a terminal would obey.

    Raises:
        RecordUnreadable: it is damaged, or no JSON.
    """
    if record.value is None:
        raise RecordUnreadable(record.damage)
    try:
        text = json.dumps(json.loads(record.value), ensure_ascii=False, separators=(",", ":"))
    except ValueError as error:
        raise RecordUnreadable(f"no JSON: {error}") from error
    return in_json(text)


def line(record: StreamRecord) -> Text:
    """Return the line of *record*: when, where it lies, which it is, and what it says."""
    place = f"{record.partition}@{record.offset}"
    try:
        told = read(record)
    except RecordUnreadable as error:
        return Text.assemble(
            (f"{place:>9} ", "dim"), (plain(record.id)[:ID_SHOWN], "dim"), (f" unreadable: {plain(str(error))}", "red")
        )
    when = _at(seen_at(told))
    return Text.assemble(
        (when, "dim"), (f" {place:>9} ", "dim"), (plain(record.id)[:ID_SHOWN], "dim"), " ", _says(told)
    )


def _says(told: Article | Reading | Alert | DeadLetter) -> Text:
    match told:
        case Article():
            return _article(told)
        case Reading():
            return _reading(told)
        case Alert():
            return _alert(told)
        case DeadLetter():
            return _letter(told)


def _article(article: Article) -> Text:
    notes = (["revised"] if article.supersedes is not None else []) + (["backfill"] if article.backfill else [])
    return Text.assemble(
        (plain(article.feed), "cyan"),
        (f" {plain(article.language or '?')} ", "dim"),
        plain(article.title or article.summary or article.text[:200]) or "(without words)",
        (f" ({', '.join(notes)})" if notes else "", "dim"),
    )


def _reading(reading: Reading) -> Text:
    states = "; ".join(plain(f"{one.type} {headline(one)}") for one in reading.detections)
    return Text.assemble(
        (plain(reading.mention.feed), "cyan"),
        " ",
        (states, "bold") if states else ("takes everything back", "yellow"),
        (f" — {plain(reading.mention.title)}", "dim"),
    )


def _alert(alert: Alert) -> Text:
    owners = ", ".join(plain(source.owner) for source in alert.sources)
    return Text.assemble(
        (f"{alert.step:<10}", _STEPS.get(alert.step, "")),
        " ",
        (f"{alert.severity:<8}", _SEVERITIES.get(alert.severity, "")),
        " ",
        (plain(alert.headline), "bold"),
        (f" ({owners})" if owners else "", "dim"),
        (" late" if alert.late else "", "dim"),
    )


def _letter(letter: DeadLetter) -> Text:
    reason = plain(letter.reason.strip().partition("\n")[0])
    times = f" ({letter.times} times)" if letter.times > 1 else ""
    return Text.assemble((plain(f"{letter.stage} {letter.topic}"), "cyan"), " ", (reason, "red"), (times, "dim"))


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S}Z"
