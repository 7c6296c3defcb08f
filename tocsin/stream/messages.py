"""What a message on the brokers is to us: a record of ours, or one that is damaged and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.stream import wire
from tocsin.stream.port import StreamRecord

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord


def record_of(topic: str, message: ConsumerRecord) -> StreamRecord:
    """Return *message* as a record of *topic*; one that is none of ours is damaged."""
    name = wire.record_id(message.headers)
    damage = "" if name else f"it has no {wire.ID} header, so none of us made it"
    if message.value is None:
        damage = damage or "it has no value"
    return StreamRecord(
        topic=topic,
        partition=message.partition,
        offset=message.offset,
        key=(message.key or b"").decode("utf-8", "replace"),
        id=name or _place(message.partition, message.offset),
        value=None if damage else message.value,
        damage=damage,
    )


def unreadable(topic: str, partition: int, offset: int) -> StreamRecord:
    """Return what stands for the record there, of which nothing can be read, not even its id."""
    return StreamRecord(
        topic=topic,
        partition=partition,
        offset=offset,
        key="",
        id=_place(partition, offset),
        value=None,
        damage="the checksum of its batch on the broker does not match",
    )


def _place(partition: int, offset: int) -> str:
    return f"{partition}@{offset}"
