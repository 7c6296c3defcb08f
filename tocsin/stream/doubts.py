"""Which batches on the brokers could not be read, and when that is the disk's doing and not the network's.

Plain decisions: reading once more is for whoever holds this.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiokafka.errors import CorruptRecordException

CORRUPT_READS: Final = 3  # then it is not the network that flips bytes

_PARTITION: Final = re.compile(r"partition=(\d+)")


class Doubts:
    """How often each record was asked for and came in a batch whose checksum is wrong."""

    def __init__(self) -> None:
        self._reads: Counter[tuple[int, int]] = Counter()

    def is_damaged(self, partition: int, offset: int) -> bool:
        """Note that the record there could not be read once more; True when there is no use in trying again."""
        self._reads[partition, offset] += 1
        if self._reads[partition, offset] < CORRUPT_READS:
            return False
        del self._reads[partition, offset]
        self._reads[partition, offset + 1] = CORRUPT_READS - 1  # of the same batch: no need to doubt it for long
        return True


def partition_of(error: CorruptRecordException) -> int | None:
    """Return which partition *error* is about: aiokafka names it in the text only."""
    match = _PARTITION.search(str(error))
    return int(match[1]) if match else None
