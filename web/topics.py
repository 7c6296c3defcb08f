"""The topics over HTTP: what there is, a look at the records, and the contract with programs that read them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import Response

from tocsin.stream.contract.files import SUFFIX, file, names
from tocsin.stream.contract.schema import RECORDS
from web.endpoint import JSON, Endpoint, told
from web.problems import Refused
from web.shapes import Page, PartitionAnswer, RecordAnswer, RecordPage, TopicAnswer, limit, number
from web.tokens import Scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request

    from tocsin.stream.port import StreamRecord
    from web.ports import House

WAIT_LIMIT_S: Final = 5  # a service that is told to stop waits for whom it answers
LOOK_DEADLINE_S: Final = 20.0
PAGE_BYTES: Final = 4_000_000  # of values in one answer, or the one record that is larger
PARTITIONS_LIMIT: Final = 10_000
OFFSET_LIMIT: Final = 2**63 - 1


async def topics(_request: Request, house: House) -> Response:
    """Return every topic and what of it can be looked at."""
    async with _answer_in_time():
        found = {topic: await house.actions.stream.bounds(topic) for topic in RECORDS}
    items = [
        TopicAnswer(
            topic=topic,
            partitions=[
                PartitionAnswer(partition=partition, first=bounds.first, end=bounds.end)
                for partition, bounds in sorted(partitions.items())
            ],
            json_schema=f"/api/schemas/{topic}{SUFFIX}",
        )
        for topic, partitions in found.items()
    ]
    return told(Page[TopicAnswer](items=items))


async def records(request: Request, house: House) -> Response:
    """Return records of one partition, from an offset on."""
    topic, query = request.path_params["topic"], request.query_params
    if topic not in RECORDS:
        raise Refused(404, f"no topic {topic!r}: there are {', '.join(RECORDS)}")
    partition = number(query.get("partition"), "partition", most=PARTITIONS_LIMIT)
    start = number(query.get("start"), "start", most=OFFSET_LIMIT)
    wait_s = number(query.get("wait"), "wait", most=WAIT_LIMIT_S)
    async with _answer_in_time():
        found = await house.actions.stream.fetch(
            topic, start=start, most=limit(query.get("limit")), timeout_s=wait_s, partition=partition
        )
    return Response(await asyncio.to_thread(_page, found, start), media_type=JSON)


async def schemas(_request: Request, _house: House) -> Response:
    """Return the names of the schemas."""
    return told(Page[str](items=list(names())))


async def schema(request: Request, _house: House) -> Response:
    """Return one schema, or the AsyncAPI document."""
    name = request.path_params["name"]
    whole = name if name.endswith(SUFFIX) else f"{name}{SUFFIX}"
    if whole not in names():
        raise Refused(404, f"no schema {name!r}: there are {', '.join(names())}")
    return Response(await asyncio.to_thread(file, whole), media_type=JSON)


@asynccontextmanager
async def _answer_in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(LOOK_DEADLINE_S):
            yield
    except TimeoutError:
        raise Refused(503, f"no answer within {LOOK_DEADLINE_S:.0f} s: the service is too busy now") from None


def _page(found: Sequence[StreamRecord], start: int) -> bytes:
    taken: list[StreamRecord] = []
    size = 0
    for record in found:
        size += len(record.body)
        if taken and size > PAGE_BYTES:
            break
        taken.append(record)
    after = taken[-1].offset + 1 if taken else start
    return RecordPage(items=[_record(each) for each in taken], next=after).model_dump_json().encode()


def _record(record: StreamRecord) -> RecordAnswer:
    value, damage = _value(record)
    return RecordAnswer(
        partition=record.partition, offset=record.offset, key=record.key, id=record.id, value=value, damage=damage
    )


def _value(record: StreamRecord) -> tuple[Any, str | None]:
    if record.value is None:
        return None, record.damage
    try:
        return msgspec.json.decode(record.value), None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return None, f"no JSON: {error}"


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/api/topics", handle=topics, needs=Scope.READ, answers=Page[TopicAnswer],
        says="The topics of the stream, and which offsets of each can be looked at.",
    ),
    Endpoint(
        method="GET", path="/api/topics/{topic}", handle=records, needs=Scope.READ, answers=RecordPage,
        says="Records of one partition as they are on the topic, the oldest first.",
        query={
            "partition": "Of this partition (0).",
            "start": "From this offset on (0); `next` of the answer before leads on.",
            "limit": "Records in an answer, 1 to 200; fewer come when they are large.",
            "wait": f"Seconds to wait for a record when there is none yet, 0 to {WAIT_LIMIT_S}.",
        },
    ),
    Endpoint(
        method="GET", path="/api/schemas", handle=schemas, needs=Scope.READ, answers=Page[str],
        says="The names of the schemas.",
    ),
    Endpoint(
        method="GET", path="/api/schemas/{name}", handle=schema, needs=Scope.READ, answers=dict[str, object],
        says="The JSON Schema of a topic's records (`alerts.v1.json`), or `asyncapi.json`.",
    ),
)  # fmt: skip
