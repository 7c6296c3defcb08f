"""Killable child processes that run pure functions: `Pool.map(job, records)` answers for every record.

`job` is what is asked and answered, `pool` the scheduling, `process` one child seen from the parent,
`child` the inside of one.
"""

from __future__ import annotations

from tocsin.workers.job import Done, Failed, FailureKind, Job
from tocsin.workers.pool import Pool
from tocsin.workers.process import start_fork_server

__all__ = ["Done", "Failed", "FailureKind", "Job", "Pool", "start_fork_server"]
