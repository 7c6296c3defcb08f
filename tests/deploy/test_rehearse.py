"""The rehearsal of the image mounts the machine's own /dev; whatever happens to it, nothing of that stays behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
LIMIT_S: Final = 30.0
FAKES: Final = {
    "debootstrap": 'for last; do :; done; mkdir -p "$last/etc"; [ -d "$last" ]',
    "chroot": 'grep -c "$1/dev " /proc/mounts >"$FOUND.part"; mv "$FOUND.part" "$FOUND"; exec sleep 60',
}


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="only who may mount can rehearse")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_rehearsal_leaves_nothing_mounted(number: signal.Signals, tmp_path: Path) -> None:
    programs, folder, found = tmp_path / "bin", tmp_path / "root", tmp_path / "found"
    programs.mkdir()
    for name, text in FAKES.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n", "utf-8")
        (programs / name).chmod(0o755)
    own = {"PATH": f"{programs}:{os.environ['PATH']}", "FOUND": str(found)}
    script = (ROOT / "deploy" / "rehearse.sh").read_text("utf-8")
    # Inside, the environment is the image's own: let the stand-in for chroot be found, and told where to write.
    script = script.replace("env -i PATH=", f"env -i FOUND={found} PATH={programs}:")
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "rehearse.sh").write_text(script, "utf-8")
    (tmp_path / "deploy" / "image.sh").touch()

    with subprocess.Popen(
        # Tests that run in the background ignore SIGINT, and a shell cannot trap what it was born to ignore.
        ["env", "--default-signal=INT", "sh", tmp_path / "deploy" / "rehearse.sh", folder],
        env={**os.environ, **own},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as rehearsal:
        until = time.monotonic() + LIMIT_S
        try:
            while not found.exists() and rehearsal.poll() is None and time.monotonic() < until:
                time.sleep(0.02)
            outside = Path("/proc/mounts").read_text("utf-8")
        finally:
            os.killpg(rehearsal.pid, number)
    afterwards = Path("/proc/mounts").read_text("utf-8")

    assert found.read_text("utf-8").strip() == "1"
    assert str(folder) not in outside
    assert str(folder) not in afterwards
    assert rehearsal.returncode == (-signal.SIGKILL if number is signal.SIGKILL else 130)
