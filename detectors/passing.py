"""What an article speaks of only in passing: below a title and an opening that are about something else.

A portrait, a match report or a column names old disasters on the way. Who reports one says so at the top.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detectors.candidates import Candidate
    from detectors.document import Document
    from detectors.rules import Rule
    from detectors.tokens import Sentence

IN_PASSING: Final = "in_passing"
OPENING: Final = 5  # sentences, the title among them, that say what an article is about
DEEP: Final = 8  # sentences: what is first told behind them is no news of this article

_RETELLING: Final = frozenset({"trial", "background", "fiction", "obituary"})  # scopes

# What shows that an article is about something of this kind, by the lexicons that the rule is read with.
_DEAD: Final = frozenset({"dead", "dead_many", "dead_one", "fatal", "toll", "corpses", "dying", "killing", "slaying"})
_TOPICS: Final = {
    "deaths": _DEAD,
    "foreign_troops": frozenset({"forces", "sending_of", "actor_forces"}),
    "government_dismissal": frozenset({"dismissing", "resigning", "toppling", "no_confidence"}),
}


def judged(document: Document, found: Sequence[tuple[Rule, Sequence[Candidate]]]) -> Iterator[Candidate]:
    """Pass on what each rule has *found*, those rejected that are mentioned in passing.

    One report of unrest tells of the dead, the soldiers and the government: with one of them at the top, the others
    may stand anywhere.
    """
    tops = [any(_at(document, one) < OPENING for one in candidates if one.rejected is None) for _, candidates in found]
    for (rule, candidates), own in zip(found, tops, strict=True):
        if sum(tops) > own:
            yield from candidates
            continue
        is_topic = False if _is_retold(document, candidates) else None
        has_news = False
        for candidate in candidates:
            position = _at(document, candidate) if candidate.rejected is None else 0
            if position >= OPENING:
                is_topic = _is_topic(document, rule) if is_topic is None else is_topic
                if not is_topic or (position >= DEEP and not has_news):
                    yield replace(candidate, rejected=IN_PASSING)
                    continue
            has_news = has_news or candidate.rejected is None
            yield candidate


def _is_retold(document: Document, candidates: Sequence[Candidate]) -> bool:
    """Tell whether the top speaks of the event as of something known: of its trial, its anniversary, its mourners."""
    reasons = {candidate.rejected for candidate in candidates if _at(document, candidate) < OPENING}
    return bool(reasons & _RETELLING) and None not in reasons


def _at(document: Document, candidate: Candidate) -> int:
    return document.position(candidate.sentence)


def _is_topic(document: Document, rule: Rule) -> bool:
    topic = _topic(rule)
    return any(_speaks_of(sentence, topic) for sentence in document.sentences[:OPENING])


def _topic(rule: Rule) -> frozenset[str]:
    """Return the words of the type, and a rule's own, which show its topic as well."""
    names = {name for pattern in rule.patterns for element in pattern.elements for name in element.names}
    own = frozenset(name for name in names if name.startswith(f"{rule.settings.id}/"))
    return own | _TOPICS.get(rule.settings.type, frozenset())


def _speaks_of(sentence: Sentence, topic: frozenset[str]) -> bool:
    return any(marks and name in topic for name, marks in sentence.marks.items())
