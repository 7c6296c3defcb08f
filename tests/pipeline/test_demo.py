"""The demo is the suite's own smoke test: the real service, real HTTP, real SMTP, one whole story."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tocsin.demo.story import Outcome, bundled

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S = 150


@pytest.mark.timeout(LIMIT_S + 10)
def test_every_expected_alert_rings_once_and_nothing_besides(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    command = (sys.executable, "-m", "tocsin.cli", "demo", "--plain", "--speed", "40", "--data", str(folder))

    run = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)

    rung = [json.loads(line) for line in (folder / "data" / "alerts.jsonl").read_text("utf-8").splitlines()]
    due = [edition for edition in bundled().live if edition.expect.step.rings]
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr
    assert len([line for line in rung if line["step"] in {"new", "escalation", "correction"}]) == len(due)
    assert len([line for line in rung if line["kind"] == "digest"]) == 1
    assert "drained, exit 0" in run.stdout
    assert Outcome.UPDATE.value in {line["kind"] for line in rung}
