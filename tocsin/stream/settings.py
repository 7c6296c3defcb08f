"""How Kafka is reached, and what our topics there must be like: the `tocsin.kafka` key of the configuration."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator

from tocsin.addresses import is_loopback
from tocsin.quantities import Duration, Outside, Secret, SecretsFromFiles, Wrong

_CLOSED: Final = ConfigDict(frozen=True, extra="forbid")
_HOST: Final = re.compile(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
PORT_LAST: Final = 65535


def split_broker(broker: str) -> tuple[str, int]:
    """Return host (an IPv6 address without its brackets) and port of `host:port`.

    Raises:
        ValueError: it is no such pair.
    """
    host, colon, port = broker.rpartition(":")
    if not colon or not _HOST.fullmatch(host) or not port.isascii() or not port.isdigit():
        raise ValueError(f"{broker!r} is no broker: write host:port, as k1.example.org:9093 or [2001:db8::1]:9093")
    if not 0 < int(port) <= PORT_LAST:
        raise ValueError(f"{broker!r}: a port is a number from 1 to {PORT_LAST}")
    return host.strip("[]"), int(port)


def _broker(broker: str) -> str:
    split_broker(broker)
    return broker


def _from_data_dir(path: Path, info: ValidationInfo) -> Path:
    directory = info.context.directory if isinstance(info.context, Outside) else Path()
    return directory / path


def _token_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"{url!r} is no https:// address") from None
    if parts.scheme not in {"http", "https"} or not host or port == 0:
        raise ValueError(f"{url!r} is no https:// address")
    if parts.username or parts.password:
        raise ValueError("give user and password as client_id and client_secret, not in the address")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(f"{url!r} would carry the client's secret in the open: use https")
    return url


File = Annotated[Path, AfterValidator(_from_data_dir)]


class SecuritySettings(SecretsFromFiles):
    """Who we are to the brokers, and how we know that they are ours.

    Without `ca_file` the system's authorities are asked. OAUTHBEARER takes a token from `token_url`
    (client credentials, RFC 6749, 4.4) or from `token_file`, which something else keeps fresh.
    """

    model_config = _CLOSED

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ca_file: File | None = None
    certificate_file: File | None = None
    key_file: File | None = None
    key_password: Secret | None = None
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "OAUTHBEARER", "PLAIN"] | None = None
    user: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    password: Secret | None = None
    token_url: Annotated[str, AfterValidator(_token_address)] | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    client_secret: Secret | None = None
    scope: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    token_file: File | None = None

    @property
    def is_encrypted(self) -> bool:
        """Whether nobody on the way can read along."""
        return self.protocol in {"SSL", "SASL_SSL"}

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        self._check_certificates()
        if self.protocol in {"SASL_PLAINTEXT", "SASL_SSL"}:
            self._check_mechanism()
        else:
            self._forbid(
                f"belongs to protocol SASL_SSL, and this one is {self.protocol}", "mechanism", *_LOGIN, *_TOKENS
            )
        return self

    def _check_certificates(self) -> None:
        if not self.is_encrypted:
            self._forbid(f"needs protocol SSL or SASL_SSL, and this one is {self.protocol}", *_CERTIFICATES)
        if self.key_file is not None and self.certificate_file is None:
            raise Wrong("a key without a certificate_file proves nothing", "key_file")

    def _check_mechanism(self) -> None:
        if self.mechanism is None:
            raise Wrong(f"{self.protocol} needs a mechanism: SCRAM-SHA-512, SCRAM-SHA-256, OAUTHBEARER or PLAIN")
        if self.mechanism != "OAUTHBEARER":
            self._forbid(f"belongs to mechanism OAUTHBEARER, and this one is {self.mechanism}", *_TOKENS)
            self._require(f"{self.mechanism} needs a", *_LOGIN)
            return
        self._forbid("belongs to mechanism SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN", *_LOGIN)
        if self.token_file is None:
            self._require("OAUTHBEARER needs a token_file, or a", "token_url", "client_id", "client_secret")
        else:
            self._forbid("does not go with token_file", "token_url", "client_id", "client_secret", "scope")

    def _forbid(self, why: str, *names: str) -> None:
        for name in names:
            if getattr(self, name) is not None:
                raise Wrong(f"{name} {why}", name)

    def _require(self, what: str, *names: str) -> None:
        for name in names:
            if getattr(self, name) is None:
                raise Wrong(f"{what} {name}")


_CERTIFICATES: Final = ("ca_file", "certificate_file", "key_file", "key_password")
_LOGIN: Final = ("user", "password")
_TOKENS: Final = ("token_url", "client_id", "client_secret", "scope", "token_file")


class KafkaSettings(BaseModel):
    """The brokers, and what our topics there are made like, or must be like when they are there.

    `partitions` are those of `articles.v1`, so the most workers that can share it; the other topics have one, for
    their order matters as a whole. `prefix` stands before the names of all our topics and groups.
    `session` bounds how long a worker that died keeps its partitions; `heartbeat` how soon the others hear that
    one came or left.
    """

    model_config = _CLOSED

    brokers: Annotated[tuple[Annotated[str, AfterValidator(_broker)], ...], Field(min_length=1, max_length=100)]
    security: SecuritySettings = SecuritySettings()
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$", max_length=100)] = ""
    partitions: Annotated[int, Field(ge=1, le=1_000)] = 12
    replication: Annotated[int, Field(ge=1, le=10)] = 3
    in_sync: Annotated[int, Field(ge=1, le=10)] | None = None
    keep: Annotated[Duration, Field(ge=timedelta(days=3))] = timedelta(days=3)
    session: Annotated[Duration, Field(ge=timedelta(seconds=2), le=timedelta(minutes=5))] = timedelta(seconds=10)
    heartbeat: Annotated[Duration, Field(ge=timedelta(milliseconds=100))] = timedelta(milliseconds=500)

    @property
    def min_in_sync(self) -> int:
        """How many replicas must have a record before it counts as taken."""
        return self.in_sync if self.in_sync is not None else min(2, self.replication)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for place, broker in enumerate(self.brokers):
            self.require_private_way(split_broker(broker)[0], f"broker {broker!r}", "brokers", place)
        if self.in_sync is not None and self.in_sync > self.replication:
            raise Wrong(f"{self.in_sync} of {self.replication} replicas can never be in sync", "in_sync")
        if self.heartbeat * 3 > self.session:
            raise Wrong("must be at most a third of session, so that one lost beat is no death", "heartbeat")
        return self

    def require_private_way(self, host: str, what: str, *at: str | int) -> None:
        """Make sure that nothing is said in the open to another machine; raises Wrong."""
        if not self.security.is_encrypted and not is_loopback(host):
            protocol = self.security.protocol
            better = "SASL_SSL" if protocol.startswith("SASL") else "SSL or SASL_SSL"
            raise Wrong(
                f"{what} is another machine, and {protocol} can be read and forged on the way: use {better}", *at
            )
