"""What of a reading is counted: for which countries and topics, and whether it is the reprint of another text."""

from __future__ import annotations

import re
import unicodedata
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from tocsin.matcher import BURST
from tocsin.records import digest

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from tocsin.records import Mention, Reading
    from tocsin.store.bursts import Topic

OLD: Final = timedelta(days=1)  # what was published so long before it was seen says nothing of today
TELLING_WORDS: Final = 5  # a title of fewer ("Live updates") is that of many stories
LEAD_WORDS: Final = 20

_WORD: Final = re.compile(r"\w+")


class Fate(StrEnum):
    """What became of an article that states something."""

    COUNTED = "counted"
    YOUNG = "young feed"
    COPY = "copy"
    REPEATED = "repeated"
    BACKFILL = "backfill"
    OLD = "old"


def topics_of(reading: Reading, *, only: Collection[str] | None) -> tuple[Topic, ...]:
    """Return what the article tells of, each once: what it denies, or where it names no country, is not counted."""
    return tuple(
        dict.fromkeys(
            (one.country, one.type)
            for one in reading.detections
            if one.country is not None
            and not one.country_guessed
            and not one.denied
            and one.type != BURST  # never what we said ourselves
            and (only is None or one.type in only)
        )
    )


def left_out(mention: Mention) -> Fate | None:
    """Say why the article is no news of now, whatever it tells; None when it is."""
    if mention.backfill:
        return Fate.BACKFILL
    if mention.published_at is not None and mention.seen_at - mention.published_at > OLD:
        return Fate.OLD
    return None


def may_ring(seen_at: datetime, *, first_read: datetime | None, warm_up: timedelta) -> bool:
    """Say whether a feed has been read for so long that its articles are part of what is usual."""
    return first_read is not None and seen_at - first_read >= warm_up


def story_of(mention: Mention) -> str:
    """Return the same for two articles of the same title, whatever their case, accents and punctuation."""
    words = _WORD.findall(_plain(mention.title))
    if len(words) < TELLING_WORDS:
        words += _WORD.findall(_plain(mention.lead))[:LEAD_WORDS]
    return digest("story", *words)


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
