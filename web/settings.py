"""What an operator sets of the web: where it listens, who may ask, and how much."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, field_validator, model_validator

from tocsin.addresses import is_loopback
from tocsin.quantities import Duration, Rate, Secret, SecretsFromFiles, Size, Wrong
from web.tokens import HASH_FORM, SHORTEST, Scope, hash_of

PORT_LIMIT: Final = 65_535

UNPROTECTED: Final = (
    "{listen!r} can be reached from other machines, but no token protects it: "
    "run `tocsin token create NAME --scope read` and put its line under web.tokens, or listen on 127.0.0.1"
)


class TokenSettings(SecretsFromFiles):
    """One caller. Of its token only the hash is kept; `token_file` names a file that holds the token itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    hash: Annotated[str, Field(pattern=HASH_FORM)] | None = None
    token: Secret | None = None

    @model_validator(mode="after")
    def _has_one_secret(self) -> Self:
        if (self.hash is None) == (self.token is None):
            raise ValueError("give either 'hash' (from `tocsin token create`) or 'token_file'")
        if self.token is not None and len(self.token.get_secret_value()) < SHORTEST:
            raise ValueError(f"this token is shorter than {SHORTEST} characters: make one with `tocsin token create`")
        return self

    @property
    def fingerprint(self) -> str:
        """The hash that a caller's token must have."""
        return self.hash or hash_of(self.token.get_secret_value() if self.token else "")

    def allows(self, needed: Scope) -> bool:
        """Whether this caller may do what *needed* asks for."""
        return any(scope.allows(needed) for scope in self.scopes)


class WebSettings(BaseModel):
    """The web's part of the configuration.

    `requests` and `burst` hold for each client; behind a proxy of `trusted_proxies` the client is the one it tells.
    `hosts` are further names by which browsers may ask for this service.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: str = "127.0.0.1:8080"
    public_url: str | None = None
    hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    tokens: tuple[TokenSettings, ...] = ()
    session: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(days=30))] = timedelta(hours=12)
    body_limit: Annotated[Size, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    requests: Rate = Rate(600, timedelta(minutes=1))
    burst: Annotated[int, Field(ge=10, le=100_000)] = 200
    connections: Annotated[int, Field(ge=8, le=100_000)] = 512

    @field_validator("listen")
    @classmethod
    def _is_address(cls, listen: str) -> str:
        host_and_port(listen)
        return listen

    @field_validator("public_url")
    @classmethod
    def _is_web_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is no web address: write it as https://tocsin.example.org")
        if parts.path not in {"", "/"}:
            raise ValueError(f"{url!r} has a path: the pages only work at the root of a host")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _is_protected(self) -> Self:
        names = [token.id for token in self.tokens]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise Wrong(f"the token {name!r} stands here twice", "tokens", index, "id")
        if not self.tokens and not is_loopback(host_and_port(self.listen)[0]):
            raise Wrong(UNPROTECTED.format(listen=self.listen), "listen")
        return self

    @property
    def is_open(self) -> bool:
        """Whether reading needs no token: only while there is none, and then we listen on loopback alone."""
        return not self.tokens

    @property
    def is_https(self) -> bool:
        """Whether browsers come over TLS, so that cookies may insist on it."""
        return self.public_url is not None and self.public_url.startswith("https:")


def host_and_port(listen: str) -> tuple[str, int]:
    """Take `127.0.0.1:8080`, `[::1]:8080` or `localhost:0` apart.

    Raises:
        ValueError: it is no address with a port.
    """
    host, colon, port = listen.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    elif ":" in host:
        raise ValueError(f"{listen!r}: put the IPv6 address in brackets, as [::1]:8080")
    if not colon or not host or not (port.isascii() and port.isdecimal()) or int(port) > PORT_LIMIT:
        raise ValueError(f"{listen!r} is no address with a port: write it as 127.0.0.1:8080")
    return host, int(port)
