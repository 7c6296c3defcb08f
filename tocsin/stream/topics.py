"""Our topics on the brokers: made where they are missing, checked where they are there.

Nothing that is there is ever changed: a mismatch stops the process and names the command that mends it.
Partition counts never grow, for a key would move and its records with it out of order; a `v2` topic does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidReplicationFactorError,
    KafkaError,
    NoError,
    PolicyViolationError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from tocsin.errors import StreamUnavailable, TopicsWrong
from tocsin.quantities import write_duration
from tocsin.stream.inside import let_go
from tocsin.stream.port import ALERTS, ARTICLES, DEAD_LETTERS, READINGS, RECORD_LIMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tocsin.stream.brokers import Brokers
    from tocsin.stream.settings import KafkaSettings

log = structlog.get_logger()

ALL: Final = (ARTICLES, READINGS, ALERTS, DEAD_LETTERS)
MESSAGE_LIMIT_BYTES: Final = 1_048_588  # Kafka's default; room for the largest record, its headers and framing
assert RECORD_LIMIT_BYTES < MESSAGE_LIMIT_BYTES

PARTITIONS: Final = "partitions"
REPLICATION: Final = "replication"
IN_SYNC: Final = "min.insync.replicas"
RETENTION: Final = "retention.ms"
RETENTION_BYTES: Final = "retention.bytes"
CLEANUP: Final = "cleanup.policy"
LARGEST: Final = "max.message.bytes"
# By the broker's clock: by ours, a machine whose clock is wrong would have its records refused or forgotten at once.
TIMESTAMPS: Final = "message.timestamp.type"
UNCLEAN: Final = "unclean.leader.election.enable"

CREATE_S: Final = 20.0
SETTLE_S: Final = 0.25
LOOKS: Final = 40  # a new topic is known to every broker soon, but not at once
FOR_EVER: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic as it must be; `name` is the broker's, with our prefix."""

    name: str
    partitions: int
    replication: int
    in_sync: int
    keep: timedelta

    def config(self) -> dict[str, str]:
        """Return what it is made with."""
        config = {
            IN_SYNC: str(self.in_sync),
            RETENTION: str(self.keep // timedelta(milliseconds=1)),
            RETENTION_BYTES: str(FOR_EVER),
            CLEANUP: "delete",
            LARGEST: str(MESSAGE_LIMIT_BYTES),
            TIMESTAMPS: "LogAppendTime",
        }
        return config | {UNCLEAN: "false"} if self.replication > 1 else config


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A topic as it is. `config` is None when we may not look at it."""

    partitions: int
    replication: int
    config: Mapping[str, str] | None


def partitions(settings: KafkaSettings, topic: str) -> int:
    """Return how many partitions *topic* has: only articles can be worked on side by side."""
    return settings.partitions if topic == ARTICLES else 1


def wanted(settings: KafkaSettings) -> dict[str, Topic]:
    """Return our topics as they must be."""
    return {
        topic: Topic(
            name=f"{settings.prefix}{topic}",
            partitions=partitions(settings, topic),
            replication=settings.replication,
            in_sync=settings.min_in_sync,
            keep=settings.keep,
        )
        for topic in ALL
    }


def mistakes(topic: Topic, found: Found, *, servers: str) -> list[str]:
    """Say what of *found* would break a promise, each with what to run against it."""
    told = []
    if found.partitions != topic.partitions:
        told.append(
            f"topic {topic.name!r}: {PARTITIONS} is {found.partitions}, wanted {topic.partitions}: a topic keeps the"
            f" number it was made with, so write that into the configuration (tocsin.kafka.partitions), or, while it"
            f" holds nothing that is needed, run: {_topics(servers)} --delete --topic {topic.name}"
        )
    if found.replication < topic.replication:
        told.append(
            f"topic {topic.name!r}: {REPLICATION} is {found.replication}, wanted {topic.replication} or more: run"
            f" kafka-reassign-partitions.sh --bootstrap-server {servers} --reassignment-json-file FILE --execute"
            f" with {topic.replication} replicas for each partition of {topic.name}"
        )
    if found.config is None:
        return told
    for key, value, needed in _wrong_config(topic, found.config, replicas=found.replication):
        told.append(
            f"topic {topic.name!r}: {key} is {value}, wanted {needed[0]}: run {_configs(servers)} --alter"
            f" --entity-type topics --entity-name {topic.name} --add-config {key}={needed[1]}"
        )
    return told


def _wrong_config(
    topic: Topic, config: Mapping[str, str], *, replicas: int
) -> Iterable[tuple[str, str, tuple[str, str]]]:
    wanted = topic.config()

    def shown(key: str) -> str:
        value = config.get(key)
        if key == RETENTION and value is not None and value.isdecimal():
            return f"{value} ({write_duration(timedelta(milliseconds=int(value)))})"
        return "unknown" if value is None else value

    if _number(config.get(IN_SYNC)) < topic.in_sync:
        yield IN_SYNC, shown(IN_SYNC), (f"{topic.in_sync} or more", wanted[IN_SYNC])
    elif _number(config.get(IN_SYNC)) >= replicas > 1:
        # As many as there are replicas: the loss of one broker would stop everything.
        yield IN_SYNC, shown(IN_SYNC), (f"less than the {replicas} replicas", wanted[IN_SYNC])
    if not _lasts(config.get(RETENTION), int(wanted[RETENTION])):
        yield (
            RETENTION,
            shown(RETENTION),
            (f"{wanted[RETENTION]} ({write_duration(topic.keep)}) or more", wanted[RETENTION]),
        )
    if _number(config.get(RETENTION_BYTES)) != FOR_EVER:
        yield RETENTION_BYTES, shown(RETENTION_BYTES), ("-1, so that time alone decides", wanted[RETENTION_BYTES])
    for key in (CLEANUP, TIMESTAMPS, UNCLEAN):
        if key in wanted and config.get(key) != wanted[key]:
            yield key, shown(key), (f"{wanted[key]}{_OR_ELSE.get(key, '')}", wanted[key])
    if _number(config.get(LARGEST)) < MESSAGE_LIMIT_BYTES:
        yield LARGEST, shown(LARGEST), (f"{MESSAGE_LIMIT_BYTES} or more", wanted[LARGEST])


# Where a topic is led by a replica that lacks something, the others drop what it lacks.
_OR_ELSE: Final = {UNCLEAN: ", or records that were acknowledged can be lost"}


async def prepare(settings: KafkaSettings, brokers: Brokers) -> None:
    """Make the topics that are missing and check the others.

    Raises:
        TopicsWrong: one is not as it must be, or may not be made by us; or a broker would be spoken to in the open.
        StreamUnavailable: no broker answers as it should.
    """
    admin = brokers.admin()
    await brokers.reach(admin)
    try:
        objection = brokers.objection(admin)
        if objection:
            raise TopicsWrong(f"kafka: {objection}")
        async with asyncio.timeout(CREATE_S):
            await _prepare(settings, admin)
    except (KafkaError, OSError) as error:
        raise StreamUnavailable(await brokers.complaint(error)) from error
    except TimeoutError as error:
        raise StreamUnavailable(await brokers.complaint(TimeoutError(f"no answer in {CREATE_S:.0f} s"))) from error
    finally:
        await let_go(admin)


async def _prepare(settings: KafkaSettings, admin: Any) -> None:  # noqa: ANN401  aiokafka has no types
    topics = wanted(settings).values()
    servers = ",".join(settings.brokers)
    found = await _found(admin, topics)
    missing = [topic for topic in topics if topic.name not in found]
    if missing:
        await _create(admin, missing, servers=servers)
        found |= await _found(admin, missing, wait=True)
    told = [mistake for topic in topics for mistake in mistakes(topic, found[topic.name], servers=servers)]
    if told:
        raise TopicsWrong("\n".join(told))


async def _create(admin: Any, topics: Sequence[Topic], *, servers: str) -> None:  # noqa: ANN401  aiokafka has no types
    new = [NewTopic(one.name, one.partitions, one.replication, topic_configs=one.config()) for one in topics]
    answer = await admin.create_topics(new, timeout_ms=int(CREATE_S * 500))
    refused = []
    named = {topic.name: topic for topic in topics}
    for name, code, *rest in answer.topic_errors:
        error = for_code(code)
        if error in (NoError, TopicAlreadyExistsError):  # another process of ours may be as quick
            if error is NoError:
                log.info(
                    "topic made", topic=name, partitions=named[name].partitions, replication=named[name].replication
                )
            continue
        reason = next((text for text in rest if text), None) or error.__name__
        if error not in _FINAL:
            raise StreamUnavailable(f"topic {name!r} cannot be made now: {reason}")
        if error in (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
            reason = "we may not make it"
        refused.append(f"topic {name!r} is missing and was refused: {reason}. Run: {_creation(named[name], servers)}")
    if refused:
        raise TopicsWrong("\n".join(refused))


_FINAL: Final = (
    TopicAuthorizationFailedError,
    ClusterAuthorizationFailedError,
    InvalidReplicationFactorError,
    PolicyViolationError,
)


async def _found(admin: Any, topics: Iterable[Topic], *, wait: bool = False) -> dict[str, Found]:  # noqa: ANN401  aiokafka has no types
    """Return those of *topics* that are there, or all of them once they are."""
    names = {topic.name for topic in topics}
    there: dict[str, tuple[int, int]] = {}
    for _ in range(LOOKS if wait else 1):
        for one in await admin.describe_topics():  # all there are: who asks by name has aiokafka make what is missing
            if one["topic"] in names and for_code(one["error_code"]) is NoError and one["partitions"]:
                replicas = min(len(partition["replicas"]) for partition in one["partitions"])
                there[one["topic"]] = (len(one["partitions"]), replicas)
        if len(there) == len(names) or not wait:
            try:
                configs = await _configs_of(admin, there)
            except UnknownTopicOrPartitionError as error:  # one broker tells of it, and another does not know it yet
                if not wait:
                    raise StreamUnavailable(str(error)) from error
            else:
                return {
                    name: Found(partitions=count, replication=replicas, config=configs.get(name))
                    for name, (count, replicas) in there.items()
                }
        await asyncio.sleep(SETTLE_S)
    hidden = ", ".join(sorted(names - there.keys()))
    raise StreamUnavailable(
        f"topics {hidden}: they are there but not shown to us; may we Describe, Read and Write them?"
    )


async def _configs_of(admin: Any, names: Iterable[str]) -> dict[str, Mapping[str, str]]:  # noqa: ANN401  aiokafka has no types
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    found: dict[str, Mapping[str, str]] = {}
    for answer in await admin.describe_configs(resources):
        for code, message, _kind, name, entries in answer.resources:
            error = for_code(code)
            if error is NoError:
                found[name] = {entry[0]: entry[1] for entry in entries}
            elif error is TopicAuthorizationFailedError:
                log.warning("topic not checked", topic=name, reason="we may not look at its configuration")
            elif error is UnknownTopicOrPartitionError:
                raise UnknownTopicOrPartitionError(name)
            else:
                raise StreamUnavailable(f"topic {name!r}: {message or error.__name__}")
    return found


def _creation(topic: Topic, servers: str) -> str:
    config = " ".join(f"--config {key}={value}" for key, value in topic.config().items())
    return (
        f"{_topics(servers)} --create --topic {topic.name} --partitions {topic.partitions}"
        f" --replication-factor {topic.replication} {config}"
    )


def _topics(servers: str) -> str:
    return f"kafka-topics.sh --bootstrap-server {servers}"


def _configs(servers: str) -> str:
    return f"kafka-configs.sh --bootstrap-server {servers}"


def _number(value: str | None) -> int:
    try:
        return int(value or "")
    except ValueError:
        return -2  # less than any that means something


def _lasts(value: str | None, wanted_ms: int) -> bool:
    found = _number(value)
    return found == FOR_EVER or found >= wanted_ms
