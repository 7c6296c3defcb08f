"""The whole path, each run in a process of its own (`bench.whole`), beside faststream that only hands records on."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench.claim import Claim

ARTICLES: Final = 6_000
DELAYED: Final = 4_000
RATE: Final = 200.0
UV: Final = Path(sys.executable).with_name("uv")


def whole(*, articles: int, share: float, rate: float | None = None) -> dict[str, Any]:
    """Run the whole path once and return its figures."""
    command = [sys.executable, "-m", "bench.whole", "--articles", str(articles), "--share", str(share)]
    command += [] if rate is None else ["--rate", str(rate)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own module
    figures: dict[str, Any] = json.loads(found.stdout)
    return figures


def throughput(share: float) -> float:
    """Return articles a second, *share* of them with something to tell."""
    return float(whole(articles=ARTICLES, share=share)["articles_per_s"])


def faststream() -> float:
    """Return records a second; it is fetched for this run alone, into an environment of its own."""
    command = [str(UV), "run", "-q", "--no-project", "--isolated", "--python", sys.executable]
    command += ["--with", "faststream[kafka]", "python", "-m", "bench.pass_through", "--articles", str(ARTICLES)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603 - as above


def claims() -> list[Claim]:
    """Return what is claimed, with the peer."""
    return [
        Claim(f"whole path, {share:.0%} matching", "articles/s", partial(throughput, share),
              "faststream, handing on only", faststream)
        for share in (0.02, 0.08)
    ]  # fmt: skip
