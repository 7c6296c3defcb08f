"""Where a group goes on that asks for records which are not there: forgotten by the brokers, or not yet written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from tocsin import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

log = structlog.get_logger()


def go_on_at(
    asked: Mapping[int, int], *, begins: Mapping[int, int], ends: Mapping[int, int], group: str, topic: str
) -> Mapping[int, int]:
    """Return the oldest record there is, by partition, and raise the alarm over those that are gone.

    A partition of *asked* that by now has what was asked for is left out, and so is one of which nothing is known.
    """
    anew = {}
    for one, offset in asked.items():
        if one not in begins or one not in ends:
            continue
        begin, end = begins[one], ends[one]
        where = {"group": group, "topic": topic, "partition": one, "cursor": offset, "go_on_at": begin}
        if begin <= offset <= end:
            continue  # asked again meanwhile
        if offset > begin:
            log.error(
                "cursor is beyond the end of the partition, everything still there is read again", end=end, **where
            )
        elif offset > 0:
            log.error("records gone before they were read", gone=begin - offset, **where)
            metrics.RECORDS_GONE.labels(group=group, topic=topic).inc(begin - offset)
        else:
            log.info("group begins at the oldest record", **where)
        anew[one] = begin
    return anew
