"""A server as a process of its own, to be started, paused, killed and started again."""

from __future__ import annotations

import atexit
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.servers import keeper
from tests.servers.keeper import below, birth_of, gone, send

TAIL_LINES = 40
LOOK_AGAIN_S = 0.02
END_S = 20.0
# Below the ports that the system hands to clients: a server that is down for a while keeps its port, and no client that
# tries to reach it meanwhile is connected to itself.
PORTS = range(20000, 32000)


class ServerFailed(Exception):
    """A server did not start or did not stop; the message ends with the end of its log."""


class _Keeper:
    """The one watcher of this test process; see `tests.servers.keeper`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def tell(self, do: str, **what: str | int) -> None:
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", keeper.__file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    text=True,
                )
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
            self._process.stdin.flush()

    def close(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.communicate(timeout=END_S)
                self._process = None


KEEPER = _Keeper()
atexit.register(KEEPER.close)


def scratch(name: str) -> Path:
    """Make a folder that is removed with the test process, however that ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"tocsin-{name}-"))
    KEEPER.tell("remove", path=str(folder))
    return folder


def discard(folder: Path) -> None:
    """Remove such a folder now."""
    shutil.rmtree(folder, ignore_errors=True)
    KEEPER.tell("keep", path=str(folder))


def free_port() -> int:
    """Find a port of loopback where nobody listens now; who listens there a moment later is told by the server."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class ServerProcess:
    """One process and its log. It is ended with the test process at the latest."""

    def __init__(self, name: str, log_file: Path) -> None:
        self.name = name
        self.log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def family(self) -> set[int]:
        """The process and all below it."""
        return {self.pid} | below(self.pid)

    def launch(
        self, command: Sequence[str | Path], *, user: str | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start it and return at once."""
        assert not self.is_running, f"{self.name} runs already"
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                user=user,
                group=None if user is None else _group_of(user),
                extra_groups=None if user is None else [],
                env=environment,
                start_new_session=True,
            )
        KEEPER.tell("guard", pid=self.pid, birth=birth_of(self.pid) or "")

    def until(self, look: Callable[[], bool], limit_s: float) -> None:
        """Wait until *look* says yes.

        Raises:
            ServerFailed: the process ended, or the time was over.
        """
        end = time.monotonic() + limit_s
        while not look():
            if not self.is_running:
                code = None if self._process is None else self._process.returncode
                raise ServerFailed(f"{self.name} ended with {code} while it started\n{self.tail()}")
            if time.monotonic() > end:
                raise ServerFailed(f"{self.name} was not ready within {limit_s:g} s\n{self.tail()}")
            time.sleep(LOOK_AGAIN_S)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to the first process alone."""
        if self.is_running:
            send(self.pid, number)

    def end(self, number: signal.Signals, limit_s: float = END_S) -> None:
        """Send a signal and wait until the process and all below it are gone.

        Raises:
            ServerFailed: something is still there after *limit_s*.
        """
        if not self.is_running:
            return
        assert self._process is not None
        family = {pid: birth for pid in self.family() if (birth := birth_of(pid)) is not None}
        send(self.pid, number)
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise ServerFailed(
                f"{self.name} did not end within {limit_s:g} s of {number.name}\n{self.tail()}"
            ) from None
        if not gone(family, limit_s):
            raise ServerFailed(f"{self.name} left processes behind: {sorted(family)}\n{self.tail()}")
        KEEPER.tell("release", pid=self.pid)

    def kill(self) -> None:
        """`kill -9` the process alone and wait until those below it are gone too."""
        for pid in below(self.pid) if self.is_running else ():
            send(pid, signal.SIGCONT)
        self.end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop the process and all below it where they stand (SIGSTOP)."""
        self.tell(signal.SIGSTOP)
        for pid in self.family():
            send(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on (SIGCONT)."""
        for pid in self.family():
            send(pid, signal.SIGCONT)

    def tail(self) -> str:
        """The end of its log."""
        if not self.log_file.exists():
            return "(it has logged nothing)"
        return "\n".join(self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])


def _group_of(user: str) -> int:
    return pwd.getpwnam(user).pw_gid


def run(
    command: Sequence[str | Path],
    *,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
    limit_s: float = 120.0,
) -> str:
    """Run a command to its end and return what it wrote, in English.

    Raises:
        ServerFailed: it ended with another code than 0.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            user=user,
            group=None if user is None else _group_of(user),
            extra_groups=None if user is None else [],
            env={**os.environ, "LC_ALL": "C.UTF-8"} if environment is None else environment,
            timeout=limit_s,
            check=False,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise ServerFailed(f"{words[0]} did not end within {limit_s:g} s") from None
    except OSError as error:
        raise ServerFailed(f"{words[0]} can't be run: {error}") from error
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-TAIL_LINES:])
        raise ServerFailed(f"{' '.join(words[:3])} … ended with {done.returncode}\n{tail}")
    return done.stdout


def is_root() -> bool:
    """Say whether we may install, and must hand servers to another user."""
    return os.geteuid() == 0
