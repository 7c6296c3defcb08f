"""What the terminal shows: each text as its feed first gives it out, each message as it rings, and the reckoning."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from tocsin.demo.judgement import delays
from tocsin.demo.rings import FactLine, Message, TollLine, percentile
from tocsin.demo.story import Edition, Outcome
from tocsin.records import MessageKind, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tocsin.demo.feeds import FeedServer
    from tocsin.demo.judgement import Judgement, Verdict
    from tocsin.demo.playback import Playback
    from tocsin.demo.service import Place

PLAIN_WIDTH: Final = 120
INDENT: Final = 10  # columns under the time
QUOTE_SHOWN: Final = 240
P50_AIM_S, P99_AIM_S = 0.2, 1.0

_SEVERITY_STYLE: Final = {"extreme": "bold white on red", "severe": "bold red", "moderate": "yellow", "minor": "cyan"}
_STEP_STYLE: Final = {
    Step.NEW: "bold",
    Step.ESCALATION: "bold red",
    Step.CORRECTION: "bold magenta",
    Step.UPDATE: "dim",
}


class Screen:
    """One terminal. Plain, it only ever adds lines; otherwise a line at the bottom shows the story's clock."""

    def __init__(self, *, plain: bool, minutes: int) -> None:
        terminal = Console()
        self._plain = plain or not terminal.is_terminal
        self.console = Console(width=PLAIN_WIDTH, color_system=None, highlight=False) if self._plain else terminal
        self._minutes = minutes
        self._progress = Progress(
            TextColumn("[bold]story[/bold] {task.fields[clock]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[heard]}"),
            console=self.console,
            disable=self._plain,
            transient=True,
        )
        self._task = self._progress.add_task("story", total=max(1, minutes), clock="awaits the first poll", heard="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the clock away; lines can still be added."""
        self._progress.stop()

    def say(self, words: str, style: str = "") -> None:
        """Add a line of our own."""
        self.console.print(Text(words, style=style))

    def tick(self, playback: Playback, rings: int) -> None:
        """Show how far the story is."""
        minute = int(playback.minute)
        clock = f"{minute // 60:>3}h {minute % 60:02}m of {self._minutes // 60}h {self._minutes % 60:02}m"
        self._progress.update(self._task, completed=minute, clock=clock, heard=f"{rings} rings")

    def shown(self, edition: Edition, at: datetime) -> None:
        """Tell that a feed has given *edition* out."""
        again = " (rewritten)" if edition.revision else ""
        line = Text(f"{_clock(at)}  ", style="dim")
        line.append(f"{edition.outlet.name} [{edition.outlet.language}]{again}: {edition.title}", style="dim")
        self.console.print(line)

    def rang(self, message: Message, edition: Edition | None, served: Mapping[str, float]) -> None:
        """Tell a message: what, why, on whose word, and how long it took."""
        line = message.line
        first = min((arrival.at for arrival in message.heard.values()), default=datetime.now(UTC))
        step = "OPENING PICTURE" if line.kind is MessageKind.DIGEST else str(line.step or line.kind).upper()
        head = Text(f"{_clock(first)}  ")
        head.append(step, style=_STEP_STYLE.get(line.step, "bold") if line.step else "bold")
        if line.severity is not None:
            head.append("  ").append(str(line.severity), style=_SEVERITY_STYLE.get(str(line.severity), ""))
        head.append(f"  {line.title}", style="bold" if line.rings else "")
        self.console.print(head)
        if line.kind is MessageKind.DIGEST:
            for row in line.text.splitlines()[1:]:
                if row.strip() and not row.startswith("--"):
                    self._under(Text(row))
        for fact in line.facts:
            if fact.changed:
                self._fact(fact)
        if line.sources:
            owners = ", ".join(dict.fromkeys(f"{source.owner} ({source.tier})" for source in line.sources))
            self._under(Text(f"from {owners}", style="cyan"))
        self._under(self._arrivals(message, edition, served))

    def _fact(self, fact: FactLine) -> None:
        why = Text("why  ", style="green")
        why.append(f"{_words(fact)}, {fact.certainty}")
        before = [_toll(fact.was)] if fact.was is not None else []
        if fact.was_certainty not in {None, fact.certainty}:
            before.append(str(fact.was_certainty))
        if before:
            why.append(f" (before: {', '.join(before)})")
        self._under(why)
        if fact.quote:
            quote = fact.quote if len(fact.quote) <= QUOTE_SHOWN else fact.quote[: QUOTE_SHOWN - 1] + "…"
            proof = Text(f"“{quote}”", style="italic")
            if fact.language:
                proof.append(f" [{fact.language}]")
            self._under(proof)

    def _arrivals(self, message: Message, edition: Edition | None, served: Mapping[str, float]) -> Text:
        heard = Text("at   ", style="dim")
        if edition is None or edition.is_backfill or edition.name not in served:
            heard.append(", ".join(sorted(message.heard)) or "the file only")
            return heard
        since = served[edition.name]
        told = [f"{sink} after {arrival.instant - since:.3f} s" for sink, arrival in sorted(message.heard.items())]
        heard.append(", ".join(told) or "the file only")
        return heard

    def _under(self, text: Text) -> None:
        self.console.print(Padding(text, (0, 0, 0, INDENT), expand=False))

    # -- at the end

    def reckoning(self, judgement: Judgement, playback: Playback, feeds: FeedServer, *, seen: str, ending: str) -> None:
        """Show the summary: what was served, sent and left silent, where it differs from the story, and the delays."""
        self.close()
        self.console.print()
        self._totals(judgement, feeds, seen=seen, ending=ending)
        self._silences(judgement)
        self._differences(judgement)
        self._delays(judgement, playback)
        right = judgement.is_right
        self.say(
            "Every expected ring came, and none besides." if right else "The rings are not what the story expects.",
            "bold green" if right else "bold red",
        )

    def _totals(self, judgement: Judgement, feeds: FeedServer, *, seen: str, ending: str) -> None:
        served = [verdict.edition for verdict in judgement.verdicts]
        statuses = Counter(dict.fromkeys((200, 304), 0))
        for (_, status), count in feeds.answers.items():
            statuses[status] += count
        messages = [*(message for verdict in judgement.verdicts for message in verdict.messages), *judgement.unasked]
        due = [verdict for verdict in judgement.verdicts if verdict.edition.expect.step.rings]
        came = [verdict for verdict in due if not verdict.fatal]
        table = Table(title="What happened", show_header=False, title_justify="left", box=None, pad_edge=False)
        table.add_row(
            "articles served",
            f"{len({edition.article for edition in served})} from {len(feeds_of(served))} outlets,"
            f" {sum(edition.revision > 0 for edition in served)} rewritings of them",
        )
        table.add_row("articles seen by the service", seen)
        table.add_row("polls answered", f"{statuses[200]} in full, {statuses[304]} with 304 Not Modified")
        for sink in ("slack", "mail"):
            rings = sum(sink in message.heard for message in messages if message.line.rings)
            quiet = sum(sink in message.heard for message in messages if not message.line.rings)
            opening = sum(sink in message.heard for message in judgement.opening)
            table.add_row(f"messages at {sink}", f"{rings} rings, {quiet} quiet updates, {opening} opening picture")
        table.add_row("rings that were due", f"{len(came)} of {len(due)} came as expected")
        table.add_row("the service", ending)
        self.console.print(table)

    def _silences(self, judgement: Judgement) -> None:
        table = Table(title="Rightly left silent", title_justify="left", box=None, pad_edge=False, expand=True)
        table.add_column("outlet", no_wrap=True)
        table.add_column("article", overflow="ellipsis", no_wrap=True, ratio=1)
        table.add_column("why", no_wrap=True)
        silent = [verdict for verdict in judgement.verdicts if verdict.edition.expect.step in _SILENT]
        for verdict in silent:
            if not verdict.wrong:
                edition = verdict.edition
                again = f" (text {edition.revision + 1})" if edition.revision else ""
                table.add_row(edition.outlet.name, edition.title + again, edition.expect.why_silent)
        self.console.print()
        self.console.print(table)
        told = [verdict for verdict in judgement.verdicts if verdict.edition.expect.step is Outcome.UPDATE]
        for verdict in told:
            if not verdict.wrong:
                self.say(f"told quietly: {verdict.edition.title} ({verdict.edition.expect.why_silent})", "dim")

    def _differences(self, judgement: Judgement) -> None:
        wrong = [verdict for verdict in judgement.verdicts if verdict.wrong]
        if not wrong and not judgement.problems:
            return
        self.console.print()
        self.say("Where it differs from what the story expects", "bold yellow")
        for verdict in wrong:
            self.say(_difference(verdict), "red" if verdict.fatal else "yellow")
        for problem in judgement.problems:
            self.say(f"  {problem}", "red")

    def _delays(self, judgement: Judgement, playback: Playback) -> None:
        self.console.print()
        for sink in ("slack", "mail"):
            values = delays(judgement, playback.served, sink=sink)
            if not values:
                self.say(f"no message reached {sink}", "red")
                continue
            p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
            good = p50 < P50_AIM_S and p99 < P99_AIM_S
            self.say(
                f"delay from a feed showing an article to {sink} having it: p50 {p50:.3f} s, p99 {p99:.3f} s,"
                f" max {max(values):.3f} s ({len(values)} messages; aim: p50 < {P50_AIM_S} s, p99 < {P99_AIM_S:.0f} s)",
                "green" if good else "yellow",
            )

    def addresses(self, place: Place, feeds: FeedServer, playback: Playback, web_url: str) -> None:
        """Say where everything is, for somebody who wants to look around."""
        self.say("Everything goes on until Ctrl-C:", "bold")
        rows = [
            ("service", web_url),
            *((f"feed {outlet.id}", feeds.url(outlet)) for outlet in playback.story.outlets),
            ("configuration", str(place.config)),
            ("alerts", str(place.alerts)),
            ("log", str(place.log)),
        ]
        for name, where in rows:
            self.console.print(Text(f"  {name:<18} {where}"), soft_wrap=True)


_SILENT: Final = frozenset({Outcome.NONE, Outcome.SILENT})


def feeds_of(editions: list[Edition]) -> set[str]:
    """Return the outlets of *editions*."""
    return {edition.outlet.id for edition in editions}


def _difference(verdict: Verdict) -> str:
    edition = verdict.edition
    text = f" (text {edition.revision + 1})" if edition.revision else ""
    return f"  {edition.outlet.name}: {edition.title}{text}\n      expected {edition.expect.step}; {verdict.wrong}"


def _words(fact: FactLine) -> str:
    match fact.type:
        case "deaths":
            return f"deaths: {_toll(fact.toll)}"
        case "foreign_troops":
            senders = ", ".join(sender.code for sender in fact.senders) or "somebody"
            return f"foreign troops: {senders} to {fact.country or 'an unknown country'}"
        case "government_dismissal":
            return f"government of {fact.country or 'an unknown country'}: {fact.kind or 'ended'}"
        case other:
            return other


def _toll(toll: TollLine | None) -> str:
    match toll:
        case None:
            return "unknown"
        case TollLine(min=low, max=high) if low is not None and low == high:
            return f"{'about ' if toll.approx else ''}{low}"
        case TollLine(min=low, max=None) if low is not None:
            return f"at least {low}"
        case TollLine(min=None, max=high) if high is not None:
            return f"up to {high}"
        case _:
            return f"{toll.min} to {toll.max}"


def _clock(at: datetime) -> str:
    return f"{at.astimezone():%H:%M:%S}"
