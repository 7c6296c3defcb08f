"""Which `keywords` and `query` rules an article can match at all, told by its letters alone.

All their words are looked for at once, whatever the language; a rule that lacks a word it needs is not asked further,
and an article that no rule can match is not cut into words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detectors.prefilter import Letters
from detectors.tokens import folds_evenly

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detectors.rules import Rule


class Wording:
    """The words of all such rules."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = [(rule, conditions) for rule in rules if (conditions := rule.keywords or rule.query) is not None]
        self._words = sorted({word for _, conditions in self._rules for word in conditions.words})
        self._letters = Letters(self._words)

    def possible(self, fields: Mapping[str, str], folded: Mapping[str, str], language: str) -> list[Rule]:
        """Return the rules that may match this article, in their order."""
        if not all(folds_evenly(text, folded[name], language) for name, text in fields.items()):
            return [rule for rule, _ in self._rules]  # a word may fold otherwise by itself than in its text
        found = {self._words[index] for text in folded.values() for index, _, _ in self._letters.found(text)}
        return [rule for rule, conditions in self._rules if conditions.may_match(found, fields.values())]
