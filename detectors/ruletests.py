"""Runs the `tests:` that stand beside the rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    expected: tuple[dict[str, Any], ...]
    found: tuple[dict[str, Any], ...]
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Nothing differs."""
        return not self.differences


def run_tests(engine: Engine) -> list[TestResult]:
    """Run all tests of all rules, in the order of the files; only the rule's own events are looked at."""
    return [
        _run(engine, rule.settings.id, number, test)
        for rule in engine.rules
        for number, test in enumerate(rule.settings.tests, 1)
    ]


def _run(engine: Engine, rule: str, number: int, test: RuleTestSettings) -> TestResult:
    result = scan(
        engine,
        id=f"{rule}#{number}",
        title=test.title,
        text=test.text,
        language=test.language,
        published=test.published,
    )
    found = tuple(event_json(event) for event in result.events if event.rule == rule)
    differences = [f"expected {len(test.expect)} events, found {len(found)}"] if len(found) != len(test.expect) else []
    for want, got in zip(test.expect, found, strict=False):
        differences += [
            f"{key}: expected {value!r}, found {got.get(key)!r}" for key, value in want.items() if got.get(key) != value
        ]
    return TestResult(
        rule=rule,
        number=number,
        text=f"{test.title} {test.text}".strip(),
        expected=test.expect,
        found=found,
        differences=tuple(differences),
    )
