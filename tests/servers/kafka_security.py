"""How a secured broker lets people in: by certificate, by password and by token, each checked for real."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.servers.tokens import TokenServer

MODULES = "org.apache.kafka.common.security"


class KafkaSecurity:
    """An authority of its own, one user, one OAuth client, and the listeners that want them.

    - `SASL_SSL`: SCRAM-SHA-512, SCRAM-SHA-256, PLAIN (`user`, `password`) and OAUTHBEARER (`tokens`);
    - `SASL_PLAINTEXT`: the same in the open;
    - `SSL`: a client certificate (`certificate_file`, `key_file`).
    """

    listeners = ("SASL_SSL", "SASL_PLAINTEXT", "SSL")

    def __init__(self, folder: Path) -> None:
        self.user = "tocsin"
        self.password = secrets.token_hex(12)
        self.ca_file = folder / "ca.pem"
        self.other_ca_file = folder / "other-ca.pem"
        self.certificate_file = folder / "client.pem"
        self.key_file = folder / "client.key"
        self.tokens = TokenServer(folder)
        self._server_file = folder / "server.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        trustme.CA().cert_pem.write_to_path(self.other_ca_file)
        server = authority.issue_cert("127.0.0.1", "localhost")
        self._server_file.write_bytes(_key(server) + _chain(server))
        client = authority.issue_cert("client@tocsin.invalid")
        self.certificate_file.write_bytes(_chain(client))
        self.key_file.write_bytes(_key(client))

    def close(self) -> None:
        """Stop handing out tokens."""
        self.tokens.close()

    def settings(self) -> Mapping[str, str]:
        """What the broker must know, in the words of `server.properties`."""
        scram = f"{MODULES}.scram.ScramLoginModule required;"
        password = f'{MODULES}.plain.PlainLoginModule required user_{self.user}="{self.password}";'
        words = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._server_file),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca_file),
            "listener.name.ssl.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512,SCRAM-SHA-256,PLAIN,OAUTHBEARER",
            "sasl.oauthbearer.jwks.endpoint.url": self.tokens.keys_url,
            "sasl.oauthbearer.expected.issuer": self.tokens.issuer,
            "sasl.oauthbearer.expected.audience": self.tokens.audience,
        }
        for listener in ("sasl_ssl", "sasl_plaintext"):
            bearer = f"listener.name.{listener}.oauthbearer"
            words |= {
                f"listener.name.{listener}.scram-sha-512.sasl.jaas.config": scram,
                f"listener.name.{listener}.scram-sha-256.sasl.jaas.config": scram,
                f"listener.name.{listener}.plain.sasl.jaas.config": password,
                f"{bearer}.sasl.jaas.config": f"{MODULES}.oauthbearer.OAuthBearerLoginModule required;",
                f"{bearer}.sasl.server.callback.handler.class": (
                    f"{MODULES}.oauthbearer.OAuthBearerValidatorCallbackHandler"
                ),
            }
        return words

    def format_words(self) -> tuple[str, ...]:
        """What makes the user when the data directory is made."""
        return tuple(
            word
            for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256")
            for word in ("--add-scram", f"{mechanism}=[name={self.user},password={self.password}]")
        )

    def jvm_options(self) -> tuple[str, ...]:
        """What allows the broker to read the token server's keys."""
        return (f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={self.tokens.keys_url}",)


def _chain(leaf: trustme.LeafCert) -> bytes:
    return b"".join(part.bytes() for part in leaf.cert_chain_pems)


def _key(leaf: trustme.LeafCert) -> bytes:
    """Return the key in PKCS 8, the only form that Kafka reads."""
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
