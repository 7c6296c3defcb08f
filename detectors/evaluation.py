"""How well the rules do on labelled cases: precision, recall and attributes, by type, language and tag.

A case is an object with `id`, `title`, `text`, `events` and perhaps `lang`, `published`, `tags`. An event found is a
hit when the case has one of its type; each labelled event is hit once, by what agrees with it on most attributes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from detectors.pairing import Event, agrees, paired

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

ALL: Final = "all"
# What is compared of an event that was hit; of a type that is not here, whatever its label names.
ATTRIBUTES: Final = {
    "deaths": ("min", "max", "certainty", "country"),
    "foreign_troops": ("from", "to", "certainty"),
    "government_dismissal": ("country", "kind", "certainty"),
}
_NOT_COMPARED: Final = frozenset({"type", "also", "approx", "evidence", "rule", "senders"})
# Tags of cases whose label two editors may disagree on, and in what.
UNGRADED: Final[Mapping[str, frozenset[str]]] = {
    "planned": frozenset({"certainty"}),
    "kind_inferred": frozenset({"kind"}),
}


@dataclass(slots=True)
class Counts:
    """Hits, false alarms and misses."""

    hits: int = 0
    false: int = 0
    missed: int = 0

    @property
    def precision(self) -> float:
        """The share of rings that were right; 1 where nothing rang."""
        return self.hits / (self.hits + self.false) if self.hits + self.false else 1.0

    @property
    def recall(self) -> float:
        """The share of events that were found; 1 where there were none."""
        return self.hits / (self.hits + self.missed) if self.hits + self.missed else 1.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing that is wrong with one case, the worst first by `rank`."""

    rank: int
    case: str
    what: str
    text: str


@dataclass(slots=True)
class Report:
    """What came of all cases. `counts` is by (what, name): type, language or tag."""

    cases: int = 0
    exact: int = 0
    negatives: int = 0
    false_alarms: int = 0
    counts: dict[tuple[str, str], Counts] = field(default_factory=lambda: defaultdict(Counts))
    attributes: dict[str, Counter[bool]] = field(default_factory=lambda: defaultdict(Counter))
    mistakes: list[Mistake] = field(default_factory=list)

    @property
    def false_alarm_rate(self) -> float:
        """The share of cases without an event in which something rang all the same."""
        return self.false_alarms / self.negatives if self.negatives else 0.0


def evaluate(cases: Iterable[tuple[Mapping[str, Any], Sequence[Event]]], types: Collection[str] = ()) -> Report:
    """Compare each case with the events that were found in it; only *types* count, if given.

    What is found of a type that no case has a label for does not count: nobody has looked for it there.
    """
    both = list(cases)
    wanted = set(types) or {event["type"] for case, _ in both for event in case["events"]}
    report = Report()
    for case, found in both:
        _compare(case, [event for event in found if event["type"] in wanted], wanted, report)
    report.mistakes.sort(key=lambda mistake: (mistake.rank, mistake.case))
    return report


def _compare(case: Mapping[str, Any], found: Sequence[Event], types: Collection[str], report: Report) -> None:
    labelled = [event for event in case["events"] if event["type"] in types]
    tags = case.get("tags") or []
    ungraded = frozenset().union(*(UNGRADED.get(tag, frozenset()) for tag in tags))
    mistakes: list[Mistake] = []
    report.cases += 1
    if not labelled:
        report.negatives += 1
        report.false_alarms += bool(found)
    names = [("", ALL), ("language", str(case.get("lang") or "?")), *(("tag", tag) for tag in tags)]
    for type_ in sorted(types):
        want = [event for event in labelled if event["type"] == type_]
        got = [event for event in found if event["type"] == type_]
        pairs = paired(want, got, names=_attributes)
        for name in (*names, ("type", type_)):
            counts = report.counts[name]
            counts.hits += len(pairs)
            counts.false += len(got) - len(pairs)
            counts.missed += len(want) - len(pairs)
        mistakes += _miscounted(case, want, got, pairs)
        mistakes += _misread(case, type_, pairs, ungraded, report)
    report.exact += not mistakes
    report.mistakes += mistakes


def _miscounted(
    case: Mapping[str, Any], want: list[Event], got: list[Event], pairs: list[tuple[Event, Event]]
) -> Iterator[Mistake]:
    taken = [id(event) for pair in pairs for event in pair]
    for event in got:
        if id(event) not in taken:
            rank = 1 if want else 0  # what rings where nothing is costs most trust
            yield Mistake(rank=rank, case=case["id"], what=f"false alarm: {_shown(event)}", text=_text(case))
    for event in want:
        if id(event) not in taken:
            yield Mistake(rank=1, case=case["id"], what=f"missed: {_shown(event)}", text=_text(case))


def _misread(
    case: Mapping[str, Any], type_: str, pairs: list[tuple[Event, Event]], ungraded: Collection[str], report: Report
) -> Iterator[Mistake]:
    for want, got in pairs:
        for name in _attributes(want):
            if name in ungraded:
                continue
            right = agrees(name, want.get(name), got.get(name))
            report.attributes[f"{type_}.{name}"][right] += 1
            if not right:
                what = f"{type_}.{name}: expected {want.get(name)!r}, found {got.get(name)!r}"
                yield Mistake(rank=2, case=case["id"], what=what, text=_text(case))


def _attributes(event: Event) -> Sequence[str]:
    return ATTRIBUTES.get(event["type"]) or [name for name in event if name not in _NOT_COMPARED]


def _shown(event: Event) -> str:
    told = {name: event.get(name) for name in _attributes(event)}
    return f"{event['type']} " + ", ".join(f"{name}={value}" for name, value in told.items())


def _text(case: Mapping[str, Any]) -> str:
    return f"{case.get('title') or ''} {case.get('text') or ''}".strip()
