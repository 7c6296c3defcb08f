"""Every way into a secured broker, and what is said to whom it lets not in."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from tests.kafka.houses import a_stream
from tests.servers.kafka import KafkaBroker
from tests.servers.kafka_security import KafkaSecurity
from tocsin.errors import Stop, StreamUnavailable
from tocsin.stream.port import ARTICLES
from tocsin.stream.settings import KafkaSettings
from tocsin.testing import a_store


def security_of(broker: KafkaBroker) -> KafkaSecurity:
    assert broker.security is not None
    return broker.security


def settings_for(broker: KafkaBroker, listener: str, **security: Any) -> KafkaSettings:
    return KafkaSettings.model_validate(
        {
            "brokers": [broker.address(listener)],
            "prefix": f"t{secrets.token_hex(4)}-",
            "replication": 1,
            "security": {"protocol": listener, **security},
        }
    )


def way_in(known: KafkaSecurity, mechanism: str) -> dict[str, Any]:
    if mechanism == "OAUTHBEARER":
        tokens = known.tokens
        who = {"token_url": tokens.url, "client_id": tokens.client_id, "client_secret": tokens.client_secret}
    else:
        who = {"user": known.user, "password": known.password}
    return {"mechanism": mechanism, **who}


async def works(settings: KafkaSettings, folder: Path) -> None:
    async with a_store(folder) as store, a_stream(settings, store) as stream:
        await stream.prepare()
        assert await stream.fetch(ARTICLES, start=0, most=1, timeout_s=0) == []
        assert (await stream.bounds(ARTICLES))[0].end == 0


async def complaint(settings: KafkaSettings, folder: Path) -> str:
    async with a_store(folder) as store, a_stream(settings, store) as stream:
        with pytest.raises(StreamUnavailable) as caught:
            await stream.prepare()
    return str(caught.value)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER"])
@pytest.mark.parametrize("listener", ["SASL_SSL", "SASL_PLAINTEXT"])
async def test_each_mechanism_lets_us_in(
    secured_kafka: KafkaBroker, tmp_path: Path, listener: str, mechanism: str
) -> None:
    known = security_of(secured_kafka)
    tls = {"ca_file": str(known.ca_file)} if listener == "SASL_SSL" else {}

    await works(settings_for(secured_kafka, listener, **tls, **way_in(known, mechanism)), tmp_path)


async def test_a_client_certificate_lets_us_in(secured_kafka: KafkaBroker, tmp_path: Path) -> None:
    known = security_of(secured_kafka)
    files = {"ca_file": known.ca_file, "certificate_file": known.certificate_file, "key_file": known.key_file}

    await works(settings_for(secured_kafka, "SSL", **{name: str(file) for name, file in files.items()}), tmp_path)


async def test_a_token_from_a_file_lets_us_in(secured_kafka: KafkaBroker, tmp_path: Path) -> None:
    known = security_of(secured_kafka)
    file = tmp_path / "token"
    file.write_text(known.tokens.mint() + "\n")
    way = {"ca_file": str(known.ca_file), "mechanism": "OAUTHBEARER", "token_file": str(file)}

    await works(settings_for(secured_kafka, "SASL_SSL", **way), tmp_path)


async def test_a_wrong_password_is_named_and_not_shown(secured_kafka: KafkaBroker, tmp_path: Path) -> None:
    known = security_of(secured_kafka)
    way = way_in(known, "SCRAM-SHA-512") | {"password": "not-the-password"}

    said = await complaint(settings_for(secured_kafka, "SASL_SSL", ca_file=str(known.ca_file), **way), tmp_path)

    assert secured_kafka.address("SASL_SSL") in said
    assert "uthentication failed" in said
    assert "not-the-password" not in said


async def test_a_broker_of_an_unknown_authority_is_not_trusted(secured_kafka: KafkaBroker, tmp_path: Path) -> None:
    known = security_of(secured_kafka)
    way = way_in(known, "SCRAM-SHA-512")

    said = await complaint(settings_for(secured_kafka, "SASL_SSL", ca_file=str(known.other_ca_file), **way), tmp_path)

    assert f"{secured_kafka.address('SASL_SSL')}: its certificate is not good" in said
    assert known.password not in said


async def test_a_broker_that_wants_a_certificate_says_so(secured_kafka: KafkaBroker, tmp_path: Path) -> None:
    known = security_of(secured_kafka)

    said = await complaint(settings_for(secured_kafka, "SSL", ca_file=str(known.ca_file)), tmp_path)

    assert secured_kafka.address("SSL") in said


async def test_a_token_server_that_refuses_is_named(secured_kafka: KafkaBroker, tmp_path: Path) -> None:
    known = security_of(secured_kafka)
    way = way_in(known, "OAUTHBEARER") | {"client_secret": "not-the-secret"}

    said = await complaint(settings_for(secured_kafka, "SASL_SSL", ca_file=str(known.ca_file), **way), tmp_path)

    assert f"no token from {known.tokens.url!r}: HTTP 401 (invalid_client)" in said
    assert "not-the-secret" not in said


async def test_a_stale_token_is_named(secured_kafka: KafkaBroker, tmp_path: Path) -> None:
    known = security_of(secured_kafka)
    file = tmp_path / "token"
    file.write_text(known.tokens.mint(life_s=-100))
    way = {"ca_file": str(known.ca_file), "mechanism": "OAUTHBEARER", "token_file": str(file)}

    said = await complaint(settings_for(secured_kafka, "SASL_SSL", **way), tmp_path)

    assert secured_kafka.address("SASL_SSL") in said
    assert file.read_text() not in said


async def test_one_token_serves_many_connections_and_is_renewed_before_it_is_stale(
    secured_kafka: KafkaBroker, tmp_path: Path
) -> None:
    known = security_of(secured_kafka)
    tokens = known.tokens
    settings = settings_for(secured_kafka, "SASL_SSL", ca_file=str(known.ca_file), **way_in(known, "OAUTHBEARER"))
    before, lasting = tokens.given, tokens.life_s

    async with a_store(tmp_path) as store, a_stream(settings, store) as stream:
        await stream.prepare()
        await stream.fetch(ARTICLES, start=0, most=1, timeout_s=0)
        shared = tokens.given - before
        try:
            tokens.life_s = 0.0
            async with a_stream(settings, store) as other:
                await other.brokers.arguments()["sasl_oauth_token_provider"].token()
                await other.brokers.arguments()["sasl_oauth_token_provider"].token()
        finally:
            tokens.life_s = lasting

    assert shared == 1
    assert tokens.given - before == 3


async def test_nobody_listening_is_named(tmp_path: Path) -> None:
    settings = KafkaSettings.model_validate({"brokers": ["127.0.0.1:1", "127.0.0.1:2"], "replication": 1})

    said = await complaint(settings, tmp_path)

    assert said == "127.0.0.1:1: connection refused; 127.0.0.1:2: connection refused"


async def test_a_certificate_file_that_is_none_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    given = {"brokers": ["k1:9093"], "security": {"protocol": "SSL", "ca_file": str(file)}}

    async with a_store(tmp_path) as store:
        with pytest.raises(Stop, match=r"ca_file .* is of no use"):
            async with a_stream(KafkaSettings.model_validate(given), store):
                raise AssertionError
