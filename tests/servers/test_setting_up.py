"""What holds on a machine that lacks something, and when the tests themselves are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.servers import kafka_jars, setting_up
from tests.servers.keeper import birth_of
from tests.servers.setting_up import LeftOut, cached, once

ROOT = Path(__file__).parents[2]
END_S = 25.0

ASKS_FOR_KAFKA = """
pytest_plugins = ("tests.servers.fixtures",)

def test_one(kafka):
    pass

def test_two(kafka_cluster):
    pass

def test_other():
    pass
"""

TAKES_ITS_TIME = """
import time
import pytest
from tests.servers.fixtures import unhurried

pytest_plugins = ("tests.servers.fixtures",)

@pytest.fixture
def slow(pytestconfig):
    with unhurried(pytestconfig):
        time.sleep(1.2)

@pytest.mark.timeout(1)
def test_quick(slow):
    pass

@pytest.mark.timeout(1)
def test_that_hangs(slow):
    time.sleep(10)
"""

HOLDS_A_SERVER = """
import json, sys, time
from tests.servers.postgresql import postgresql_server
with postgresql_server(fsync=False) as server:
    print(json.dumps({"family": sorted(server.process.family()), "folder": str(server.folder)}), flush=True)
    time.sleep(60)
"""


def on_a_bare_machine(folder: Path, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run such a test file where there is no Java and no way to get one."""
    (folder / "test_it.py").write_text(text, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", str(folder / "test_it.py")],
        cwd=folder,
        env={"PATH": "/nowhere", "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache"), **environment},
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )


def test_what_cannot_be_had_is_left_out_and_named(tmp_path: Path) -> None:
    done = on_a_bare_machine(tmp_path, ASKS_FOR_KAFKA)

    assert done.returncode == 0, done.stdout
    assert "1 passed, 2 skipped" in done.stdout
    assert "left out: default-jre-headless: not installed, and there is no apt-get to install it" in done.stdout


def test_with_ci_set_leaving_out_is_a_failure(tmp_path: Path) -> None:
    done = on_a_bare_machine(tmp_path, ASKS_FOR_KAFKA, CI="true")

    assert done.returncode == 1, done.stdout
    assert "1 passed, 2 errors" in done.stdout
    assert "left out, and with CI set nothing may be: default-jre-headless: not installed" in done.stdout


def test_setting_up_is_no_time_of_the_test(tmp_path: Path) -> None:
    done = on_a_bare_machine(tmp_path, TAKES_ITS_TIME)

    assert "1 failed, 1 passed" in done.stdout
    assert "test_that_hangs" in done.stdout
    assert "Timeout" in done.stdout


def test_nothing_outlives_tests_that_are_killed() -> None:
    tests = subprocess.Popen([sys.executable, "-c", HOLDS_A_SERVER], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert tests.stdout is not None
    with tests, tests.stdout:
        told = json.loads(tests.stdout.readline() or "{}")
        alive = {pid: birth for pid in told["family"] if (birth := birth_of(pid)) is not None}

        os.kill(tests.pid, signal.SIGKILL)
        tests.wait(END_S)

    end = time.monotonic() + END_S
    while time.monotonic() < end and (
        any(birth_of(pid) == birth for pid, birth in alive.items()) or Path(told["folder"]).exists()
    ):
        time.sleep(0.02)
    assert len(alive) > 3
    assert not [pid for pid, birth in alive.items() if birth_of(pid) == birth]
    assert not Path(told["folder"]).exists()


def test_two_who_set_up_at_once_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.05)
        (folder / "whole").touch()

    threads = [threading.Thread(target=cached, args=("thing", make)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(END_S)

    assert len(made) == 1
    assert (cached("thing", make) / "whole").exists()


def test_what_was_not_made_whole_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise LeftOut("the network went away")

    with pytest.raises(LeftOut):
        cached("thing", fail)

    assert [path.name for path in setting_up.cache().iterdir()] == ["thing.lock"]


def test_what_cannot_be_had_is_asked_for_once() -> None:
    asked: list[None] = []

    @once
    def a_server() -> str:
        asked.append(None)
        raise LeftOut("no network")

    for _ in range(3):
        with pytest.raises(LeftOut, match="no network"):
            a_server()

    assert len(asked) == 1


def test_a_jar_with_another_sum_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = kafka_jars.SUMS.read_text(encoding="utf-8").split()[1]
    monkeypatch.setattr(kafka_jars, "download", lambda folder: (folder / name).write_bytes(b"forged"))

    with pytest.raises(LeftOut, match=r"not those of kafka_jars\.sha256") as raised:
        kafka_jars.fetch(tmp_path)

    assert name in str(raised.value)
