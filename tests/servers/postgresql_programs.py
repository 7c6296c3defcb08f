"""PostgreSQL's programs: those of the system, else installed, else taken out of Debian's packages."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers.processes import ServerFailed, is_root, run
from tests.servers.setting_up import LeftOut, apt_install, cached, once

SYSTEM = Path("/usr/lib/postgresql")
ONLY_NEEDS = ("--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances")


@dataclass(frozen=True, slots=True)
class Programs:
    """Where the server's programs are, and what they must find in their environment."""

    folder: Path
    environment: Mapping[str, str]


@once
def programs() -> Programs:
    """Return the newest server's programs, installed first where there are none.

    Raises:
        LeftOut: there are none and none can be installed.
    """
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
    if (found := _newest(SYSTEM)) is not None:
        return Programs(found, environment)
    if is_root():
        _keep_debian_from_starting_one()
        apt_install("postgresql")
        if (found := _newest(SYSTEM)) is not None:
            return Programs(found, environment)
        raise LeftOut(f"postgresql: installed, but there is no {SYSTEM}/*/bin/postgres")
    unpacked = cached("postgresql", _unpack)
    if (found := _newest(unpacked / SYSTEM.relative_to("/"))) is None:
        raise LeftOut(f"postgresql: its package holds no {SYSTEM}/*/bin/postgres")
    libraries = sorted({str(path.parent) for path in (unpacked / "usr/lib").glob("*/lib*.so.*")})
    return Programs(found, {**environment, "LD_LIBRARY_PATH": ":".join(libraries)})


def _newest(folder: Path) -> Path | None:
    """A client alone has a folder as well, but neither of these two."""
    found = [path.parent for path in folder.glob("*/bin/postgres") if (path.parent / "initdb").exists()]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def _keep_debian_from_starting_one() -> None:
    """Tell postgresql-common, before it is installed, to make and start no cluster of its own."""
    settings = Path("/etc/postgresql-common/createcluster.conf")
    if not settings.exists():
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text("create_main_cluster = false\n", encoding="utf-8")


def _unpack(folder: Path) -> None:
    """Take the server and the libraries that it lacks out of their packages, for who is not root."""
    if not all(map(shutil.which, ("apt-get", "apt-cache", "dpkg", "dpkg-query"))):
        raise LeftOut("postgresql: not installed, and there is no apt-get to fetch it with")
    try:
        server = re.search(r"Depends: (postgresql-\d+)$", run(("apt-cache", "depends", "postgresql")), re.MULTILINE)
        if server is None:
            raise LeftOut("postgresql: apt-cache does not know it; as root: apt-get update")
        needed = set(
            re.findall(r"^[a-z]\S+$", run(("apt-cache", "depends", "--recurse", *ONLY_NEEDS, server[1])), re.MULTILINE)
        )
        lacking = {name for name in needed if name.startswith("lib")} - _installed()
        wanted = (server[1], *sorted(name for name in lacking if not name.startswith("libllvm")))
        run(("sh", "-c", 'cd "$1" && shift && apt-get download -q "$@"', "sh", folder, *wanted))
    except ServerFailed as error:
        raise LeftOut(f"postgresql: its packages could not be fetched: {error}") from error
    for package in sorted(folder.glob("*.deb")):
        run(("dpkg", "-x", package, folder))
        package.unlink()


def _installed() -> set[str]:
    rows = run(("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n")).splitlines()
    return {row.split()[0] for row in rows if row.endswith(" installed")}
