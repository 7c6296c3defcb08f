"""What an article speaks of only in passing: deep in a long text whose title and opening are about something else.

A portrait, a match report or a column names old disasters on the way. Who reports one says so at the top.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from detectors.candidates import Candidate
    from detectors.document import Document
    from detectors.rules import Rule
    from detectors.tokens import Sentence

IN_PASSING: Final = "in_passing"
OPENING: Final = 5  # sentences, the title among them, that say what an article is about
DEEP: Final = 8  # sentences before one that is far from the top

# What shows that an article is about something of this kind; one report of unrest tells of the dead, the soldiers and
# the government, so any of these will do for each.
_TOPIC: Final = frozenset(
    {
        "dead", "dead_many", "dead_one", "fatal", "toll", "corpses", "dying", "killing", "slaying",
        "injured", "missing", "forces", "sending_of", "dismissing", "resigning", "toppling", "no_confidence",
    }
)  # fmt: skip
_CAUSES: Final = "cause_"


def judged(document: Document, rule: Rule, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """Pass on the candidates of *rule*, those rejected that are mentioned in passing."""
    is_topic: bool | None = None
    for candidate in candidates:
        if candidate.rejected is None and document.position(candidate.sentence) >= DEEP:
            if is_topic is None:
                topic = _TOPIC | _classes(rule)
                is_topic = any(_speaks_of(sentence, topic) for sentence in document.sentences[:OPENING])
            if not is_topic:
                yield replace(candidate, rejected=IN_PASSING)
                continue
        yield candidate


def _classes(rule: Rule) -> frozenset[str]:
    """Return the words of a rule's own, which show its topic as well."""
    names = {name for pattern in rule.patterns for element in pattern.elements for name in element.names}
    return frozenset(name for name in names if name.startswith(f"{rule.settings.id}/"))


def _speaks_of(sentence: Sentence, topic: frozenset[str]) -> bool:
    return any(marks and (name in topic or name.startswith(_CAUSES)) for name, marks in sentence.marks.items())
