"""The number of the last commit, kept in a second file.

A flipped byte in a write-ahead log makes SQLite drop that commit and all later ones in silence. The database counts its
commits in a row of its own; a number here that is higher than that row says how many are gone.
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column, Table

from tocsin.errors import StoreUnavailable
from tocsin.store.schema import Text, metadata

if TYPE_CHECKING:
    from pathlib import Path

counters = Table(
    "store_counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

_SLOT = struct.Struct(">QI")  # the count, its CRC-32
_SLOTS = 2  # written in turn, so that a torn write spares the other


class CommitCounter:
    """A count on disk, durable when `note` returns."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"{path}: {error.strerror}") from error

    def last(self) -> int:
        """Return the highest count that can be read; 0 when there is none."""
        raw = os.pread(self._file, _SLOT.size * _SLOTS, 0)
        whole = (raw[i : i + _SLOT.size] for i in range(0, len(raw) - _SLOT.size + 1, _SLOT.size))
        slots = (_SLOT.unpack(slot) for slot in whole)
        return max((count for count, check in slots if check == _check(count)), default=0)

    def note(self, count: int) -> None:
        """Write *count* down and wait for the disk."""
        os.pwrite(self._file, _SLOT.pack(count, _check(count)), (count % _SLOTS) * _SLOT.size)
        os.fdatasync(self._file)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def _check(count: int) -> int:
    return zlib.crc32(count.to_bytes(8, "big"))
