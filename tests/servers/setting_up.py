"""What is put on a bare machine, where it is kept, and what happens when it can't be had."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TypeVar

from tests.servers.processes import ServerFailed, is_root, run

APT_S = 300.0

T = TypeVar("T")


class LeftOut(Exception):
    """A server can't be had on this machine; the message says why."""


def cache() -> Path:
    """Where downloads are kept, outside the repository."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(home) / "tocsin"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def once(get: Callable[[], T]) -> Callable[[], T]:
    """Let *get* try once in this process: what it found stays found, and what can't be had is not asked for again."""
    found: list[T | LeftOut] = []
    lock = threading.Lock()

    @wraps(get)
    def get_once() -> T:
        with lock:
            if not found:
                try:
                    found.append(get())
                except LeftOut as error:
                    found.append(error)
        if isinstance(found[0], LeftOut):
            raise LeftOut(str(found[0]))
        return found[0]

    return get_once


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold that lock among all processes of this user, so that two test runs don't install the same thing at once."""
    with (cache() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of that name from the cache, made by *make* when it is not there.

    It is made under another name and renamed when it is whole, so what is there is whole.
    """
    folder = cache() / name
    if folder.exists():
        return folder
    with locked(name):
        if folder.exists():
            return folder
        unfinished = cache() / f"{name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            make(unfinished)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def apt_install(*packages: str) -> None:
    """Install packages of the system, as root.

    Raises:
        LeftOut: there is no apt, we are not root, or it failed.
    """
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise LeftOut(f"{names}: not installed, and there is no apt-get to install it")
    if not is_root():
        raise LeftOut(f"{names}: not installed; as root: apt-get install {names}")
    install = (
        "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q", "--no-install-recommends",
        "-o", "DPkg::Lock::Timeout=120", *packages,
    )  # fmt: skip
    with locked("apt"):
        try:
            run(install, limit_s=APT_S)
        except ServerFailed:  # most often a machine whose package lists are empty or old
            try:
                run(("apt-get", "update", "-q", "-o", "DPkg::Lock::Timeout=120"), limit_s=APT_S)
                run(install, limit_s=APT_S)
            except ServerFailed as error:
                raise LeftOut(f"{names}: could not be installed: {error}") from error
