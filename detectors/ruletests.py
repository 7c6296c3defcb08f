"""Runs the tests that stand beside the rules: in the rule itself (`tests:`) and in `config/rules/tests/`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any, Final

from detectors.scan import event_json, scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from detectors.engine import Engine
    from detectors.settings import RuleTestSettings

PAIRED_MOST: Final = 6  # events of one text that are paired in the best way; more are paired as they come

Event = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """One test of one rule: what was expected, what came, and where they differ (empty when it passed)."""

    __test__ = False  # pytest collects what is called Test*

    rule: str
    number: int
    text: str
    expected: tuple[Event, ...]
    found: tuple[Event, ...]
    differences: tuple[str, ...]
    pending: bool = False

    @property
    def passed(self) -> bool:
        """Nothing differs."""
        return not self.differences


def run_tests(engine: Engine) -> list[TestResult]:
    """Run the tests that stand in the rules themselves, in the order of the files."""
    return [
        run_test(engine, rule.settings.id, number, test)
        for rule in engine.rules
        for number, test in enumerate(rule.settings.tests, 1)
    ]


def run_test(
    engine: Engine, rule: str, number: int, test: RuleTestSettings, *, language: str | None = None
) -> TestResult:
    """Run one test, in *language* where it names none; only the rule's own events are looked at."""
    result = scan(
        engine,
        id=f"{rule}#{number}",
        title=test.title,
        text=test.text,
        language=test.language or language,
        published=test.published,
    )
    found = [event_json(event) for event in result.events if event.rule == rule]
    differences = [f"expected {len(test.expect)} events, found {len(found)}"] if len(found) != len(test.expect) else []
    for want, got in _paired(test.expect, found):
        differences += [
            f"{key}: expected {value!r}, found {got.get(key)!r}"
            for key, value in want.items()
            if not _agrees(key, value, got.get(key))
        ]
    if test.pending:
        differences = [] if differences else ["passes now: take `pending` away"]
    return TestResult(
        rule=rule,
        number=number,
        text=f"{test.title} {test.text}".strip(),
        expected=tuple(test.expect),
        found=tuple(found),
        differences=tuple(differences),
        pending=test.pending,
    )


def _paired(expected: Sequence[Event], found: Sequence[Event]) -> list[tuple[Event, Event]]:
    """Return each expected event with the found one that is meant: so that most attributes agree."""
    if len(expected) > PAIRED_MOST or len(found) > PAIRED_MOST:
        return list(zip(expected, found, strict=False))
    few = min(len(expected), len(found))
    ways = (
        list(zip(some, others, strict=True))
        for some in permutations(expected, few)
        for others in permutations(found, few)
    )
    return max(ways, key=_agreement, default=[])


def _agreement(pairs: Iterable[tuple[Event, Event]]) -> int:
    return sum(_agrees(key, value, got.get(key)) for want, got in pairs for key, value in want.items())


def _agrees(key: str, wanted: object, got: object) -> bool:
    if key == "from" and isinstance(wanted, list) and isinstance(got, list):
        return sorted(wanted) == sorted(got)
    return wanted == got
