"""Topics that are missing are made, those that are there are checked, and what is wrong is said with what mends it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.kafka.houses import some_settings
from tests.kafka.test_security import security_of, settings_for, way_in
from tests.servers.fixtures import leave_out, or_left_out
from tests.servers.kafka import kafka_broker, kafka_cluster
from tests.servers.setting_up import LeftOut
from tocsin.errors import TopicsWrong
from tocsin.stream import topics
from tocsin.stream.brokers import Brokers
from tocsin.stream.port import ALERTS, ARTICLES
from tocsin.stream.settings import KafkaSettings
from tocsin.stream.topics import Found, Topic, mistakes

WANTED = Topic(name="articles.v1", partitions=12, replication=3, in_sync=2, keep=timedelta(days=3))
GOOD = WANTED.config()


def found(partitions: int = 12, replication: int = 3, **config: str) -> Found:
    names = {name.replace(".", "_"): name for name in GOOD}
    return Found(
        partitions=partitions,
        replication=replication,
        config=GOOD | {names[name]: value for name, value in config.items()},
    )


async def make(settings: KafkaSettings, topic: str, *, partitions: int = 1, **config: str) -> None:
    admin = AIOKafkaAdminClient(**Brokers(settings).arguments())
    await admin.start()
    try:
        configs = topics.wanted(settings)[topic].config() | {k.replace("_", "."): v for k, v in config.items()}
        await admin.create_topics([NewTopic(f"{settings.prefix}{topic}", partitions, 1, topic_configs=configs)])
    finally:
        await admin.close()


async def said_of(settings: KafkaSettings) -> str:
    with pytest.raises(TopicsWrong) as caught:
        await topics.prepare(settings, Brokers(settings))
    return str(caught.value)


@pytest.mark.parametrize(
    "better",
    [
        found(),
        found(replication=5, min_insync_replicas="3"),
        found(retention_ms="-1"),
        found(retention_ms=str(7 * 86_400_000)),
        found(max_message_bytes="5000000"),
        Found(partitions=12, replication=3, config=None),  # we may not look; it is logged
    ],
)
def test_what_keeps_our_promises_is_let_be(better: Found) -> None:
    assert mistakes(WANTED, better, servers="k1:9092") == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (found(partitions=6), "partitions is 6, wanted 12: a topic keeps the number it was made with"),
        (found(replication=1), "replication is 1, wanted 3 or more"),
        (found(min_insync_replicas="1"), "min.insync.replicas is 1, wanted 2 or more"),
        (found(min_insync_replicas="3"), "min.insync.replicas is 3, wanted less than the 3 replicas"),
        (found(retention_ms="86400000"), "retention.ms is 86400000 (1d), wanted 259200000 (3d) or more"),
        (found(retention_bytes="1000"), "retention.bytes is 1000, wanted -1"),
        (found(cleanup_policy="compact"), "cleanup.policy is compact, wanted delete"),
        (found(max_message_bytes="500000"), "max.message.bytes is 500000, wanted 1048588 or more"),
        (
            found(unclean_leader_election_enable="true"),
            "unclean.leader.election.enable is true, wanted false, or records that were acknowledged can be lost",
        ),
        (found(message_timestamp_type="CreateTime"), "message.timestamp.type is CreateTime, wanted LogAppendTime"),
    ],
)
def test_what_would_break_a_promise_is_said_with_what_mends_it(wrong: Found, said: str) -> None:
    (told,) = mistakes(WANTED, wrong, servers="k1:9092")

    assert told.startswith(f"topic 'articles.v1': {said}")
    assert ".sh --bootstrap-server k1:9092" in told


def test_the_command_that_mends_a_setting_is_whole() -> None:
    (told,) = mistakes(WANTED, found(cleanup_policy="compact"), servers="k1:9092,k2:9092")

    assert told.endswith(
        "run kafka-configs.sh --bootstrap-server k1:9092,k2:9092 --alter --entity-type topics"
        " --entity-name articles.v1 --add-config cleanup.policy=delete"
    )


def test_one_replica_alone_cannot_be_led_by_one_that_lacks_something() -> None:
    alone = Topic(name="articles.v1", partitions=1, replication=1, in_sync=1, keep=timedelta(days=3))

    told = mistakes(alone, Found(partitions=1, replication=1, config=alone.config()), servers="k1:9092")

    assert told == []


@pytest.mark.timeout(90)
async def test_no_topic_of_ours_takes_a_leader_that_lacks_something_whatever_its_brokers_do(
    pytestconfig: pytest.Config,
) -> None:
    careless = {"unclean.leader.election.enable": "true"}
    with or_left_out(pytestconfig, lambda: kafka_cluster(2, settings=careless)) as cluster:
        settings = some_settings(cluster.addresses[0], replication=2, in_sync=1)
        admin = Brokers(settings).admin()
        await admin.start()
        try:
            name = f"{settings.prefix}{ALERTS}"
            config = topics.wanted(settings)[ALERTS].config()
            del config[topics.UNCLEAN]
            await admin.create_topics([NewTopic(name, 1, 2, topic_configs=config)])
        finally:
            await admin.stop()

        said = await said_of(settings)

    (told,) = said.splitlines()  # and nothing of those that were made just now
    assert told.startswith(f"topic '{name}': unclean.leader.election.enable is true, wanted false")
    assert told.endswith(f"--entity-name {name} --add-config unclean.leader.election.enable=false")


async def test_missing_topics_are_made_as_they_must_be(kafka: str) -> None:
    settings = some_settings(kafka, partitions=5)

    await topics.prepare(settings, Brokers(settings))
    await topics.prepare(settings, Brokers(settings))  # and found to be good the next time


async def test_two_processes_may_make_them_at_once(kafka: str) -> None:
    settings = some_settings(kafka)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(topics.prepare(settings, Brokers(settings)))


async def test_a_partition_count_never_changes(kafka: str) -> None:
    settings = some_settings(kafka, partitions=5)
    await make(settings, ARTICLES, partitions=3)

    said = await said_of(settings)

    assert f"topic '{settings.prefix}articles.v1': partitions is 3, wanted 5" in said
    assert "tocsin.kafka.partitions" in said


async def test_every_mistake_is_told_at_once(kafka: str) -> None:
    settings = some_settings(kafka)
    await make(settings, ARTICLES, retention_ms="60000", cleanup_policy="compact")
    await make(settings, ALERTS, max_message_bytes="1000")

    said = (await said_of(settings)).splitlines()

    assert len(said) == 3
    assert sum("--add-config" in line for line in said) == 3


async def test_more_replicas_than_brokers_is_refused_with_the_command(kafka: str) -> None:
    said = await said_of(some_settings(kafka, replication=3))

    assert "is missing and was refused" in said
    assert "kafka-topics.sh --bootstrap-server" in said
    assert "--replication-factor 3" in said


@pytest.mark.timeout(90)
async def test_who_may_not_make_topics_is_told_what_to_run(pytestconfig: pytest.Config) -> None:
    rights: dict[str, Any] = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "allow.everyone.if.no.acl.found": "false",
    }
    try:
        with kafka_broker(secured=True, settings=rights) as broker:
            known = security_of(broker)
            way = way_in(known, "SCRAM-SHA-512")
            settings = settings_for(broker, "SASL_SSL", ca_file=str(known.ca_file), **way)

            said = await said_of(settings)
    except LeftOut as error:
        leave_out(pytestconfig, error)

    assert f"topic '{settings.prefix}articles.v1' is missing and was refused: we may not make it. Run:" in said
    assert f"--create --topic {settings.prefix}articles.v1 --partitions 12" in said
