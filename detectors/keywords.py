"""Words and phrases in an article: whole words, any case, `*` for any ending."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detectors.tokens import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Set as AbstractSet

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

    @property
    def words(self) -> set[str]:
        """All words that must or may be there."""
        return {word for phrase in (*self._any, *self._all) for word, _ in phrase.parts}

    def may_match(self, words: AbstractSet[str]) -> bool:
        """Tell whether an article can match of whose text only these *words* are known."""
        if not all(phrase.may_stand(words) for phrase in self._all):
            return False
        return not self._any or any(phrase.may_stand(words) for phrase in self._any)

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
        if self._any:
            hits = [(s, *place) for s in sentences for phrase in self._any for place in phrase.places(s)]
            if not hits:
                return []
            found = hits + found
        return found


def _first(phrases: Sequence[Phrase], sentences: Sequence[Sentence]) -> tuple[Sentence, int, int] | None:
    for sentence in sentences:
        for phrase in phrases:
            for start, end in phrase.places(sentence):
                return sentence, start, end
    return None
