"""The folder that holds all state, and the lock that gives it to one process at a time."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tocsin.errors import AlreadyRunning, Stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def held(folder: Path) -> Iterator[Path]:
    """Create *folder* if need be and hold it for this process; the kernel lets go when the process dies.

    Raises:
        AlreadyRunning: another process holds it; the message names that process.
        Stop: the folder cannot be created or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Stop(f"data directory {folder}: {error.strerror}") from error
    try:
        try:
            _take(lock)
        except BlockingIOError as error:
            raise AlreadyRunning(f"data directory {folder} is held by {_holder(lock)}") from error
        except OSError as error:
            raise Stop(f"data directory {folder}: {error.strerror}") from error
        yield folder
    finally:
        os.close(lock)


def _take(lock: int) -> None:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    me = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    told = json.dumps(me).encode()
    os.pwrite(lock, told, 0)
    os.ftruncate(lock, len(told))


def _holder(lock: int) -> str:
    try:
        told = json.loads(os.pread(lock, 4096, 0))
        return f"process {told['pid']} on {told['host']} since {told['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"
