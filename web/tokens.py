"""Tokens: how they are made, kept and checked, and what each scope allows."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from enum import StrEnum
from typing import Final

PREFIX: Final = "tocsin_"  # scanners for leaked secrets find it by this
TOKEN_BYTES: Final = 32
SHORTEST: Final = 32  # characters; what somebody thinks up is shorter, and a fast hash would not protect it
HASH_FORM: Final = r"^blake2b:[0-9a-f]{64}$"


class Scope(StrEnum):
    """What a caller may do. Each includes those after it."""

    OPERATE = "operate"
    READ = "read"
    METRICS = "metrics"

    def allows(self, needed: Scope) -> bool:
        """Whether a holder of this may do what *needed* asks for."""
        order = list(Scope)
        return order.index(self) <= order.index(needed)


def new_token() -> str:
    """Return a token that nobody can guess (256 random bits)."""
    return PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def hash_of(token: str) -> str:
    """Return what is kept of *token*. It has 256 random bits, so a slow hash would add nothing (see decisions)."""
    raw = token.encode("utf-8", "surrogatepass")
    return "blake2b:" + hashlib.blake2b(raw, digest_size=32, person=b"tocsin-token").hexdigest()


def is_same(one: str, other: str) -> bool:
    """Compare two hashes in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
