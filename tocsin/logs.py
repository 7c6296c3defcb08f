"""Where log lines go and what may stand in them: JSON for machines, colours for people, secrets for nobody.

One door for our own lines (structlog) and for those of libraries (`logging`). Both are masked the same way.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from datetime import datetime
from typing import TYPE_CHECKING, TextIO, cast
from urllib.parse import quote

import structlog
from typing_extensions import override

from tocsin.repeats import Repeats

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from structlog.typing import EventDict, Processor, WrappedLogger

MASK = "***"
SECRET_SHORTEST = 4  # masking every "a" would make the log unreadable and keep nothing secret
VALUE_LIMIT = 20_000  # a traceback fits; a feed's own endless URL need not

SECRET_KEY = re.compile(
    r"token|password|passwd|passphrase|secret|authorization|api_?key|cookie|credential|signature|private_?key",
    re.IGNORECASE,
)
# What may follow a scheme openly; an Apprise URL has its secrets in the place of the host and the path.
PLAIN_SCHEMES = frozenset(
    {"http", "https", "ws", "wss", "file", "sqlite", "postgresql", "kafka", "smtp", "smtps", "unix"}
)
URL = re.compile(r"\b(?P<scheme>[a-z][a-z0-9+.-]{1,30})://(?P<rest>[^\s\"'<>]+)", re.IGNORECASE)
USERINFO = re.compile(r"^[^/?#]*@")
QUERY_SECRET = re.compile(
    r"(?P<name>[?&;#](?:[\w.-]*(?:token|secret|passw|api_?key|signature)[\w.-]*|key|pass|pwd|sig|auth|code)=)[^&;#\s]*",
    re.IGNORECASE,
)
SLACK_PATH = re.compile(r"(?P<host>hooks\.slack(?:-gov)?\.com/)\S*", re.IGNORECASE)
BEARER = re.compile(r"\b(?P<scheme>Bearer|Basic)\s+[A-Za-z0-9+/=_.~-]{6,}")
SLACK_TOKEN = re.compile(r"\bxox[a-z]-[\w-]+")

# Libraries say too much, or say it too openly.
CAPS: Mapping[str, int] = {
    "aiohttp": logging.WARNING,
    "aiohttp.access": logging.CRITICAL + 1,
    "aiosmtpd": logging.WARNING,
    "alembic": logging.WARNING,
    "apprise": logging.WARNING,  # its DEBUG lines hold webhook secrets
    "asyncio": logging.WARNING,
    "mail": logging.WARNING,
    "requests": logging.WARNING,
    "slack_sdk": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "urllib3": logging.WARNING,
    "uvicorn": logging.WARNING,
    "uvicorn.access": logging.CRITICAL + 1,
    "uvicorn.error": logging.WARNING,
}

# What is said so often in a row before it is held back (`tocsin.repeats`), by a library and by us.
LIBRARY_FIRST = 2
OURS_FIRST = 10
# What tells two of our lines of the same event apart: one feed that fails must not hide another.
OF_WHOM = ("stage", "feed", "receiver", "lane", "group", "topic", "lease", "host", "room", "kind", "file")

_hidden: set[str] = set()
_hidden_pattern: re.Pattern[str] | None = None


def configure(*, level: str = "INFO", json: bool | None = None, stream: TextIO | None = None) -> None:
    """Send all logging to *stream* (standard error), as JSON unless that is a terminal. May be called again."""
    stream = sys.stderr if stream is None else stream
    target = _Undying(stream)
    as_json = not stream.isatty() if json is None else json
    threshold = logging.getLevelNamesMapping()[level.upper()]
    stamp: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    last: list[Processor] = [
        structlog.processors.format_exc_info,  # without local variables: they hold secrets and article bodies
        masked,
        _renderer(as_json=as_json, colours=stream.isatty()),
    ]
    structlog.configure(
        processors=[_OurRepeats(), *stamp, *last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", target)),
        cache_logger_on_first_use=False,  # loggers are made at import, before the level is known
    )
    handler = _Handler(target)
    handler.addFilter(_LibraryRepeats())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(), *stamp],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(threshold)
    for name, cap in CAPS.items():
        logging.getLogger(name).setLevel(max(cap, threshold))
    logging.captureWarnings(capture=True)


def silence(library: str) -> None:
    """Have *library* log nothing: whoever calls it tells what went wrong."""
    logging.getLogger(library).setLevel(logging.CRITICAL + 1)


def hide(secrets: Iterable[str]) -> None:
    """Never show these values, wherever they turn up; called with each secret that a configuration holds."""
    global _hidden_pattern  # noqa: PLW0603 - one process, one log
    known = [secret for secret in secrets if len(secret) >= SECRET_SHORTEST]
    _hidden.update(known, (quote(secret, safe="") for secret in known))
    longest_first = sorted(_hidden, key=len, reverse=True)
    _hidden_pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def masked(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Take the secrets out of a line: by key, by form, and by what `hide` was told."""
    return {key: _masked(key, value) for key, value in event.items()}


