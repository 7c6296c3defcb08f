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
        asking: dict[str, list[int]] = {}  # which rules a word belongs to
        for place, (_, conditions) in enumerate(self._rules):
            for word in sorted(conditions.words):
                asking.setdefault(word, []).append(place)
        self._words = list(asking)
        self._asking = list(asking.values())
        self._letters = Letters(self._words)
        self._always = {place for place, (_, conditions) in enumerate(self._rules) if not conditions.needs_a_word}

    def possible(self, fields: Mapping[str, str], folded: Mapping[str, str], language: str) -> list[Rule]:
        """Return the rules that may match this article, in their order."""
        if not all(folds_evenly(text, folded[name], language) for name, text in fields.items()):
            return [rule for rule, _ in self._rules]  # a word may fold otherwise by itself than in its text
        found = {
            index
            for name, text in folded.items()
            for index, start, _ in self._letters.found(text)
            if _opens(fields[name], start)
        }
        if not found and not self._always:
            return []
        words = {self._words[index] for index in found}
        asked = self._always.union(*(self._asking[index] for index in found))
        rules = (self._rules[place] for place in sorted(asked))
        return [rule for rule, conditions in rules if conditions.may_match(words, fields.values())]


def _opens(text: str, start: int) -> bool:
    """Tell whether a word may begin here: no letter goes on into another, but for `the FrontThe governor`."""
    return start == 0 or not text[start - 1].isalpha() or text[start].isupper() or not text[start].isalpha()
