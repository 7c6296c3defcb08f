"""The servers that other tests rely on: they start, come back with their data, and let in whom they should."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, TypeAlias
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.servers.fixtures import or_left_out
from tests.servers.kafka import KafkaBroker, KafkaCluster
from tests.servers.postgresql import PostgresqlServer, postgresql_server
from tests.servers.processes import ServerFailed

ANSWER_S = 10.0
REFUSAL_S = 5.0
REFUSALS = {KafkaError._SSL, KafkaError._AUTHENTICATION}

Words: TypeAlias = dict[str, Any]  # what a client of librdkafka is made with


@pytest.fixture(scope="module")
def mortal(pytestconfig: pytest.Config) -> Iterator[PostgresqlServer]:
    """A PostgreSQL of this module's own, for it is killed."""
    with or_left_out(pytestconfig, postgresql_server) as server:
        yield server


def a_topic(bootstrap: str, **settings: str) -> str:
    name = f"servers-{uuid4()}"
    topic = NewTopic(name, num_partitions=1, config=settings)
    client = AdminClient({"bootstrap.servers": bootstrap})  # its answers end with it
    for made in client.create_topics([topic]).values():
        made.result(ANSWER_S)
    return name


def send(bootstrap: str, topic: str, value: bytes) -> None:
    """Send one record, and wait until every replica in sync has it."""
    errors: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "delivery.timeout.ms": 15_000})
    producer.produce(topic, value, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(20) == 0
    assert errors == [None]


def received(bootstrap: str, topic: str) -> bytes | None:
    """Return the first record's value."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "servers", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        message = consumer.poll(ANSWER_S)
        return None if message is None or message.error() else message.value()
    finally:
        consumer.close()


def test_every_database_is_fresh(postgresql: str, postgresql_shared: PostgresqlServer) -> None:
    with psycopg.connect(postgresql) as connection:
        connection.execute("CREATE TABLE seen (id integer)")

    other = postgresql_shared.create_database()
    with psycopg.connect(other) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    postgresql_shared.drop_database(other)

    assert tables == (0,)


def test_a_wrong_password_opens_no_database(postgresql: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgresql.replace("@127", "x@127"))


@pytest.mark.parametrize("end", ["kill", "immediate", "fast"])
def test_postgresql_comes_back_on_its_port_with_what_was_committed(mortal: PostgresqlServer, end: str) -> None:
    dsn = mortal.create_database()
    port = mortal.port
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")

    if end == "kill":
        mortal.kill()
    else:
        mortal.stop("immediate" if end == "immediate" else "fast")
    mortal.start()

    assert mortal.port == port
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]


def test_a_paused_postgresql_answers_when_it_goes_on(mortal: PostgresqlServer) -> None:
    with psycopg.connect(mortal.dsn(), autocommit=True) as connection:
        mortal.pause()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(mortal.dsn(), connect_timeout=2)

        mortal.resume()

        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_does_not_start_shows_the_end_of_its_log() -> None:
    with pytest.raises(ServerFailed, match="no_such_setting"), postgresql_server(settings={"no_such_setting": "1"}):
        pytest.fail("it started")


def test_a_broker_comes_back_on_its_port_with_what_it_acknowledged(own_kafka: KafkaBroker) -> None:
    topic = a_topic(own_kafka.bootstrap)
    bootstrap = own_kafka.bootstrap
    send(bootstrap, topic, b"kept")

    own_kafka.kill()
    own_kafka.start()

    assert own_kafka.bootstrap == bootstrap
    assert received(bootstrap, topic) == b"kept"


def test_three_brokers_get_along_without_one(kafka_cluster: KafkaCluster) -> None:
    topic = a_topic(kafka_cluster.bootstrap)

    kafka_cluster.brokers[0].kill()
    send(kafka_cluster.bootstrap, topic, b"two have it")

    assert received(kafka_cluster.bootstrap, topic) == b"two have it"


def login(broker: KafkaBroker, way: str) -> Words:
    """What a client of librdkafka is made with to come in that way."""
    security = broker.security
    assert security is not None
    protocol, _, mechanism = way.partition(" ")
    words: Words = {"bootstrap.servers": broker.address(protocol), "security.protocol": protocol}
    if protocol.endswith("SSL"):
        words["ssl.ca.location"] = str(security.ca_file)
    if protocol == "SSL":
        words["ssl.certificate.location"] = str(security.certificate_file)
        words["ssl.key.location"] = str(security.key_file)
    if mechanism:
        words["sasl.mechanism"] = mechanism
    if mechanism == "OAUTHBEARER":
        words["oauth_cb"] = lambda _: (security.tokens.mint(), time.time() + 300)
    elif mechanism:
        words |= {"sasl.username": security.user, "sasl.password": security.password}
    return words


@pytest.mark.parametrize(
    "way",
    [
        "SSL",
        "SASL_SSL SCRAM-SHA-512",
        "SASL_SSL SCRAM-SHA-256",
        "SASL_SSL PLAIN",
        "SASL_SSL OAUTHBEARER",
        "SASL_PLAINTEXT SCRAM-SHA-512",
    ],
)
def test_who_proves_who_it_is_comes_in(secured_kafka: KafkaBroker, way: str) -> None:
    client = AdminClient(login(secured_kafka, way))

    client.poll(0)  # where the token is asked for
    metadata = client.list_topics(timeout=ANSWER_S)

    assert list(metadata.brokers) == [1]


@pytest.mark.parametrize(
    ("way", "wrong"),
    [
        ("SASL_SSL SCRAM-SHA-512", "password"),
        ("SASL_SSL SCRAM-SHA-512", "user"),
        ("SASL_SSL PLAIN", "password"),
        ("SASL_SSL OAUTHBEARER", "stale token"),
        ("SASL_SSL OAUTHBEARER", "token for another"),
        ("SASL_SSL SCRAM-SHA-512", "authority"),
        ("SSL", "authority"),
    ],
)
def test_who_does_not_stays_outside(secured_kafka: KafkaBroker, way: str, wrong: str) -> None:
    security = secured_kafka.security
    assert security is not None
    words = login(secured_kafka, way)
    match wrong:
        case "password":
            words["sasl.password"] = "guessed"
        case "user":
            words["sasl.username"] = "stranger"
        case "stale token":
            words["oauth_cb"] = lambda _: (security.tokens.mint(life_s=-120), time.time() + 300)
        case "token for another":
            words["oauth_cb"] = lambda _: (security.tokens.mint(audience="mail"), time.time() + 300)
        case "authority":
            words["ssl.ca.location"] = str(security.other_ca_file)
    told: list[int] = []
    words["error_cb"] = lambda error: told.append(error.code())

    client = AdminClient(words)
    end = time.monotonic() + REFUSAL_S
    while not REFUSALS.intersection(told) and time.monotonic() < end:
        client.poll(0.05)

    assert REFUSALS.intersection(told) == {KafkaError._SSL if wrong == "authority" else KafkaError._AUTHENTICATION}


def test_a_folder_of_a_server_is_gone_with_it() -> None:
    with postgresql_server(fsync=False) as server:
        folder = server.folder
        assert folder.exists()

    assert not folder.exists()
