"""An analyst's query: `title:(internet* NEAR/5 (shutdown OR abgeschaltet)) AND NOT background`.

    query  := or
    or     := and ("OR" and)*
    and    := not (("AND")? not)*
    not    := "NOT" not | near
    near   := atom ("NEAR/" n atom)*
    atom   := field ":" atom | "(" or ")" | '"' words '"' | word["*"]

Fields are `title`, `summary` and `text`; two atoms side by side are joined by AND.
NEAR counts the words between, in one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detectors.document import Document
from detectors.keywords import Phrase

if TYPE_CHECKING:
    from detectors.tokens import Sentence

Hit = tuple["Sentence", int, int]
_LEXEME: Final = re.compile(
    r'\s+|(?P<open>\()|(?P<close>\))|(?P<phrase>"[^"]*")|(?P<field>[a-z]+):(?=\S)|(?P<word>[^\s()":]+)'
)
_NEAR: Final = re.compile(r"NEAR/(\d{1,3})")
_NEARLY_NEAR: Final = re.compile(r"NEAR\W*\d*|(?i:near)(?:\W*\d+|\W+)")
_IN_SMALL_LETTERS: Final = frozenset({"and", "or", "not"})
FIELDS: Final = ("title", "summary", "text")
DEPTH_LIMIT: Final = 40
LENGTH_LIMIT: Final = 4000
HITS_A_SENTENCE: Final = 200  # of a NEAR; `a NEAR/9 b NEAR/9 a …` would multiply them without end


@dataclass(frozen=True, slots=True)
class _Node:
    """A part of a query: where it stands in an article, and whether it can stand in a text of these words."""

    find: Callable[[Document, str | None], list[Hit]]
    may: Callable[[AbstractSet[str]], bool]


@dataclass(frozen=True, slots=True)
class _Lexeme:
    kind: str
    text: str
    column: int


class Query:
    """A parsed query; `find` gives the words that made it true."""

    def __init__(self, text: str) -> None:
        if len(text) > LENGTH_LIMIT:
            raise ValueError(f"query: longer than {LENGTH_LIMIT} characters")
        self._lexemes = _lexed(text)
        self.words: set[str] = set()
        self._at = 0
        self._depth = 0
        self._end = len(text) + 1
        self._root, positive = self._or()
        if self._at < len(self._lexemes):
            raise self._wrong("expected AND, OR, NEAR/n or the end")
        if not positive:
            raise ValueError("query, column 1: matches by absence alone; say also what must be there")

    def find(self, document: Document) -> list[Hit]:
        """Where the article matches; empty when it does not."""
        return self._root.find(document, None)

    @property
    def needs_a_word(self) -> bool:
        """Whether an article without any of `words` cannot match; absence alone is refused."""
        return True

    def may_match(self, words: AbstractSet[str], _texts: Collection[str] = ()) -> bool:
        """Tell whether an article can match of whose text only these *words* (of `self.words`) are known."""
        return self._root.may(words)

    def _or(self) -> tuple[_Node, bool]:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise self._wrong(f"nested deeper than {DEPTH_LIMIT}")
        node, positive = self._and()
        while self._takes("OR"):
            other, also = self._and()
            node, positive = _either(node, other), positive and also
        self._depth -= 1
        return node, positive

    def _and(self) -> tuple[_Node, bool]:
        parts = [self._not()]
        while self._takes("AND") or self._is_atom():
            parts.append(self._not())
        positive = [node for node, is_positive in parts if is_positive]
        negative = [node for node, is_positive in parts if not is_positive]
        if not positive:
            return _all_absent(negative), False
        return _both(positive, negative), True

    def _not(self) -> tuple[_Node, bool]:
        if self._takes("NOT"):
            node, positive = self._not()
            return node, not positive
        return self._near()

    def _near(self) -> tuple[_Node, bool]:
        node, positive = self._atom()
        while self._at < len(self._lexemes) and (near := _NEAR.fullmatch(self._lexemes[self._at].text)):
            self._at += 1
            other, also = self._atom()
            if not (positive and also):
                raise self._wrong("NEAR needs words on both sides, not NOT")
            node = _close(node, other, int(near[1]))
        return node, positive

    def _atom(self) -> tuple[_Node, bool]:
        if self._at >= len(self._lexemes):
            raise self._wrong("expected a word, a phrase or '('")
        lexeme = self._lexemes[self._at]
        self._at += 1
        if lexeme.kind == "open":
            node, positive = self._or()
            if self._at >= len(self._lexemes) or self._lexemes[self._at].kind != "close":
                raise self._wrong(f"the '(' of column {lexeme.column} is not closed")
            self._at += 1
            return node, positive
        if lexeme.kind == "field":
            if lexeme.text not in FIELDS:
                raise ValueError(
                    f"query, column {lexeme.column}: no field {lexeme.text!r}; there are {', '.join(FIELDS)}"
                )
            node, positive = self._atom()
            return _within(lexeme.text, node), positive
        if (
            lexeme.kind in {"word", "phrase"}
            and lexeme.text not in {"AND", "OR", "NOT"}
            and not _NEAR.fullmatch(lexeme.text)
        ):
            _refuse_what_looks_like_an_operator(lexeme)
            try:
                phrase = Phrase.of(lexeme.text.strip('"'))
            except ValueError as error:
                raise ValueError(f"query, column {lexeme.column}: {error}") from error
            self.words.update(word for word, _ in phrase.parts)
            return _phrase(phrase), True
        self._at -= 1
        raise self._wrong("expected a word, a phrase or '('")

    def _takes(self, word: str) -> bool:
        if self._at < len(self._lexemes) and self._lexemes[self._at] == _Lexeme(
            "word", word, self._lexemes[self._at].column
        ):
            self._at += 1
            return True
        return False

    def _is_atom(self) -> bool:
        if self._at >= len(self._lexemes):
            return False
        lexeme = self._lexemes[self._at]
        return lexeme.kind != "close" and lexeme.text not in {"OR", "AND"} and not _NEAR.fullmatch(lexeme.text)

    def _wrong(self, message: str) -> ValueError:
        here = self._lexemes[self._at] if self._at < len(self._lexemes) else None
        what = f", not {here.text!r}" if here else ""
        return ValueError(f"query, column {here.column if here else self._end}: {message}{what}")


def _refuse_what_looks_like_an_operator(lexeme: _Lexeme) -> None:
    """Ask for what was meant: taken for a word, it would make the rule silent for ever."""
    if lexeme.kind != "word":
        return
    told = ""
    if lexeme.text in _IN_SMALL_LETTERS:
        told = f"the operator is {lexeme.text.upper()}"
    elif _NEARLY_NEAR.fullmatch(lexeme.text):
        digits = "".join(letter for letter in lexeme.text if letter.isdecimal())[:3]
        told = f"the operator is NEAR/{digits or 5}"
    if told:
        raise ValueError(
            f'query, column {lexeme.column}: {lexeme.text!r} would be a word here: {told}, the word "{lexeme.text}"'
        )


def _lexed(text: str) -> list[_Lexeme]:
    lexemes = []
    at = 0
    while at < len(text):
        match = _LEXEME.match(text, at)
        if match is None:
            raise ValueError(f"query, column {at + 1}: {text[at]!r} has no meaning here")
        if match.lastgroup:
            lexemes.append(_Lexeme(match.lastgroup, match[match.lastgroup], at + 1))
        at = match.end()
    return lexemes


def _phrase(phrase: Phrase) -> _Node:
    def find(document: Document, field: str | None) -> list[Hit]:
        chosen = (s for s in document.sentences if field is None or s.field == field)
        return [(sentence, *place) for sentence in chosen for place in phrase.places(sentence)]

    return _Node(find, phrase.may_stand)


def _within(field: str, node: _Node) -> _Node:
    return _Node(lambda document, outer: node.find(document, field) if outer in {None, field} else [], node.may)


def _either(first: _Node, second: _Node) -> _Node:
    return _Node(
        lambda document, field: first.find(document, field) + second.find(document, field),
        lambda words: first.may(words) or second.may(words),
    )


def _both(positive: list[_Node], negative: list[_Node]) -> _Node:
    def find(document: Document, field: str | None) -> list[Hit]:
        hits: list[Hit] = []
        for node in positive:
            found = node.find(document, field)
            if not found:
                return []
            hits += found
        return [] if any(node.find(document, field) for node in negative) else hits

    return _Node(find, lambda words: all(node.may(words) for node in positive))


def _all_absent(negative: list[_Node]) -> _Node:
    """Of `NOT a NOT b`, what would forbid it: either of them."""
    return _Node(
        lambda document, field: [hit for node in negative for hit in node.find(document, field)], lambda _words: True
    )


def _close(first: _Node, second: _Node, distance: int) -> _Node:
    def find(document: Document, field: str | None) -> list[Hit]:
        right: dict[int, list[Hit]] = {}  # by sentence, which has few words, and a text as many as it likes
        for hit in second.find(document, field):
            right.setdefault(id(hit[0]), []).append(hit)
        found: dict[int, dict[Hit, None]] = {}
        for a in first.find(document, field):
            here = found.setdefault(id(a[0]), {})
            for b in right.get(id(a[0]), ()):
                if len(here) >= HITS_A_SENTENCE:
                    break
                if max(a[1] - b[2], b[1] - a[2]) <= distance and (a[1], a[2]) != (b[1], b[2]):
                    here[a[0], min(a[1], b[1]), max(a[2], b[2])] = None
        return [hit for some in found.values() for hit in some]

    return _Node(find, lambda words: first.may(words) and second.may(words))
