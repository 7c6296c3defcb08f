"""Records as bytes: JSON with a version in front, so that other programs can read them.

A reader ignores fields it does not know and takes defaults for those it misses; a field is never renamed, a topic
gets a new version instead.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec looks at it when a decoder is made
from typing import Final, Generic, TypeVar

import msgspec

from tocsin.errors import RecordUnreadable
from tocsin.records import Alert, Article, DeadLetter, Reading

VERSION: Final = 1
T = TypeVar("T")


class _Envelope(msgspec.Struct, Generic[T], frozen=True):
    v: int
    record: T


class _Version(msgspec.Struct):
    v: int


_encoder = msgspec.json.Encoder()
_article = msgspec.json.Decoder(_Envelope[Article])
_reading = msgspec.json.Decoder(_Envelope[Reading])
_alert = msgspec.json.Decoder(_Envelope[Alert])
_dead_letter = msgspec.json.Decoder(_Envelope[DeadLetter])
_version = msgspec.json.Decoder(_Version)


def encode(record: Article | Reading | Alert | DeadLetter) -> bytes:
    """Return the record's bytes on the stream; what is bytes inside it becomes Base64."""
    return _encoder.encode(_Envelope(VERSION, record))


def decode_article(value: bytes) -> Article:
    """Return the article in *value*; raises RecordUnreadable."""
    return _decode(_article, value)


def decode_reading(value: bytes) -> Reading:
    """Return the reading in *value*; raises RecordUnreadable."""
    return _decode(_reading, value)


def decode_alert(value: bytes) -> Alert:
    """Return the alert in *value*; raises RecordUnreadable."""
    return _decode(_alert, value)


def decode_dead_letter(value: bytes) -> DeadLetter:
    """Return the dead letter in *value*; raises RecordUnreadable."""
    return _decode(_dead_letter, value)


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """What a record is found by. Reading no more than that out of its bytes takes a third of the time."""

    seen_at: datetime
    url: str = ""
    title: str = ""
    summary: str = ""
    text: str = ""


class _Mentioned(msgspec.Struct, frozen=True):
    seen_at: datetime
    url: str = ""


class _ReadingOutline(msgspec.Struct, frozen=True):
    mention: _Mentioned


class _AlertOutline(msgspec.Struct, frozen=True):
    seen_at: datetime
    headline: str = ""


_article_outline = msgspec.json.Decoder(_Envelope[Outline])
_reading_outline = msgspec.json.Decoder(_Envelope[_ReadingOutline])
_alert_outline = msgspec.json.Decoder(_Envelope[_AlertOutline])


def article_outline(value: bytes) -> Outline:
    """Return what the article in *value* is found by; raises RecordUnreadable."""
    return _decode(_article_outline, value)


def reading_outline(value: bytes) -> Outline:
    """Return what the reading in *value* is found by; raises RecordUnreadable."""
    mention = _decode(_reading_outline, value).mention
    return Outline(seen_at=mention.seen_at, url=mention.url)


def alert_outline(value: bytes) -> Outline:
    """Return what the alert in *value* is found by; raises RecordUnreadable."""
    alert = _decode(_alert_outline, value)
    return Outline(seen_at=alert.seen_at, title=alert.headline)


def _decode(decoder: msgspec.json.Decoder[_Envelope[T]], value: bytes) -> T:
    try:
        envelope = decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordUnreadable(f"{_told_version(value)}{error}") from error
    if envelope.v != VERSION:
        raise RecordUnreadable(f"schema version {envelope.v}: this program reads {VERSION}")
    return envelope.record


def _told_version(value: bytes) -> str:
    try:
        found = _version.decode(value).v
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return f"schema version {found}: this program reads {VERSION}: " if found != VERSION else ""
