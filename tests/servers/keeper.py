"""Outlives a test process by a moment, to end the servers and remove the folders that it left behind.

Started by `tests.servers.processes`; what to end and what to remove comes on standard input, a JSON object a line, and
the end of that input says that the test process is gone, however it went. The parent-death signal of Linux would not
do: it fires when the *thread* that started the child ends, and it removes no folders.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

GONE_WITHIN_S = 10.0


def birth_of(pid: int) -> str | None:
    """When that process started, in clock ticks since boot, so that a number used again is not taken for it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def below(pid: int) -> set[int]:
    """Every process under that one."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                fields = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
                if fields[0] != "Z":
                    parents[int(entry.name)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone already."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def gone(processes: dict[int, str], limit_s: float) -> bool:
    """Wait until none of these runs; say whether that came true in time."""
    end = time.monotonic() + limit_s
    while any(birth_of(pid) == birth for pid, birth in processes.items()):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def main() -> None:
    """Listen until the test process is gone, then clear up."""
    guarded: dict[int, str] = {}
    folders: set[str] = set()
    for line in sys.stdin:
        order = json.loads(line)
        match order["do"]:
            case "guard":
                guarded[order["pid"]] = order["birth"]
            case "release":
                guarded.pop(order["pid"], None)
            case "remove":
                folders.add(order["path"])
            case "keep":
                folders.discard(order["path"])
    alive = {pid: birth for pid, birth in guarded.items() if birth_of(pid) == birth}
    family = dict(alive)
    for pid in alive:
        family |= {child: birth for child in below(pid) if (birth := birth_of(child)) is not None}
    for pid in family:
        send(pid, signal.SIGKILL)
    gone(family, GONE_WITHIN_S)
    for path in folders:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
