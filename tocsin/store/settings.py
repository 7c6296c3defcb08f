"""Where the store is in cluster mode, and how long its server may take."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from tocsin.yamlfile import Duration, Secret, SecretsFromFiles

_READABLE = frozenset({"disable", "allow", "prefer"})
_CLOSED = ConfigDict(frozen=True, extra="forbid")


class Timeouts(BaseModel):
    """After how long a silent or busy server counts as away."""

    model_config = _CLOSED

    connect: Annotated[Duration, Field(ge=timedelta(seconds=2), le=timedelta(minutes=1))] = timedelta(seconds=5)
    statement: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=10))] = timedelta(seconds=15)
    # Transactions of ours last milliseconds: who waits longer for a lock looks whether its holder is one that stopped.
    lock: Annotated[Duration, Field(ge=timedelta(milliseconds=100), le=timedelta(minutes=1))] = timedelta(seconds=2)
    # A process that is stopped inside a transaction holds its locks for so long: less than a lease lasts (6 s), or
    # whoever takes the lease over would wait for them.
    idle_in_transaction: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(seconds=5))] = timedelta(
        seconds=3
    )

    @field_validator("lock")
    @classmethod
    def _is_over_before_the_statement(cls, lock: timedelta, info: ValidationInfo) -> timedelta:
        statement = info.data.get("statement")
        if statement is not None and lock >= statement:
            raise ValueError(f"lock must be shorter than statement ({statement.total_seconds():g}s)")
        return lock


class PostgresqlSettings(SecretsFromFiles):
    """The database of a cluster: a connection string as libpq takes it, several hosts included."""

    model_config = _CLOSED

    dsn: Secret
    readers: Annotated[int, Field(ge=1, le=64)] = 4
    timeouts: Timeouts = Timeouts()

    @field_validator("dsn")
    @classmethod
    def _is_connection_string(cls, dsn: SecretStr) -> SecretStr:
        from tocsin.store.postgresql_session import goes_abroad, parsed  # noqa: PLC0415 — the driver is for clusters only

        parts = parsed(dsn.get_secret_value())
        if goes_abroad(parts) and parts.get("sslmode") in _READABLE:
            raise ValueError(f"sslmode={parts['sslmode']} may let others read on the way: write sslmode=verify-full")
        return dsn
