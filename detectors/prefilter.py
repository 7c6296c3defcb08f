"""A look at the letters before anything is cut into words: which sentences can tell something at all.

A pattern can only match where each of its classes has a word. Every entry of such a class is looked for by its longest
word, all at once (Aho-Corasick), and the hits of a sentence are added up as bits.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from ahocorasick_rs import AhoCorasick

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from detectors.lexicon import Lexicon
    from detectors.patterns import Pattern
    from detectors.tokens import Sentence

OTHERS: Final = "others"  # what a pattern means that only takes counts away
_COMPUTED: Final = frozenset({"count", "place"})  # classes that no word gives


class Prefilter:
    """Which of a language's sentences can match one of the patterns."""

    def __init__(self, lexicon: Lexicon, patterns: Iterable[Pattern]) -> None:
        wanted: dict[tuple[frozenset[str], ...], None] = {}
        for pattern in patterns:
            if pattern.means == OTHERS:
                continue
            if pattern.languages and lexicon.language not in pattern.languages:
                continue
            groups = [frozenset(e.names) - _COMPUTED for e in pattern.elements if not e.optional]
            groups += [frozenset(lexicon.scope_classes(pattern.needs))] if pattern.needs else []
            if all(groups) or any(groups):
                wanted[tuple(group for group in groups if group)] = None
        classes = sorted({name for groups in wanted for group in groups for name in group})
        bit = {name: 1 << place for place, name in enumerate(classes)}
        self._needs = [tuple(sum(bit[name] for name in group) for group in groups) for groups in wanted]
        keys: dict[str, list[tuple[int, bool, bool]]] = {}
        for name, key, opens, closes in lexicon.keys(classes):
            keys.setdefault(key, []).append((bit[name], opens, closes))
        self._keys = list(keys.values())
        self._letters = AhoCorasick(list(keys) or ["\x00"])

    def hits(self, folded: str) -> list[tuple[int, int]]:
        """(position, bits) of every word that matters in a folded text."""
        size = len(folded)
        found = []
        for index, start, end in self._letters.find_matches_as_indexes(folded, overlapping=True):
            opens = start == 0 or not folded[start - 1].isalnum()
            closes = end >= size or not folded[end].isalnum()
            bits = 0
            for bit, must_open, must_close in self._keys[index]:
                if (opens or not must_open) and (closes or not must_close):
                    bits |= bit
            if bits:
                found.append((start, bits))
        return found

    def suffices(self, bits: int) -> bool:
        """Whether words with these bits can make up a whole pattern."""
        return any(all(bits & group for group in groups) for groups in self._needs)

    def hot(self, hits: Sequence[tuple[int, int]], sentences: Sequence[Sentence]) -> list[int]:
        """Places (in the sequence) of the sentences of one field that can match."""
        starts = [sentence.starts[0] for sentence in sentences]
        bits = [0] * len(sentences)
        for position, bit in hits:
            bits[max(bisect_right(starts, position) - 1, 0)] |= bit
        return [place for place, both in enumerate(bits) if both and self.suffices(both)]
