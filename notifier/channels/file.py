"""A file of JSON lines: one message, one line, on the disk before it counts as delivered."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
from typing_extensions import override

from notifier.channels.port import Channel, Receipt
from notifier.channels.threads import OwnThreads
from notifier.escaping import safe_url
from notifier.rendering import as_record
from tocsin.errors import DeliveryDeferred

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from notifier.settings import FileSettings
    from notifier.telling import Message
    from tocsin.records import SourceRef

VERSION: Final = 1
LOOK_BACK_BYTES: Final = 4 * 1024 * 1024  # where a line is looked for that may have been written just before a kill
_CHUNK_BYTES: Final = 64 * 1024


class JsonLines(Channel):
    """Appends to one file. A line torn by a power cut is taken off; its message was not settled and comes again."""

    def __init__(self, settings: FileSettings, *, data_dir: Path) -> None:
        self._path = data_dir / settings.path
        self._threads = OwnThreads("receiver-file")
        self._is_mended = False

    @property
    @override
    def at_once(self) -> int:
        return 1

    @override
    async def send(self, message: Message, *, attempt: int, accepted: Sequence[str]) -> Receipt:
        line = json_line(message)
        try:
            await self._threads.call(lambda: self._append(line, message.key, look_back=attempt > 1))
        except OSError as error:
            raise DeliveryDeferred(f"{self._path}: {error.strerror}") from error
        return Receipt()

    @override
    async def close(self) -> None:
        """Nothing is held open."""

    def _append(self, line: bytes, key: str, *, look_back: bool) -> None:
        if not self._is_mended:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            mend(self._path)
            self._is_mended = True
        if look_back and _holds(self._path, key):
            return
        is_new = not self._path.exists()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            try:
                written = 0
                while written < len(line):
                    written += os.write(descriptor, line[written:])
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)  # a full disk must leave no half line
                raise
        finally:
            os.close(descriptor)
        if is_new:
            _sync_folder(self._path.parent)


def json_line(message: Message) -> bytes:
    """Return the line of *message*, its line feed included; a digest has no alert, incident, revision and step."""
    alert, alerts = message.alert, message.alerts
    told = (alert,) if alert is not None else alerts
    line = {
        "v": VERSION,
        "key": message.key,
        "alert": alert.id if alert else None,
        "kind": message.kind,
        "time": message.created_at,
        "incident": alert.incident if alert else None,
        "revision": alert.revision if alert else None,
        "step": alert.step if alert else None,
        "severity": message.severity,
        "certainty": message.certainty,
        "types": _each(name for one in told for name in one.types),
        "countries": _each(name for one in told for name in one.countries),
        "title": message.headline,
        "text": as_record(message),
        "facts": alert.facts if alert else [],
        "sources": [_linked(source) for one in told for source in (one.sources if alert else one.sources[:1])],
        "urls": _each(safe for one in told for url in one.urls if (safe := safe_url(url))),
    }
    return msgspec.json.encode(line) + b"\n"


def _linked(source: SourceRef) -> SourceRef:
    return replace(source, url=safe_url(source.url) or "")


def mend(path: Path) -> int:
    """Cut off what follows the last line feed of *path*; return how many bytes that were."""
    try:
        with path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            whole = end
            while whole > 0:
                start = max(0, whole - _CHUNK_BYTES)
                file.seek(start)
                found = file.read(whole - start).rfind(b"\n")
                if found != -1:
                    whole = start + found + 1
                    break
                whole = start
            if whole < end:
                file.truncate(whole)
                os.fsync(file.fileno())
            return end - whole
    except FileNotFoundError:
        return 0


def _holds(path: Path, key: str) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOOK_BACK_BYTES))
            return f'"key":"{key}"'.encode() in file.read()
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _each(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))
