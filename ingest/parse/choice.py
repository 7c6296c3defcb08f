"""Which path's result is believed, as a plain decision."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.parse.form import ParsedFeed

_STARTS = re.compile(r"<(?:[A-Za-z][\w.-]*:)?(?:item|entry)[\s>/]")
_SECTIONS = re.compile(r"<!\[CDATA\[(?:[^\]]|\](?!\]>))*+\]\]>|<!--(?:[^-]|-(?!->))*+-->")


class Verdict(StrEnum):
    """What is wrong with the fast path's result, if anything."""

    GOOD = "good"
    BROKEN = "not well-formed"
    EMPTY = "no entries, though the document names some"
    FEWER = "fewer entries than the document names"
    HOLLOW = "entries without title, text and link"


def judge(feed: ParsedFeed | None, text: str) -> Verdict:
    """Tell whether *feed*, read from *text* by the fast path, can be believed; None means that it raised."""
    if feed is None:
        return Verdict.BROKEN
    named = _named(text, enough=len(feed.entries))
    if named > len(feed.entries):
        return Verdict.FEWER if feed.entries else Verdict.EMPTY
    hollow = sum(not (entry.title or entry.summary or entry.url) for entry in feed.entries)
    return Verdict.HOLLOW if hollow * 2 > len(feed.entries) else Verdict.GOOD


def _named(text: str, *, enough: int) -> int:
    """Count the start tags of entries; outside CDATA and comments only when more seem to be there than *enough*."""
    found = len(_STARTS.findall(text))
    return found if found <= enough else len(_STARTS.findall(_SECTIONS.sub("", text)))
