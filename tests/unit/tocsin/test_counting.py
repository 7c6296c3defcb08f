"""What is counted is what stands: work that is undone, or done once more, is counted neither too soon nor twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from detectors.engine import DetectorsConfig
from tocsin.metrics import REGISTRY
from tocsin.records import DeadLetter
from tocsin.stages.detecting import Read, detecting
from tocsin.stream.dead_letters import put_aside
from tocsin.stream.port import ARTICLES, StreamRecord
from tocsin.testing import NOON, a_store
from tocsin.workers import Done

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tocsin.store.tx import Tx


NO_RULES = DetectorsConfig(rules=(), lexicons=(), version="")


class Reader:
    """A pool that finds a death in every article."""

    async def map(self, _job: object, items: Sequence[bytes], **_: object) -> Sequence[Done[Read]]:
        return [
            Done(Read(key=str(number), id=str(number), types=("deaths",), value=b"")) for number in range(len(items))
        ]


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"tocsin_{name}_total", labels) or 0.0


async def test_readings_are_counted_once_though_their_batch_was_undone_and_they_were_written_one_by_one(
    tmp_path: Path,
) -> None:
    records = [
        StreamRecord(topic=ARTICLES, partition=0, offset=number, key="", id=str(number), value=b"") for number in (0, 1)
    ]
    units = await detecting(Reader(), lambda: NO_RULES)(records)  # type: ignore[arg-type]  # of a pool nothing but `map` is used
    before = counted("readings"), counted("detections", type="deaths")

    def batch(tx: Tx) -> None:
        for unit in units:
            unit(tx)
        raise ZeroDivisionError

    async with a_store(tmp_path) as store:
        with pytest.raises(ZeroDivisionError):
            await store.write(batch)
        for unit in units:
            await store.write(unit)

    assert (counted("readings"), counted("detections", type="deaths")) == (before[0] + 2, before[1] + 2)


async def test_a_dead_letter_that_was_not_kept_is_not_counted(tmp_path: Path) -> None:
    letter = DeadLetter(id="a", stage="counting", topic=ARTICLES, record_id="r", reason="", value=b"", at=NOON)

    def undone(tx: Tx) -> None:
        put_aside(tx, letter)
        raise ZeroDivisionError

    async with a_store(tmp_path) as store:
        with pytest.raises(ZeroDivisionError):
            await store.write(undone)
        await store.write(lambda tx: put_aside(tx, letter))

    assert counted("dead_letters", stage="counting") == 1
