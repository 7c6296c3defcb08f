"""`tocsin run` ends when it is told to, whatever it is at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults.harness import Service, write_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMIT_S = 60

SLOW_START = """
import sys, time
import tocsin.cli.run as command
from tocsin.cli import main
whole = command.settings_of
def settings_of(*arguments, **options):
    print("reading", flush=True)
    time.sleep(1.5)
    return whole(*arguments, **options)
command.settings_of = settings_of
main(["run", *sys.argv[1:]])
"""

STUCK = """
import asyncio, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import tocsin.app
import tocsin.cli.run as command
from tocsin.cli import main
from tocsin.errors import Stop
command.LAST_RESORT_S = 1.0
async def run(*_, **__):
    loop = asyncio.get_running_loop()
    for pool in (None, ThreadPoolExecutor(1)):
        loop.run_in_executor(pool, time.sleep, 50)
    print("stuck", flush=True)
    if sys.argv[1] == "stop":
        raise Stop("no use")
    await asyncio.Event().wait()
tocsin.app.run = run
main(["run", *sys.argv[2:]])
"""


@contextmanager
def process(code: str, *arguments: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    where = ("--config", str(write_config(folder / "config")), "--data", str(folder / "data"))
    command = (sys.executable, "-c", code, *arguments, *where)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as started:
        try:
            assert started.stdout is not None
            assert started.stdout.readline()
            yield started
        finally:
            started.kill()


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_while_it_reads_its_configuration_it_exits_with_zero(tmp_path: Path, told: signal.Signals) -> None:
    with process(SLOW_START, folder=tmp_path) as service:
        service.send_signal(told)

        assert service.wait(10) == 0


@pytest.mark.timeout(LIMIT_S)
def test_told_to_reload_while_it_reads_its_configuration_it_reads_it_again(tmp_path: Path) -> None:
    with process(SLOW_START, folder=tmp_path) as service:
        service.send_signal(signal.SIGHUP)

        assert service.stdout is not None
        assert service.stdout.readline() == "reading\n"
        service.send_signal(signal.SIGTERM)
        assert service.wait(15) == 0


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize(("why", "code"), [("stop", 2), ("signal", 0)])
def test_a_thread_that_will_not_end_does_not_keep_the_process(tmp_path: Path, why: str, code: int) -> None:
    with process(STUCK, why, folder=tmp_path) as service:
        if why == "signal":
            service.send_signal(signal.SIGTERM)

        assert service.wait(10) == code


@pytest.mark.timeout(LIMIT_S)
async def test_told_again_and_again_and_by_ctrl_c_it_drains_as_if_told_once(tmp_path: Path) -> None:
    async with Service(config=write_config(tmp_path / "config"), data=tmp_path / "data") as service:
        await service.start_and_wait()
        assert service.process is not None
        os.killpg(service.pid, signal.SIGINT)  # as a terminal does: to the children, too
        for told in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            service.process.send_signal(told)
            time.sleep(0.02)  # noqa: ASYNC251  nothing else runs here

        assert await service.stop() == 0

    assert "Traceback" not in service.log_file.read_text()
