from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tocsin.datadir import held
from tocsin.errors import AlreadyRunning, Stop

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import pathlib, sys, time
from tocsin.datadir import held
with held(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(AlreadyRunning, match=f"process {os.getpid()} on"), held(tmp_path):
        pass


def test_a_folder_is_free_again_after_its_holder_was_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunning), held(tmp_path):
            pass
        holder.kill()
        holder.wait()

    with held(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Stop, match="file/data"), held(tmp_path / "file" / "data"):
        pass


def test_a_lock_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to("/dev/full")

    with pytest.raises(Stop, match=f"{tmp_path}.*No space left"), held(tmp_path):
        pass
