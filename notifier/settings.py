"""Who is told what, and how they are reached: `config/subscriptions.yaml`."""

from __future__ import annotations

import re
from datetime import timedelta
from email.headerregistry import Address
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from tocsin.matcher import Matcher
from tocsin.quantities import Duration, Rate, Secret, SecretsFromFiles, Wrong
from tocsin.records import Severity, Step

_CLOSED: Final = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
Language = Literal["en", "de", "ru"]
PositiveDuration = Annotated[Duration, Field(gt=timedelta(0))]
DurationOrNone = Annotated[Duration, Field(ge=timedelta(0))]


def _web_address(secret: SecretStr) -> SecretStr:
    """Make sure that a hook is a web address; the message never shows it, for it is the key to the channel."""
    try:
        parts = urlsplit(secret.get_secret_value())
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("this is no http:// or https:// address (it is not shown, it is a secret)")
    return secret


def _mail_address(text: str) -> str:
    """Take `alerts@example.org` or `Tocsin <alerts@example.org>`."""
    name, address = parseaddr(text)
    try:
        parsed = Address(addr_spec=address)
    except (ValueError, IndexError):
        parsed = Address()
    if not parsed.username or not parsed.domain or _CONTROL.search(text) or (name and "<" not in text):
        raise ValueError(f"{text!r} is no mail address: write alerts@example.org or Tocsin <alerts@example.org>")
    return text


def _one_or_several(value: Any) -> Any:  # noqa: ANN401  a file may hold anything there
    return [value] if isinstance(value, str) else value


MailAddress = Annotated[str, AfterValidator(_mail_address)]
WebAddress = Annotated[Secret, AfterValidator(_web_address)]


# ------------------------------------------------------------------------------------------------------ receivers


class _ReceiverSettings(BaseModel):
    """What every receiver has.

    `timeout` ends one attempt, whatever the other side does. A message that could not be delivered for
    `give_up_after` goes to the dead letters. `allow_private` lets it reach addresses of this machine and its network.
    """

    model_config = _CLOSED

    timeout: PositiveDuration = timedelta(seconds=20)
    give_up_after: PositiveDuration = timedelta(hours=24)
    attempts: Annotated[int, Field(ge=1)] = 200
    allow_private: bool = False


class SlackWebhookSettings(_ReceiverSettings, SecretsFromFiles):
    """A Slack incoming webhook (or anything that takes its payload)."""

    kind: Literal["slack_webhook", "slack"]
    webhook_url: WebAddress


class SmtpSettings(SecretsFromFiles):
    """The server that takes our mail."""

    model_config = _CLOSED

    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:\[\]-]+$", max_length=253)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: Secret | None = None
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _logs_in_as_somebody(self) -> Self:
        if (self.password is None) != (self.user is None):
            raise Wrong("user and password belong together: give both or neither", "user")
        return self


class EmailSettings(_ReceiverSettings):
    """Mail by SMTP; each address gets a mail of its own, in one thread for each incident."""

    kind: Literal["email"]
    smtp: SmtpSettings
    sender: Annotated[MailAddress, Field(alias="from")]
    to: Annotated[tuple[MailAddress, ...], BeforeValidator(_one_or_several), Field(min_length=1, max_length=100)]


class AppriseSettings(_ReceiverSettings, SecretsFromFiles):
    """Any service that Apprise knows, by its URL."""

    kind: Literal["apprise"]
    url: Secret


class FileSettings(_ReceiverSettings):
    """A file that gets one JSON line a message; a relative path starts at the data directory."""

    kind: Literal["file"]
    path: Path


class ConsoleSettings(_ReceiverSettings):
    """The terminal that the service runs in."""

    kind: Literal["console"]


ReceiverSettings = Annotated[
    SlackWebhookSettings | EmailSettings | AppriseSettings | FileSettings | ConsoleSettings,
    Field(discriminator="kind"),
]

# -------------------------------------------------------------------------------------------------- subscriptions


class SubscriptionSettings(BaseModel):
    """Who wants to be told of what. Without `when` it is everything.

    Alerts below `at_once_from` wait `group_wait` for further steps of their incident and are told together.
    Beyond `budget` rings, one digest says so. `language` is that of the frame; quotations stay in theirs.
    """

    model_config = _CLOSED

    id: Id
    to: Annotated[tuple[Id, ...], BeforeValidator(_one_or_several), Field(min_length=1)]
    when: Matcher = Matcher()
    steps: Annotated[frozenset[Step], Field(min_length=1)] = frozenset({Step.NEW, Step.ESCALATION, Step.CORRECTION})
    language: Language = "en"
    group_wait: DurationOrNone = timedelta(seconds=30)
    at_once_from: Severity = Severity.SEVERE
    budget: Rate = Rate(20, timedelta(days=1))


class TimingSettings(BaseModel):
    """How long messages are kept back: `opening_wait` after the last late alert, at most ten times that in all."""

    model_config = _CLOSED

    opening_wait: PositiveDuration = timedelta(seconds=60)


class NotifierSettings(BaseModel):
    """The keys of `config/subscriptions.yaml`. That a subscription's receivers exist is checked across the files."""

    model_config = _CLOSED

    subscriptions: tuple[SubscriptionSettings, ...] = ()
    receivers: dict[Id, ReceiverSettings] = {}
    notifier: TimingSettings = TimingSettings()
