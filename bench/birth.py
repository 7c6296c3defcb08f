"""How soon a worker child knows all languages, and the memory it then takes; a process of its own for each run.

python -m bench.birth

What this module imports the child does, too, so it is little more than what the fork server has imported already.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from itertools import islice
from pathlib import Path

from bench.echo import read_or_learnt
from bench.news import articles
from detectors.engine import prepare
from tocsin.settings import load_settings
from tocsin.stages import PRELOAD
from tocsin.stream.codec import encode
from tocsin.workers import Job, Pool

CHILD_MEMORY_BYTES = 2**30
ARTICLES = 500


async def born() -> dict[str, float]:
    """Return seconds and megabytes.

    `first_s` is until the first article is read, with the start of the process that children are forked from; `all_s`
    until the child knows every language, for which it has had `processor_s`. `memory_mb` is what lies in memory when
    it has read some more; `private_mb` what the child shares with nobody.
    """
    detectors = load_settings(None, data_dir=Path()).detectors
    job = Job(function=read_or_learnt, prepare=prepare, argument=detectors, key=detectors.version, deadline_s=60.0)
    values = [encode(article) for article in islice(articles(share=0.02), ARTICLES)]
    started = time.perf_counter()
    async with Pool(size=1, memory_limit_bytes=CHILD_MEMORY_BYTES, preload=PRELOAD) as pool:
        await pool.map(job, values[:1])
        first_s = time.perf_counter() - started
        await pool.map(job, [b""])
        all_s = time.perf_counter() - started
        (pid,) = pool.pids
        spent_s = processor_s(pid)
        await pool.map(job, values)
        memory = memory_of(pid)
    return {"first_s": first_s, "all_s": all_s, "processor_s": spent_s, **memory}


def processor_s(pid: int) -> float:
    """Return what time a process has had on the processors."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> dict[str, float]:
    """Return what a process has in memory, in megabytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]
    kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    private = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return {"memory_mb": kilobytes["Rss"] / 1024, "private_mb": private / 1024}


def main() -> None:
    """Run it once."""
    sys.stdout.write(json.dumps(asyncio.run(born())) + "\n")


if __name__ == "__main__":
    main()
