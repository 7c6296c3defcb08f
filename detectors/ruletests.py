"""Runs the tests that stand beside the rules: in the rule itself (`tests:`) and in `config/rules/tests/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detectors.pairing import Event, agrees, paired
from detectors.scan import event_json, scan

if TYPE_CHECKING:
    from detectors.engine import Engine
    from detectors.settings import RuleTestSettings


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
    for want, got in paired(test.expect, found, names=iter):
        differences += [
            f"{key}: expected {value!r}, found {got.get(key)!r}"
            for key, value in want.items()
            if not agrees(key, value, got.get(key))
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
