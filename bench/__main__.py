"""Measure every speed claim beside a peer in the same run: medians, and the ratio, because machines are noisy.

python -m bench [detectors] [births] [parts] [throughput] [delay] [--runs N] [--corpus FILE.jsonl|DIRECTORY]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from bench import detecting, parts, path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.claim import Claim

PARTS: Final = ("detectors", "births", "parts", "throughput", "delay")


def main() -> None:
    """Run all of it, or what is asked for, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=(*PARTS, []), default=[])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--corpus", type=Path)
    arguments = parser.parse_args()
    wanted = arguments.what or PARTS
    console = Console()
    claims: list[Claim] = []
    if "detectors" in wanted:
        claims += detecting.claims(arguments.corpus)
    if "parts" in wanted:
        claims += parts.claims(arguments.corpus)
    if "throughput" in wanted:
        claims += path.claims()
    if claims:
        console.print(compared(claims, arguments.runs, console))
    if "births" in wanted:
        console.print(births(arguments.runs, console))
    if "delay" in wanted:
        console.print(delays(arguments.runs, console))


def compared(claims: Sequence[Claim], runs: int, console: Console) -> Table:
    """Measure ours and the peer in turn."""
    table = Table(title=f"medians of {runs} runs, ours and the peer in turn")
    for name in ("what", "ours", "peer", "", "ratio"):
        table.add_column(name)
    for claim in claims:
        pairs = []
        for run in range(runs):
            console.print(f"[dim]{claim.what}: run {run + 1}[/]", end="\r")
            pairs.append((claim.ours(), claim.theirs()))
        mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        table.add_row(
            claim.what, f"{mine:,.0f} {claim.unit}", f"{theirs:,.0f} {claim.unit}", claim.peer, f"{ratio:.2f} ×"
        )
    return table


def births(runs: int, console: Console) -> Table:
    """Measure how soon a worker child knows all languages, and its memory, beside spaCy with the same phrases."""
    table = Table(title=f"a process for all languages, medians of {runs} runs")
    for name in ("what", "ready after", "processor time", "memory", "of its own"):
        table.add_column(name)
    found, theirs = [], []
    for run in range(runs):
        console.print(f"[dim]births: run {run + 1}[/]", end="\r")
        born = subprocess.run([sys.executable, "-m", "bench.birth"], check=True, capture_output=True, text=True)
        found.append(json.loads(born.stdout))
        if detecting.has_spacy():
            theirs.append(detecting.spacy_matcher(()))
    middle = {name: statistics.median(one[name] for one in found) for name in found[0]}
    memory = f"{middle['memory_mb']:.0f} MB", f"{middle['private_mb']:.0f} MB"
    table.add_row("worker child, first article", f"{middle['first_s']:.2f} s", "", "", "")
    table.add_row(
        "worker child, eleven languages", f"{middle['all_s']:.2f} s", f"{middle['processor_s']:.2f} s", *memory
    )
    if theirs:
        other = {name: statistics.median(one[name] for one in theirs) for name in theirs[0]}
        size = f"{other['memory_mb']:.0f} MB"
        ready = f"{other['start_s']:.2f} s", f"{other['processor_s']:.2f} s"
        table.add_row("spaCy PhraseMatcher, blank pipelines", *ready, size, size)
    return table


def delays(runs: int, console: Console) -> Table:
    """Measure how long an article takes from being accepted to the webhook."""
    table = Table(title=f"accepted → webhook, {path.RATE:.0f} articles/s, medians of {runs} runs, ms")
    for name in ("where", "matching", "p50", "p90", "p99", "longest"):
        table.add_column(name)
    for where in path.WHERE:
        for share in path.SHARES:
            found = []
            for run in range(runs):
                console.print(f"[dim]delay, {where} at {share:.0%}: run {run + 1}[/]", end="\r")
                found.append(path.whole(where, articles=path.DELAYED, share=share, rate=path.RATE)["delay_ms"])
            told = [statistics.median(one[name] for one in found) for name in ("p50", "p90", "p99", "max")]
            table.add_row(where, f"{share:.0%}", *(f"{value:.0f}" for value in told))
    return table


if __name__ == "__main__":
    main()
