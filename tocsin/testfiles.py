"""The files of `rules/tests/`, read and checked. The service has no use for them: only `check` and `test` have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from detectors.settings import RuleTestFile
from tocsin import yamlfile
from tocsin.configfiles import test_files
from tocsin.errors import Problem, SettingsInvalid
from tocsin.mistakes import did_you_mean
from tocsin.settings import shipped
from tocsin.yamlfile import Document

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TestFile:
    """One file of tests, and where each of its tests stands."""

    __test__ = False  # pytest collects what is called Test*

    document: Document
    settings: RuleTestFile

    def problem(self, message: str, number: int) -> Problem:
        """Return *message* as a mistake of the test of this *number*, the first being 1."""
        return self.document.problem(message, "tests", number - 1)


def read_tests(own: Path | None, *, rules: Collection[str]) -> list[TestFile]:
    """Read the shipped files of tests overlaid by those of *own*, for the rules of these ids.

    The shipped tests of a rule that the operator has taken out are passed over.

    Raises:
        SettingsInvalid: with every mistake of every file.
    """
    found: list[TestFile] = []
    problems: list[Problem] = []
    for file in test_files(shipped(), own):
        try:
            document = yamlfile.load(file.path)
            settings = yamlfile.validate(RuleTestFile, document)
        except SettingsInvalid as error:
            problems += error.problems
            continue
        if settings.rule in rules:
            found.append(TestFile(document=document, settings=settings))
        elif file.own:
            message = f"there is no rule {settings.rule!r}{did_you_mean(settings.rule, rules)}"
            problems.append(document.problem(message, "rule"))
    if problems:
        raise SettingsInvalid(problems)
    return found
