"""Regular expressions of operators, run by RE2: in time linear in the text, whatever they are (google-re2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import re2

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY_BYTES: Final = 8 << 20  # for one program and its states; what needs more is refused, not swapped
# RE2 knows them, yet only as letters of ASCII; in a text of another script they would find nothing and say nothing.
_ASCII_ONLY: Final = {r"\w": r"\pL", r"\W": r"\PL", r"\b": "a word list (`any`)", r"\B": r"\pL"}


class Regex:
    """One compiled expression, blind to case."""

    def __init__(self, text: str) -> None:
        """Compile *text*.

        Raises:
            ValueError: RE2 cannot run it, with what it says of it.
        """
        options = re2.Options()
        options.case_sensitive = False
        options.log_errors = False
        options.max_mem = MEMORY_BYTES
        try:
            self._compiled = re2.compile(text, options)
        except re2.error as error:
            said = error.args[0] if error.args else error
            reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
            message = f"RE2 cannot run {text!r}: {reason} (it has no look-around and no back-references)"
            raise ValueError(message) from error
        if self._compiled.search("") is not None:
            raise ValueError(f"{text!r} fits an empty text, so it would fit every article")
        for ascii_only, instead in _ASCII_ONLY.items():
            if ascii_only in text.replace(r"\\", ""):
                raise ValueError(f"{text!r}: {ascii_only} knows letters of English only; write {instead}")

    def is_in(self, text: str) -> bool:
        """Tell whether it fits anywhere in *text*."""
        return self._compiled.search(text) is not None

    def places(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield (start, end) in characters of every place, none of which overlap; empty ones are passed over."""
        for match in self._compiled.finditer(text):
            if match.end() > match.start():
                yield match.span()
