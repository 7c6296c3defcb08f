"""Words and phrases in an article: whole words, any case, `*` for any ending."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detectors.regex import Regex
from detectors.tokens import words

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence, Set as AbstractSet

    from detectors.document import Document
    from detectors.settings import KeywordSettings
    from detectors.tokens import Sentence

_WORD_LIMIT: Final = 40


@dataclass(frozen=True, slots=True)
class Phrase:
    """Consecutive words; `*` at the end of one takes any ending."""

    parts: tuple[tuple[str, bool], ...]

    @classmethod
    def of(cls, text: str) -> Phrase:
        """Cut *text* as articles are cut.

        Raises:
            ValueError: there is no word in it, or a `*` elsewhere than at the end of one.
        """
        parts: list[tuple[str, bool]] = []
        for chunk in text.split():
            if "*" in chunk.rstrip("*"):
                raise ValueError(f"{chunk!r}: '*' stands for any ending, so only at the end of a word")
            lows = words(chunk.rstrip("*"))[1]
            parts += [(low, False) for low in lows[:-1]] + [(low, chunk.endswith("*")) for low in lows[-1:]]
        if not parts or len(parts) > _WORD_LIMIT:
            raise ValueError(f"{text!r} is not one to {_WORD_LIMIT} words")
        return cls(tuple(parts))

    def may_stand(self, words: AbstractSet[str]) -> bool:
        """Tell whether all its words are among *words*, those that some text contains."""
        return all(word in words for word, _ in self.parts)

    def places(self, sentence: Sentence) -> Iterator[tuple[int, int]]:
        """Every (start, end) in words of *sentence*."""
        lows, size = sentence.lows, len(self.parts)
        first, open_ended = self.parts[0]
        for at in range(len(lows) - size + 1):
            if not (lows[at].startswith(first) if open_ended else lows[at] == first):
                continue
            if all(
                lows[at + i].startswith(word) if open_end else lows[at + i] == word
                for i, (word, open_end) in enumerate(self.parts[1:], 1)
            ):
                yield at, at + size


class Keywords:
    """A compiled `keywords:`."""

    def __init__(self, settings: KeywordSettings) -> None:
        self._any = [Phrase.of(text) for text in settings.any]
        self._all = [Phrase.of(text) for text in settings.all]
        self._none = [Phrase.of(text) for text in settings.none]
        self._regex = [Regex(text) for text in settings.regex]

    @property
    def needs_a_word(self) -> bool:
        """Whether an article without any of `words` cannot match."""
        return bool(self._all) or not self._regex

    @property
    def words(self) -> set[str]:
        """All words that must or may be there."""
        return {word for phrase in (*self._any, *self._all) for word, _ in phrase.parts}

    def may_match(self, words: AbstractSet[str], texts: Collection[str]) -> bool:
        """Tell whether an article of these *texts* can match, of which these *words* are in it."""
        if not all(phrase.may_stand(words) for phrase in self._all):
            return False
        if not self._any and not self._regex:
            return True
        if any(phrase.may_stand(words) for phrase in self._any):
            return True
        return any(regex.is_in(text) for regex in self._regex for text in texts)

    def find(self, document: Document) -> list[tuple[Sentence, int, int]]:
        """Where the article matches; empty when it does not."""
        sentences = document.sentences
        if self._none and _first(self._none, sentences):
            return []
        found: list[tuple[Sentence, int, int]] = []
        for phrase in self._all:
            hit = _first([phrase], sentences)
            if hit is None:
                return []
            found.append(hit)
        if self._any or self._regex:
            hits = [(s, *place) for s in sentences for phrase in self._any for place in phrase.places(s)]
            hits += [(s, *place) for s in sentences for regex in self._regex for place in _places(regex, s)]
            if not hits:
                return []
            found = hits + found
        return found


def _places(regex: Regex, sentence: Sentence) -> Iterator[tuple[int, int]]:
    """Every (start, end) in words; a word that is fitted in part counts whole."""
    offset = sentence.starts[0]
    for start, end in regex.places(sentence.source[offset : sentence.ends[-1]]):
        first = max(bisect_right(sentence.starts, start + offset) - 1, 0)
        last = bisect_left(sentence.starts, end + offset)
        yield first, max(last, first + 1)


def _first(phrases: Sequence[Phrase], sentences: Sequence[Sentence]) -> tuple[Sentence, int, int] | None:
    for sentence in sentences:
        for phrase in phrases:
            for start, end in phrase.places(sentence):
                return sentence, start, end
    return None
