from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from tocsin.quantities import Outside
from tocsin.stream.settings import KafkaSettings, split_broker

SCRAM = {"protocol": "SASL_SSL", "mechanism": "SCRAM-SHA-512", "user": "tocsin", "password": "very-secret"}
CLIENT = {"token_url": "https://id.example.org/token", "client_id": "tocsin", "client_secret": "very-secret"}


def settings(security: dict[str, Any] | None = None, **given: Any) -> KafkaSettings:
    return KafkaSettings.model_validate({"brokers": ["k1.example.org:9093"], "security": security or SCRAM} | given)


def mistake(security: dict[str, Any] | None = None, **given: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        settings(security, **given)
    return "; ".join(error["msg"] for error in caught.value.errors())


def test_what_an_operator_writes_first_is_enough() -> None:
    found = settings()

    assert (found.partitions, found.replication, found.min_in_sync) == (12, 3, 2)
    assert "very-secret" not in repr(found)


@pytest.mark.parametrize(
    "broker", ["k1", "k1:", ":9092", "k1:0", "k1:65536", "k1:x", "http://k1:9092", "a b:1", "k1:٣"]
)
def test_what_is_no_broker_is_told(broker: str) -> None:
    assert "write host:port" in mistake(brokers=[broker]) or "a port is" in mistake(brokers=[broker])


@given(
    host=st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True) | st.ip_addresses(v=4).map(str),
    port=st.integers(1, 65535),
)
def test_a_broker_is_read_as_it_was_written(host: str, port: int) -> None:
    assert split_broker(f"{host}:{port}") == (host, port)


@given(address=st.ip_addresses(v=6), port=st.integers(1, 65535))
def test_an_ipv6_broker_stands_in_brackets(address: Any, port: int) -> None:
    assert split_broker(f"[{address}]:{port}") == (str(address), port)


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
def test_nothing_is_said_in_the_open_to_another_machine(protocol: str) -> None:
    security = {"protocol": protocol} | (
        {"mechanism": "PLAIN", "user": "a", "password": "very-secret"} if "SASL" in protocol else {}
    )

    said = mistake(security, brokers=["127.0.0.1:9092", "k2:9092"])

    assert "broker 'k2:9092' is another machine" in said
    assert settings(security, brokers=["127.0.0.1:9092"]).brokers == ("127.0.0.1:9092",)


@pytest.mark.parametrize(
    ("security", "said"),
    [
        ({"protocol": "SASL_SSL"}, "needs a mechanism"),
        (SCRAM | {"password": None}, "SCRAM-SHA-512 needs a password"),
        (SCRAM | {"token_file": "t"}, "token_file belongs to mechanism OAUTHBEARER"),
        ({"protocol": "SSL", "user": "a"}, "user belongs to protocol SASL_SSL"),
        ({"protocol": "SSL", "key_file": "k"}, "a key without a certificate_file"),
        ({"protocol": "PLAINTEXT", "ca_file": "c"}, "ca_file needs protocol SSL"),
        ({"protocol": "SASL_SSL", "mechanism": "OAUTHBEARER"}, "OAUTHBEARER needs a token_file, or a token_url"),
        (
            {"protocol": "SASL_SSL", "mechanism": "OAUTHBEARER", "token_file": "t", **CLIENT},
            "does not go with token_file",
        ),
        (
            {"protocol": "SASL_SSL", "mechanism": "OAUTHBEARER", **CLIENT, "token_url": "http://id.example.org/"},
            "in the open",
        ),
        (
            {"protocol": "SASL_SSL", "mechanism": "OAUTHBEARER", **CLIENT, "token_url": "https://a:b@id/"},
            "client_secret",
        ),
    ],
)
def test_security_that_does_not_fit_together_is_told(security: dict[str, Any], said: str) -> None:
    told = mistake(security)

    assert said in told
    assert "very-secret" not in told


def test_numbers_that_do_not_fit_together_are_told() -> None:
    assert "can never be in sync" in mistake(replication=1, in_sync=2)
    assert "a third of session" in mistake(session="3s", heartbeat="2s")
    assert mistake(keep="2d")


def test_secrets_and_files_come_from_where_the_configuration_says(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from-a-file\n")
    given = {
        "protocol": "SASL_SSL",
        "mechanism": "PLAIN",
        "user": "a",
        "password_file": "password",
        "ca_file": "ca.pem",
    }

    found = KafkaSettings.model_validate(
        {"brokers": ["k1:9093"], "security": given}, context=Outside(directory=tmp_path)
    )

    assert found.security.password is not None
    assert found.security.password.get_secret_value() == "from-a-file"
    assert found.security.ca_file == tmp_path / "ca.pem"
