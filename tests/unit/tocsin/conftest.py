"""Commands said as an operator says them, in a directory of their own."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tocsin.cli import main


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


class Tocsin(Protocol):
    def __call__(self, *arguments: str | Path, given: bytes = b"") -> Said: ...


@pytest.fixture
def tocsin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tocsin:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOCSIN_CONFIG", raising=False)
    monkeypatch.delenv("TOCSIN_DATA", raising=False)

    def say(*arguments: str | Path, given: bytes = b"") -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Said(int(left.value.code or 0), captured.out, captured.err)

    return say
