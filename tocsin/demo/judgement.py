"""What had to come of each text and what did. Plain functions of what was served and what arrived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tocsin.demo.rings import Board, Message, cause
from tocsin.demo.story import Edition, Outcome, Story
from tocsin.records import MessageKind, Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RINGS = ("slack", "mail")  # the sinks whose word counts beside the file


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One text's outcome. `wrong` says in a few words what differs; empty when all is as it should be.

    `fatal` differences are rings that are missing, wrong or too many; the others are told and forgiven.
    """

    edition: Edition
    messages: tuple[Message, ...]
    wrong: str = ""
    fatal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The whole run. `unasked` are messages that no text of the story explains."""

    verdicts: tuple[Verdict, ...]
    unasked: tuple[Message, ...]
    opening: tuple[Message, ...]
    problems: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        """Whether every expected ring came, at every receiver, and none besides."""
        return not self.problems and not any(verdict.fatal for verdict in self.verdicts)


def judge(story: Story, board: Board, served: Mapping[str, float]) -> Judgement:
    """Lay what arrived beside what the story expects of everything that was served."""
    messages = board.messages
    editions = {edition.name: edition for edition in story.editions}
    opening = tuple(message for message in messages if message.line.kind is MessageKind.DIGEST)
    caused: dict[str, list[Message]] = {}
    unasked: list[Message] = []
    for message in messages:
        if message.line.kind is MessageKind.DIGEST:
            continue
        because = cause(message, editions, served)
        if because is None:
            unasked.append(message)
        else:
            caused.setdefault(because.name, []).append(message)
    labels = _labels(story, caused)
    verdicts = tuple(
        _verdict(edition, tuple(caused.get(edition.name, ())), opening, labels)
        for edition in story.editions
        if edition.name in served
    )
    problems = [f"a ring that no article explains: {message.line.title}" for message in unasked if message.line.rings]
    if len(opening) > 1:
        problems.append(f"{len(opening)} opening pictures instead of one")
    problems += [f"at {stray.sink} but not in the file, or twice: {stray.title}" for stray in board.strays]
    problems += [f"a line of the file that cannot be read: {line}" for line in board.unreadable]
    return Judgement(verdicts=verdicts, unasked=tuple(unasked), opening=opening, problems=tuple(problems))


def delays(judgement: Judgement, served: Mapping[str, float], *, sink: str) -> list[float]:
    """Return the seconds from a feed showing a text to *sink* having the message that it caused, backfill excluded."""
    return [
        message.heard[sink].instant - served[verdict.edition.name]
        for verdict in judgement.verdicts
        for message in verdict.messages
        if sink in message.heard and not verdict.edition.is_backfill
    ]


def _labels(story: Story, caused: Mapping[str, Sequence[Message]]) -> Mapping[str, str]:
    """Return which of the service's incidents each of the story's is: the one that its first ring founded."""
    labels: dict[str, str] = {}
    for edition in story.live:
        label = edition.expect.incident
        if label is None or label in labels or not edition.expect.step.rings:
            continue
        incident = next((message.line.incident for message in caused.get(edition.name, ())), None)
        if incident is not None:
            labels[label] = incident
    return labels


def _verdict(
    edition: Edition, messages: tuple[Message, ...], opening: Sequence[Message], labels: Mapping[str, str]
) -> Verdict:
    expect = edition.expect
    rings = [message for message in messages if message.line.rings]
    wrong, fatal = "", False
    if expect.step is Outcome.OPENING:
        fatal = not any(_tells(message, edition) for message in opening)
        wrong = "not in the opening picture" if fatal else ""
    elif expect.step.rings:
        wrong = _ring_wrong(edition, rings, labels)
        fatal = bool(wrong)
    elif rings:
        wrong, fatal = f"rang: {rings[0].line.step} “{rings[0].line.title}”", True
    elif expect.step is Outcome.UPDATE and not messages:
        wrong = "no update was told"
    elif expect.step is not Outcome.UPDATE and messages:
        wrong = f"told quietly: “{messages[0].line.title}”"
    if not wrong and (repeats := sum(message.repeats for message in messages)):
        wrong = f"written {repeats + 1} times"
    return Verdict(edition=edition, messages=messages, wrong=wrong, fatal=fatal)


def _ring_wrong(edition: Edition, rings: Sequence[Message], labels: Mapping[str, str]) -> str:
    expect = edition.expect
    if len(rings) != 1:
        due = f"{expect.step} of {', '.join(expect.types)} was due"
        return f"rang {len(rings)} times" if rings else f"did not ring ({due})"
    ring = rings[0]
    missing = [sink for sink in RINGS if sink not in ring.heard]
    if ring.line.step != Step(expect.step.value):
        return f"rang as {ring.line.step}, not {expect.step}"
    if not ring.line.changed >= set(expect.types):
        return f"rang for {', '.join(sorted(ring.line.changed)) or 'nothing'}, not {', '.join(expect.types)}"
    if ring.line.incident != labels.get(expect.incident or ""):
        return "rang in another incident"
    if list(labels.values()).count(str(ring.line.incident)) > 1:
        return "two happenings were taken for one incident"
    return f"never reached {' and '.join(missing)}" if missing else ""


def _tells(message: Message, edition: Edition) -> bool:
    return edition.url in message.line.urls or edition.url in message.line.text
