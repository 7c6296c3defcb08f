"""What good and bad detectors do to a worker child; children import these by name."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import time
from pathlib import Path

from typing_extensions import override

GIGABYTE = 2**30


class Unprintable(Exception):
    @override
    def __str__(self) -> str:
        raise RuntimeError("not even this")


class Unpicklable:
    @override
    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("stays where it is")


class UnreadableAbroad:
    """Can be sent, but not received."""

    @override
    def __reduce__(self) -> str | tuple[object, ...]:
        return (explode, ())


def explode() -> None:
    raise ValueError("on arrival")


def add(addend: int, record: int) -> int:
    return addend + record


def length(_: None, record: bytes) -> int:
    return len(record)


def repeated(_: None, record: int) -> bytes:
    return b"x" * record


def pid(_: None, __: int) -> int:
    return os.getpid()


def nap(_: None, record: float) -> float:
    time.sleep(record)
    return record


def surroundings(_: None, __: int) -> dict[str, str | list[str] | int]:
    """What a child sees of the world."""
    return {
        "descriptors": [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()],
        "oom": int(Path("/proc/self/oom_score_adj").read_text(encoding="ascii")),
    }


def slow_rules(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def broken_rules(name: str) -> str:
    raise ValueError(f"rule {name!r} does not compile")


def deadly_rules(_: str) -> str:
    os.abort()


def echo_rules(rules: float, record: int) -> tuple[float, int]:
    return rules, record


def echo_name(rules: str, record: int) -> tuple[str, int]:
    return rules, record


def counted_rules(path: str) -> int:
    """Leave a mark for each time that this was called."""
    with Path(path).open("a", encoding="ascii") as marks:
        marks.write("x")
    return 0


def flaky(directory: str, record: int) -> int:
    """Die at the first sight of a record, be fine at the second."""
    mark = Path(directory) / str(record)
    if record % 5 == 0 and not mark.exists():
        mark.touch()
        os.abort()
    return record


def link() -> int:
    """The child's own end of its link to the parent, which is none of a detector's business."""
    links = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return next(int(path.name) for path in links if str(path.readlink()).startswith("socket:"))


def misbehave(_: object, record: str) -> str:  # noqa: C901, PLR0912 - one branch a misdeed
    """Do what the record says; a good record comes back in capitals."""
    match record:
        case "loop":
            while True:
                pass
        case "loop in C":
            re.match(r"(a+)+$", "a" * 64 + "b")
        case "sleep":
            time.sleep(3600)
        case "4 GB":
            return str(len(bytearray(4 * GIGABYTE)))
        case "creep":
            hoard = []
            while True:
                hoard.append(bytearray(2**20))
        case "abort":
            os.abort()
        case "segfault":
            ctypes.string_at(0)
        case "os._exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "recursion":
            return misbehave(_, "recursion")
        case "sys.exit":
            sys.exit("out")
        case "raise":
            raise LookupError("no such thing")
        case "long message":
            raise ValueError("x" * 10**7)
        case "unprintable":
            raise Unprintable
        case "unpicklable":
            return Unpicklable()  # type: ignore[return-value] # the point is that it lies
        case "unreadable":
            return UnreadableAbroad()  # type: ignore[return-value] # the point is that it lies
        case "huge":
            return "x" * (40 * 2**20)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "close":
            os.closerange(3, 256)
        case "nonsense":
            os.write(link(), b"\0\0\0\0\0\0\0\4spam")
        case "flood":
            os.write(link(), b"spam" * 1000)
        case _:
            pass
    return record.upper()
