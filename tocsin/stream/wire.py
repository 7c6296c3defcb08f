"""What stands beside a record on a broker: CloudEvents 1.0 in Kafka's binary mode.

The value is the record as `tocsin.stream.codec` writes it; id, type and origin are headers, so that who only routes,
filters or forgets duplicates need not read it. The message's key is the record's key.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

from tocsin.stream.port import ALERTS, ARTICLES, DEAD_LETTERS, READINGS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

# CloudEvents Kafka binding, 3.2.3: an attribute's header is its name behind `ce_`; only the content type has its own.
SPEC_VERSION: Final = "ce_specversion"
ID: Final = "ce_id"
SOURCE: Final = "ce_source"
TYPE: Final = "ce_type"
TIME: Final = "ce_time"
SUBJECT: Final = "ce_subject"
CONTENT_TYPE: Final = "content-type"
ID_CHARACTERS: Final = 255  # ours have 32

# Which room says it, and what it says. Source and id together are unique, and so are topic and id.
SOURCES: Final = {
    ARTICLES: "/tocsin/ingest",
    READINGS: "/tocsin/detectors",
    ALERTS: "/tocsin/incidents",
    DEAD_LETTERS: "/tocsin/dead-letters",
}
TYPES: Final = {
    ARTICLES: "org.tocsin.article.v1",
    READINGS: "org.tocsin.reading.v1",
    ALERTS: "org.tocsin.alert.v1",
    DEAD_LETTERS: "org.tocsin.dead-letter.v1",
}


def headers(topic: str, record_id: str, at: datetime, key: str) -> list[tuple[str, bytes]]:
    """Return the headers of a record that was put on *topic* at *at*, an aware time.

    The same arguments give the same headers, so a record that is sent again is the same event.
    """
    found = [
        *(_FIXED.get(topic) or _fixed(topic)),
        (ID, record_id.encode()),
        (TIME, _instant(at)),
    ]
    if key:  # CloudEvents 3.1: an attribute that is there is not empty
        found.append((SUBJECT, key.encode()))
    return found


def record_id(headers: Iterable[tuple[str, bytes | None]] | None) -> str | None:
    """Return the record's id, None for a message that tells none that could be ours.

    What a stranger made up may be of any length and hold what no database takes; the id is the key of several tables.
    """
    found: bytes | None = None
    for name, value in headers or ():
        if name == ID:
            found = value  # the last counts, as with Kafka's own `lastHeader`
    try:
        name = (found or b"").decode()
    except UnicodeDecodeError:
        return None
    return name if 0 < len(name) <= ID_CHARACTERS and name.isprintable() else None


def _fixed(topic: str) -> tuple[tuple[str, bytes], ...]:
    return (
        (SPEC_VERSION, b"1.0"),
        (SOURCE, SOURCES.get(topic, "/tocsin").encode()),
        (TYPE, TYPES.get(topic, f"org.tocsin.{topic}").encode()),
        (CONTENT_TYPE, b"application/json"),
    )


def _instant(at: datetime) -> bytes:
    """RFC 3339 in UTC: an offset of seconds, which Python allows, is none there."""
    text = (at if at.tzinfo is UTC else at.astimezone(UTC)).isoformat()
    return f"{text.removesuffix('+00:00')}Z".encode()


_FIXED = {topic: _fixed(topic) for topic in TYPES}
