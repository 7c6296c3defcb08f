"""Characters that nobody sees in a text: a `kil<zero width space>led` is read as killed, and quoted as it stands.

Feeds bring soft hyphens, stress marks over Russian vowels and letters that are cut into a base and its accent; who
wants to pass unheard may bring anything. Letters of another script that look alike are not put right.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detectors.candidates import Candidate
    from detectors.document import Document
    from tocsin.records import Detection, Evidence

# Soft hyphen, joiners, marks and overrides of direction, byte order mark, selectors of variants and tags.
_IGNORED: Final = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e007f"
_ACCENTS: Final = "\u0300-\u036f"
_UNSEEN: Final = re.compile(f"[{_IGNORED}{_ACCENTS}]")
_CLUSTER: Final = re.compile(rf"[^\W\d_]?[{_IGNORED}{_ACCENTS}]++")
_ALL_UNSEEN: Final = re.compile(f"[{_IGNORED}{_ACCENTS}]+")
_ONLY_IGNORED: Final = re.compile(f"[{_IGNORED}]+")
_ACCENTS_OF_A_LETTER: Final = 4  # Vietnamese has two; composing takes the square of their number


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """Where each letter of a cleaned text starts and ends in the text as it was."""

    was: str
    starts: list[int]
    ends: list[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the place in the text as it was."""
        return self.starts[start], self.ends[end - 1] if end > start else self.starts[start]


def cleaned(text: str) -> tuple[str, Shift | None]:
    """Return *text* without what nobody sees, and with its accents on their letters; None when nothing changed."""
    if text.isascii() or _UNSEEN.search(text) is None:
        return text, None
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    last = 0
    for match in _CLUSTER.finditer(text):
        first, end = match.span()
        kept = _composed(match[0])
        pieces += (text[last:first], kept)
        starts += (*range(last, first), *[first] * len(kept))
        ends += (*range(last + 1, first + 1), *[end] * len(kept))
        last = end
    pieces.append(text[last:])
    starts += range(last, len(text))
    ends += range(last + 1, len(text) + 1)
    return "".join(pieces), Shift(text, starts, ends)


def _composed(cluster: str) -> str:
    """Return a letter with those of its accents that are part of a letter; a stress is none."""
    visible = _ONLY_IGNORED.sub("", cluster)
    if len(visible) > 1:
        visible = _ALL_UNSEEN.sub("", unicodedata.normalize("NFC", visible[:_ACCENTS_OF_A_LETTER]))
    return visible if visible[:1].isalpha() else ""


def restored(
    shifts: Mapping[str, Shift], document: Document | None, candidates: list[Candidate], detections: list[Detection]
) -> tuple[list[Candidate], list[Detection]]:
    """Give everything its place and words in the texts as they were; the document is changed where it is."""

    def moved(evidence: Evidence) -> Evidence:
        shift = shifts.get(evidence.field)
        if shift is None:
            return evidence
        start, end = shift.span(evidence.start, evidence.end)
        return replace(evidence, start=start, end=end, quote=shift.was[start:end])

    def told(detection: Detection) -> Detection:
        return replace(detection, evidence=tuple(map(moved, detection.evidence)))

    if document is not None:
        document.fields.update({name: shift.was for name, shift in shifts.items()})
        for sentence in document.sentences:
            shift = shifts.get(sentence.field)
            if shift is not None:
                sentence.source = shift.was
                sentence.starts = [shift.starts[at] for at in sentence.starts]
                sentence.ends = [shift.ends[at - 1] for at in sentence.ends]
    return [
        replace(one, detection=told(one.detection), cue=None if one.cue is None else moved(one.cue))
        for one in candidates
    ], list(map(told, detections))
