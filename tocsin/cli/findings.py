"""What `tocsin scan` found, for people: each event in a line, and the sentences that prove it with the words marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from tocsin.countries import country_name

if TYPE_CHECKING:
    from detectors.scan import Explanation, ScanResult
    from tocsin.cli.page import Piece
    from tocsin.records import Detection, Evidence, Toll

STYLES: Final = {
    "deaths": "bold white on red",
    "foreign_troops": "bold white on blue",
    "government_dismissal": "bold black on yellow",
}
OTHER_STYLE: Final = "bold black on green"
AROUND_CHARS: Final = 80
_CONSOLE: Final = Console(highlight=False)


def show(piece: Piece, result: ScanResult, *, rejected: bool, alone: bool) -> None:
    """Print one article's findings; of several articles, one without any is passed over."""
    if not result.events and not result.denials and not alone and not rejected:
        return
    _CONSOLE.print(
        Text(piece.title or piece.id, style="bold"), Text(f"  [{result.language or 'language unknown'}]", style="dim")
    )
    fields = {"title": piece.title, "text": piece.text}
    for event in result.events:
        _show_event(event, fields)
    for denial in result.denials:
        _show_event(denial, fields)
    if not result.events:
        _CONSOLE.print(Text("  nothing found", style="dim"))
    if rejected:
        for explanation in result.explanations:
            if not explanation.accepted:
                _show_rejected(explanation)
    _CONSOLE.print()


def _show_event(event: Detection, fields: dict[str, str]) -> None:
    style = STYLES.get(event.type, OTHER_STYLE)
    line = Text("  ").append(f" {event.type} ", style=style).append(f"  {headline(event)}")
    _CONSOLE.print(line.append(f"   rule {event.rule}", style="dim"))
    for field, start, end, proofs in _passages(event, fields):
        text = Text(fields[field][start:end])
        for proof in proofs:
            text.stylize(style, max(0, proof.start - start), proof.end - start)
        before, after = fields[field][:start], fields[field][end:]
        if before and not before.endswith("\n"):
            text = Text("… ") + text
        if after and not after.startswith("\n"):
            text = text + Text(" …")
        _CONSOLE.print(Padding(text, (0, 0, 0, 4)))
    proofs_of = dict.fromkeys(f"{proof.proves}: {proof.quote}" for proof in event.evidence)
    _CONSOLE.print(Padding(Text("; ".join(proofs_of).replace("\n", " "), style="dim"), (0, 0, 0, 4)))


def _passages(event: Detection, fields: dict[str, str]) -> list[tuple[str, int, int, list[Evidence]]]:
    """Put proofs that stand near one another together, each with some words around it."""
    passages: list[tuple[str, int, int, list[Evidence]]] = []
    for proof in sorted(event.evidence, key=lambda proof: (proof.field != "title", proof.field, proof.start)):
        text = fields.get(proof.field)
        if text is None:
            continue
        start, end = _around(text, proof.start, proof.end)
        if passages and passages[-1][0] == proof.field and start <= passages[-1][2]:
            field, first, last, proofs = passages.pop()
            passages.append((field, first, max(last, end), [*proofs, proof]))
        else:
            passages.append((proof.field, start, end, [proof]))
    return passages


def _around(text: str, start: int, end: int) -> tuple[int, int]:
    """Widen *start* and *end* by some whole words, within the paragraph."""
    first, last = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    last = len(text) if last < 0 else last
    if start - first > AROUND_CHARS:
        space = text.find(" ", start - AROUND_CHARS, start)
        first = start if space < 0 else space + 1
    if last - end > AROUND_CHARS:
        space = text.rfind(" ", end, end + AROUND_CHARS)
        last = end if space < 0 else space
    return first, last


def headline(event: Detection) -> str:
    """Say one event in a line of plain words."""
    parts = []
    if event.toll is not None:
        parts.append(_count(event.toll))
    if event.senders:
        senders = ", ".join(f"{sender.code} ({sender.certainty})" for sender in event.senders)
        parts.append(f"{senders} →")
    if event.country:
        parts.append(f"{country_name(event.country)} ({event.country})")
    if event.volume is not None:
        volume = event.volume
        parts.append(f"{volume.count} on {volume.topic} in {volume.window_s // 3600} h, usually {volume.usual}")
    if event.kind is not None:
        parts.append(event.kind.value.replace("_", " "))
    parts.append("denied" if event.denied else event.certainty.value)
    parts += [f"also {_count(figure.toll)} {figure.certainty}" for figure in event.also]
    if event.attribution is not None:
        parts.append(f"according to {event.attribution.who}")
    return " · ".join(parts)


def _count(toll: Toll) -> str:
    about = "about " if toll.approx else ""
    match toll.min, toll.max:
        case None, None:
            return "some dead"
        case None, most:
            return f"at most {about}{most}"
        case least, None:
            return f"at least {about}{least}"
        case least, most if least == most:
            return f"{about}{least}"
        case least, most:
            return f"{about}{least}–{most}"


def _show_rejected(explanation: Explanation) -> None:
    line = Text("  not taken ", style="dim").append(f"{explanation.type} ({explanation.reason})", style="dim italic")
    _CONSOLE.print(line)
    _CONSOLE.print(Padding(Text(explanation.sentence, style="dim"), (0, 0, 0, 4)))