def without_secrets(text: str) -> str:
    """Return *text* with credentials in URLs, headers and tokens masked, and whatever `hide` was told."""
    if _hidden_pattern is not None:
        text = _hidden_pattern.sub(MASK, text)
    if len(text) > VALUE_LIMIT:
        text = f"{text[:VALUE_LIMIT]}…"
    if "://" in text:
        text = URL.sub(_url_without_secrets, text)
    if "hooks.slack" in text:
        text = SLACK_PATH.sub(rf"\g<host>{MASK}", text)
    text = BEARER.sub(rf"\g<scheme> {MASK}", text)
    return SLACK_TOKEN.sub(MASK, text)


def _masked(key: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if SECRET_KEY.search(key):
        return MASK
    if isinstance(value, str | datetime):
        return without_secrets(value if isinstance(value, str) else value.isoformat())
    if isinstance(value, dict):
        return {name: _masked(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(key, inner) for inner in value]
    return without_secrets(str(value) if isinstance(value, BaseException) else repr(value))


def _url_without_secrets(match: re.Match[str]) -> str:
    scheme, rest = match["scheme"], match["rest"]
    if scheme.partition("+")[0].lower() not in PLAIN_SCHEMES:
        return f"{scheme}://{MASK}"
    rest = USERINFO.sub(f"{MASK}@", rest)
    return f"{scheme}://" + QUERY_SECRET.sub(rf"\g<name>{MASK}", rest)


def _renderer(*, as_json: bool, colours: bool) -> Processor:
    if as_json:
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=repr)
    plain = structlog.dev.plain_traceback
    return structlog.dev.ConsoleRenderer(colors=colours, timestamp_key="time", exception_formatter=plain)


class _OurRepeats:
    """Holds back what we say again and again, from warnings on: what went right is told as often as it does."""

    def __init__(self) -> None:
        self._repeats = Repeats(OURS_FIRST)

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if method in {"debug", "info"}:
            return event
        held_back = self._repeats.held_back((event.get("event"), *(str(event.get(name)) for name in OF_WHOM)))
        if held_back is None:
            raise structlog.DropEvent
        if held_back:
            event["held_back"] = held_back
        return event


class _LibraryRepeats(logging.Filter):
    """Holds back what libraries say again and again, by its words without the values."""

    def __init__(self) -> None:
        super().__init__()
        self._repeats = Repeats(LIBRARY_FIRST)

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        held_back = self._repeats.held_back((record.name, record.levelno, str(record.msg)))
        if held_back:
            record.held_back = held_back
        return held_back is not None


class _Undying:
    """A stream whose reader may go away: a lost log line must not take a stage with it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class _Handler(logging.StreamHandler[_Undying]):
    """Ours, to be told from others when logging is configured once more."""
