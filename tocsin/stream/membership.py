"""What a reader asks of the brokers when it joins: a group of members, or all partitions for itself alone."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from aiokafka import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import InvalidSessionTimeoutError
from typing_extensions import override

from tocsin import metrics
from tocsin.errors import Stop
from tocsin.stream.topics import MESSAGE_LIMIT_BYTES, partitions

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiokafka import TopicPartition
    from aiokafka.errors import KafkaError

    from tocsin.stream.settings import KafkaSettings

# What one reader holds at most: so much of each partition, and so much in all from each broker.
PARTITION_FETCH_BYTES: Final = MESSAGE_LIMIT_BYTES
FETCH_BYTES: Final = 8 * 1024 * 1024
# A request covers the partitions that are drained at that moment and waits for them alone, so a partition that is
# drained meanwhile waits for its end: with several, it must be short.
WAIT_ONE_MS: Final = 500
GATHERED_BYTES: Final = 256 * 1024  # of a patient one: or what comes in that time
WAIT_SEVERAL_MS: Final = 40


class Member(Protocol):
    """Who is told what the group decides; called from within the client, so it only notes it."""

    def taken_away(self) -> None:
        """Hear that a rebalance begins."""
        ...

    def given(self, mine: Collection[int]) -> None:
        """Hear how it ended."""
        ...


def arguments(settings: KafkaSettings, group: str, topic: str, *, shared: bool, patient: bool) -> dict[str, Any]:
    """Return what a consumer of *topic* is made with, in *group* where it is shared with others."""
    at_once = not patient and partitions(settings, topic) > 1
    common = {
        "group_id": None,
        "max_partition_fetch_bytes": PARTITION_FETCH_BYTES,
        "fetch_max_bytes": FETCH_BYTES,
        "fetch_max_wait_ms": WAIT_SEVERAL_MS if at_once else WAIT_ONE_MS,
        "fetch_min_bytes": GATHERED_BYTES if patient else 1,
    }
    if not shared:
        return common
    # aiokafka keeps what a sticky assignor remembers on its class: each member needs one of its own.
    sticky = type("Sticky", (StickyPartitionAssignor,), {"member_assignment": None, "generation": -1})
    return common | {
        "group_id": f"{settings.prefix}{group}-{topic}",
        "session_timeout_ms": settings.session // timedelta(milliseconds=1),
        "heartbeat_interval_ms": settings.heartbeat // timedelta(milliseconds=1),
        "partition_assignment_strategy": (sticky,),
    }


def require_session_taken(error: KafkaError, settings: KafkaSettings) -> None:
    """Stop where no other try will help: *error* says that the brokers take no session so short, or so long."""
    # aiokafka wraps it as often as not, and names it in the text.
    if InvalidSessionTimeoutError.__name__ in f"{error!r}":
        raise Stop(
            f"tocsin.kafka.session: the brokers refuse {settings.session.total_seconds():g} s: take one"
            " within their group.min.session.timeout.ms (6000 unless somebody set it) and"
            " group.max.session.timeout.ms, or change those on every broker"
        ) from error


class Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Passes on what the group decides; the cursors are read by the next fetch, where an error has somewhere to go."""

    def __init__(self, member: Member, *, group: str) -> None:
        self._member = member
        self._group = group

    @override
    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Hear that a rebalance begins."""
        del revoked  # it is all that we have, and may be ours again at its end
        self._member.taken_away()

    @override
    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Hear how it ended."""
        metrics.REBALANCES.labels(group=self._group).inc()
        self._member.given({one.partition for one in assigned})
