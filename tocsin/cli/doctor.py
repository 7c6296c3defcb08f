"""`tocsin doctor`: whether what is stored is still what was written."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tocsin.cli.options import DATA, ConfigOption, DataOption, JsonOption, settings_of
from tocsin.errors import AlreadyRunning, Stop, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tocsin.settings import Settings
    from tocsin.store.scrub import Finding

WRONG: Final = 1
WIDTH: Final = 30
ARCHIVE: Final = "archive"


def doctor(
    data: DataOption = DATA,
    *,
    scrub: Annotated[bool, typer.Option("--scrub", help="Read everything and verify it; may take minutes.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended; only while no service runs. Scrubs first.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for damage in the store and the archive.

    Without --scrub only for lost commits. With it every page, index, checksum and archived record is read; a service
    that runs meanwhile is not disturbed. Exit code 0: all is as it was written; 1: something is not, and each line says
    what to do; 2: it could not be looked at.
    """
    folder = data.absolute()
    if config is not None:  # else it is the shipped configuration, and that is embedded
        _require_own_file(settings_of(config, folder))
    show = _Bar(quiet=as_json)
    try:
        found = list(_found(folder, scrub=scrub or repair, repair=repair, show=show))
    finally:
        show.end()
    if as_json:
        told = {"data": str(folder), "scrubbed": scrub or repair, "findings": [asdict(one) for one in found]}
        json.dump(told, sys.stdout, ensure_ascii=False, indent=1)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _lines(found, scrubbed=scrub or repair)))
    if found:
        sys.exit(WRONG)


def _require_own_file(settings: Settings) -> None:
    """Make sure that the store is a file of ours; raises Stop with what looks for damage in a database.

    The files of mode embedded lie under --data whatever else is configured.
    """
    if settings.tocsin.postgresql is None:
        return
    from tocsin.store.postgresql_session import where

    raise Stop(
        f"mode cluster keeps everything in PostgreSQL ({where(settings.tocsin.postgresql.dsn.get_secret_value())}), and"
        " what looks for damage there is its own: SHOW data_checksums says whether pages have checksums (pg_checksums"
        " --enable, with the server stopped, gives them some), pg_amcheck --heapallindexed reads every table and index"
    )


def _found(folder: Path, *, scrub: bool, repair: bool, show: _Bar) -> Iterator[Finding]:
    """Look; take the lock where nobody has it, else only read.

    Raises:
        Stop: there is no store, or a service holds it that is to be repaired.
        StoreUnavailable: its file cannot be read.
    """
    import sqlite3

    from tocsin.datadir import held
    from tocsin.foundation import STORE_FILE
    from tocsin.store import scrub as scrubbing

    path = folder / STORE_FILE
    if not path.exists():
        raise Stop(f"there is no store in {folder}")
    with ExitStack() as lock:
        try:
            lock.enter_context(held(folder))
            free = True
        except AlreadyRunning as error:
            if repair:
                raise Stop(f"{error}; stop it first: what a service has open cannot be repaired") from error
            free = False
        try:
            if scrub:
                yield from scrubbing.scrub(path, folder / ARCHIVE, writable=free, repair=repair, progress=show.move)
            else:
                yield from scrubbing.lost(path, writable=free)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{path}: {error}") from error


def _lines(found: list[Finding], *, scrubbed: bool) -> Iterator[str]:
    for one in found:
        yield f"{one.part}: {one.what}"
        if one.advice:
            yield f"  {one.advice}"
    if not found:
        yield "everything is as it was written" if scrubbed else "no commit is lost (--scrub reads everything)"


class _Bar:
    """One line on the terminal that says how far it is; nothing where there is none."""

    def __init__(self, *, quiet: bool) -> None:
        self._shown = not quiet and sys.stderr.isatty()

    def move(self, part: str, done: int, total: int) -> None:
        """Show that *done* of *total* of *part* is done."""
        if self._shown:
            full = WIDTH * done // max(total, 1)
            text = f"{'█' * full}{'░' * (WIDTH - full)} {part} {done:,} of {total:,}"
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\x1b[K{text[:width]}")
            sys.stderr.flush()

    def end(self) -> None:
        """Leave the line empty."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
