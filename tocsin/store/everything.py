"""The whole schema: importing this module registers every table on the one metadata."""

from __future__ import annotations

from tocsin.store import (
    access,
    bursts,
    commit_counter,
    dead_letters,
    incidents,
    ingest_tables,
    leases,
    notifier_tables,
    overlay,
    replays,
    timers,
    topics,
)
from tocsin.store.schema import metadata

__all__ = [
    "access",
    "bursts",
    "commit_counter",
    "dead_letters",
    "incidents",
    "ingest_tables",
    "leases",
    "metadata",
    "notifier_tables",
    "overlay",
    "replays",
    "timers",
    "topics",
]
