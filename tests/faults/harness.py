"""`tocsin run` as a process of its own, to be watched, killed and started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import aiohttp

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType

T = TypeVar("T")

READY_S = 30.0
STOP_S = 12.0
LOOK_AGAIN_S = 0.02
TAIL_LINES = 30

QUIET_HOUSE = {
    "tocsin.yaml": 'tocsin:\n  workers: 1\n  web: {listen: "127.0.0.1:0"}\n',
    "feeds.yaml": "sources:\n  feeds: []\n",
    "subscriptions.yaml": "subscriptions:\n  - {id: all, to: [log]}\n",
    "receivers.yaml": "receivers:\n  log: {kind: file, path: alerts.jsonl}\n",
}


def write_config(folder: Path, files: Mapping[str, str] | None = None) -> Path:
    """Write a configuration without feeds, with one file receiver, and with *files* in place of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**QUIET_HOUSE, **(files or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@dataclass(slots=True)
class Service:
    """One data directory and whatever process runs on it now. As `async with` it leaves none behind."""

    config: Path
    data: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    process: Process | None = None
    launched_by: tuple[str, ...] = ("-m", "tocsin.cli")
    log_elsewhere: Path | None = None  # not beside the data, whose disk the test fills
    stages: tuple[str, ...] = ()

    @property
    def log_file(self) -> Path:
        """What all its processes so far have written, the newest last."""
        return self.log_elsewhere or self.data.parent / f"{self.data.name}.log"

    @property
    def pid(self) -> int:
        """The parent's process id."""
        assert self.process is not None
        return self.process.pid

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.returncode is None:
            await self.kill()

    async def start(self) -> None:
        """Start it; return at once."""
        assert self.process is None or self.process.returncode is not None
        self.data.parent.mkdir(parents=True, exist_ok=True)
        command = (
            *(sys.executable, *self.launched_by),
            *("run", *self.stages, "--config", str(self.config), "--data", str(self.data)),
        )
        with self.log_file.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # As installed: a start that compiles every module first takes three times as long.
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **self.environment},
                start_new_session=True,
            )

    async def start_and_wait(self, limit_s: float = READY_S) -> None:
        """Start it and wait until it says that it is ready."""
        await self.start()
        await self.ready(limit_s)

    async def kill(self) -> None:
        """`kill -9` the parent and wait until it is gone; its children go by themselves."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def stop(self, limit_s: float = STOP_S) -> int:
        """Send SIGTERM and return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(limit_s):
            return await self.process.wait()

    async def ended(self, limit_s: float) -> bool:
        """Wait until the parent is gone; False when it is still there after *limit_s*."""
        assert self.process is not None
        try:
            async with asyncio.timeout(limit_s):
                await self.process.wait()
        except TimeoutError:
            return False
        return True

    async def restart(self, limit_s: float = READY_S) -> None:
        """`kill -9`, start, wait until ready."""
        await self.kill()
        await self.start_and_wait(limit_s)

    async def ready(self, limit_s: float = READY_S) -> None:
        """Wait until `/readyz` answers 200."""
        await self._until(self._is_ready, f"ready within {limit_s:g} s", limit_s)

    async def logged(self, event: str, limit_s: float = READY_S, *, skip: int = 0) -> dict[str, Any]:
        """Wait for a log line of that event and return it; *skip* passes over earlier ones."""

        async def found() -> dict[str, Any] | None:
            lines = [line for line in self.lines() if line.get("event") == event]
            return lines[skip] if len(lines) > skip else None

        return await self._until(found, f"a line {event!r} within {limit_s:g} s", limit_s)

    def lines(self) -> list[dict[str, Any]]:
        """Every JSON line that it has logged so far."""
        lines = []
        for text in self.log_file.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(json.JSONDecodeError):
                line = json.loads(text)
                if isinstance(line, dict):
                    lines.append(line)
        return lines

    async def get(self, path: str) -> tuple[int, str]:
        """Ask the control socket; return status and body.

        Raises:
            aiohttp.ClientError, OSError: nobody answers.
        """
        connector = aiohttp.UnixConnector(str(self.data / "control.sock"))
        async with (
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=5.0)) as session,
            session.get(f"http://localhost{path}") as response,
        ):
            return response.status, await response.text()

    def descendants(self) -> dict[int, str]:
        """Every process below the parent now, with its command line: the fork server, its tracker, the children."""
        parents: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError, IndexError):
                    state, parent = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
                    if state != "Z":
                        parents[int(entry.name)] = int(parent)
        below = {self.pid}
        while more := {pid for pid, parent in parents.items() if parent in below} - below:
            below |= more
        return {pid: _command(pid) for pid in below - {self.pid}}

    def messages(self, name: str = "alerts.jsonl") -> list[dict[str, Any]]:
        """What a file receiver has been told; a last line that is still being written is left out."""
        path = self.data / name
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]

    async def _is_ready(self) -> bool | None:
        try:
            status, _ = await self.get("/readyz")
        except (OSError, aiohttp.ClientError):
            return None
        return True if status == HTTPStatus.OK else None

    async def _until(self, look: Callable[[], Awaitable[T | None]], hope: str, limit_s: float) -> T:
        try:
            async with asyncio.timeout(limit_s):
                while (seen := await look()) is None:
                    if self.process is not None and self.process.returncode is not None:
                        raise AssertionError(
                            f"it ended with {self.process.returncode}; hoped for {hope}\n{self._tail()}"
                        )
                    await asyncio.sleep(LOOK_AGAIN_S)
                return seen
        except TimeoutError:
            raise AssertionError(f"not {hope}\n{self._tail()}") from None

    def _tail(self) -> str:
        return "\n".join(self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])


def is_alive(pid: int) -> bool:
    """Say whether there is such a process that is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return ""
