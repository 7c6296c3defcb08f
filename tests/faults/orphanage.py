"""A parent with busy worker children, to be killed: prints their process ids once they are at work."""

from __future__ import annotations

import asyncio

from tests.faults import worker_jobs as jobs
from tocsin.workers import Job, Pool


async def main() -> None:
    pids = Job(function=jobs.pid, argument=None, key="", deadline_s=60.0)
    bad = Job(function=jobs.misbehave, argument=None, key="", deadline_s=60.0)
    async with Pool(size=3, memory_limit_bytes=2**29, preload=["tests.faults.worker_jobs"]) as pool:
        while len(pool.pids) < 3:
            await asyncio.sleep(0.01)
        await pool.map(pids, [0])
        async with asyncio.TaskGroup() as calls:
            for record in ("loop in C", "loop"):  # the third child is idle
                calls.create_task(pool.map(bad, [record]))
            await asyncio.sleep(0.3)
            print(*pool.pids, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
