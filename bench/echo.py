"""Functions for worker children; they stand alone because a child cannot import the program that was started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.stages.detecting import Read, read_record

if TYPE_CHECKING:
    from detectors.engine import Engine


def same(_: object, value: bytes) -> bytes:
    """Answer with what was asked."""
    return value


def read_or_learnt(engine: Engine, value: bytes) -> Read | None:
    """Read an article; asked for nothing, make every language ready, which an article of each would do."""
    if value:
        return read_record(engine, value)
    for tongue in engine.tongues.values():
        assert tongue.prefilter is not None
        assert tongue.gazetteer is not None
    return None
