"""A real PostgreSQL server on loopback, from the system's package."""

from __future__ import annotations

import itertools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import psycopg
from psycopg import sql

from tests.servers.postgresql_programs import programs
from tests.servers.processes import ServerFailed, ServerProcess, discard, free_port, is_root, run, scratch

USER = "tocsin"
READY_S = 20.0
ATTEMPTS = 5
SIGNALS: Mapping[str, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "jit": "off",  # LLVM is not among what is unpacked
    "log_line_prefix": "%m [%p] %d ",
}
HASTE: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_numbers = itertools.count(1)


def _server_user() -> str | None:
    """Who runs it when we are root, which PostgreSQL refuses."""
    if not is_root():
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class PostgresqlServer:
    """One server with a data directory and a port of its own, both kept over a restart."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = 0
        self.settings = {**SETTINGS, **settings}
        self.process = ServerProcess("postgresql", folder / "postgresql.log")
        self._password = secrets.token_hex(8)
        self._user = _server_user()
        self._programs = programs()

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self.process.pid

    @property
    def log_file(self) -> Path:
        """What the server has logged over all its starts."""
        return self.process.log_file

    @property
    def is_running(self) -> bool:
        """Say whether the postmaster is there."""
        return self.process.is_running

    def dsn(self, database: str = "postgres") -> str:
        """Where and as whom to connect, for psycopg; SQLAlchemy wants `postgresql+psycopg://` before it."""
        return f"postgresql://{USER}:{self._password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, *, template: str = "template0") -> str:
        """Make a fresh database, a copy of *template*, and return its dsn."""
        name = f"tocsin_{os.getpid()}_{next(_numbers)}"
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
            )
        return self.dsn(name)

    def drop_database(self, dsn: str) -> None:
        """Remove a database; who is still connected is thrown out."""
        name = dsn.rpartition("/")[2]
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def start(self, *, wait: bool = True) -> None:
        """Start it on its port and data, at the first time on a free port.

        Raises:
            ServerFailed: it did not answer within `READY_S`.
        """
        if not self.data.exists():
            self._make_data()
        if self.port:
            self._launch(wait=wait)
            return
        for attempt in range(ATTEMPTS):
            self.port = free_port()
            try:
                self._launch(wait=True)
            except ServerFailed as error:
                if attempt == ATTEMPTS - 1 or "could not bind" not in str(error):
                    raise
            else:
                return

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Shut it down: `smart` waits for clients, `fast` sends them away, `immediate` saves nothing."""
        self.process.end(SIGNALS[mode])

    def terminate(self) -> None:
        """Shut it down as the system does, without waiting for clients."""
        self.stop("fast")

    def kill(self) -> None:
        """`kill -9` the postmaster, and wait until its children have noticed."""
        self.process.kill()

    def pause(self) -> None:
        """Stop the postmaster and every backend where they stand (SIGSTOP)."""
        self.process.pause()

    def resume(self) -> None:
        """Let them go on (SIGCONT)."""
        self.process.resume()

    def restart(self) -> None:
        """Stop it fast and start it on the same port and data."""
        self.terminate()
        self.start()

    def _launch(self, *, wait: bool) -> None:
        options = [word for key, value in self.settings.items() for word in ("-c", f"{key}={value}")]
        self.process.launch(
            (self._programs.folder / "postgres", "-D", self.data, "-p", str(self.port), *options),
            user=self._user,
            environment=self._programs.environment,
        )
        if wait:
            self.process.until(self._answers, READY_S)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _make_data(self) -> None:
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        password_file = self.folder / "password"
        password_file.write_text(self._password, encoding="utf-8")
        if self._user is not None:
            shutil.chown(password_file, self._user)
        try:
            run(
                (
                    self._programs.folder / "initdb",
                    "-D",
                    self.data,
                    "--no-sync",
                    "--data-checksums",
                    "--locale=C.UTF-8",
                    "--encoding=UTF8",
                    f"--username={USER}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                ),
                user=self._user,
                environment=self._programs.environment,
            )
        except ServerFailed as error:
            if self._user is None or _may_enter(self._user, self.folder):
                raise
            raise ServerFailed(f"postgresql runs as {self._user}, who may not enter {self.folder}\n{error}") from error
        password_file.unlink()


def _may_enter(user: str, folder: Path) -> bool:
    return subprocess.run(["test", "-w", str(folder)], user=user, check=False, cwd="/").returncode == 0


@contextmanager
def postgresql_server(
    folder: Path | None = None, *, fsync: bool = True, settings: Mapping[str, str] | None = None
) -> Iterator[PostgresqlServer]:
    """Run a server of one's own, to be stopped and killed at will; its data goes with it unless *folder* is given.

    As root the server runs as another user, who must be able to reach *folder*: pytest's `tmp_path` won't do.

    Raises:
        LeftOut: PostgreSQL can't be had on this machine.
    """
    own = scratch("postgresql") if folder is None else folder
    own.mkdir(parents=True, exist_ok=True)
    try:
        server = PostgresqlServer(own, settings={**({} if fsync else HASTE), **(settings or {})})
        try:
            server.start()
            yield server
        finally:
            if server.process.is_running:
                server.resume()
                server.stop("immediate")
    finally:
        if folder is None:
            discard(own)
