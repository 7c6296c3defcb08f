"""Durations, sizes, rates and secrets as an operator writes them: `1h30m`, `20GB`, `20/day`, `${SMTP_PASSWORD}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationInfo,
    model_validator,
)
from typing_extensions import override

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

SECRET_FILE_LIMIT_BYTES: Final = 64 * 1024
SHOWN_LIMIT: Final = 60  # characters of a wrong value that a message repeats


class Wrong(ValueError):
    """A mistake at a path below the value that is being validated; `tocsin.yamlfile.validate` gives it its place."""

    def __init__(self, message: str, *at: str | int) -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What a file may refer to: environment variables, and the directory that relative secret files start from."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    directory: Path = Path()


# ---------------------------------------------------------------------------------------------------- durations

_DURATION: Final = re.compile(
    r"(?:(?P<weeks>\d{1,6})w)?(?:(?P<days>\d{1,6})d)?(?:(?P<hours>\d{1,9})h)?(?:(?P<minutes>\d{1,9})m(?!s))?"
    r"(?:(?P<seconds>\d{1,9})s)?(?:(?P<milliseconds>\d{1,9})ms)?",
    re.ASCII,
)
_DURATION_HELP: Final = "write a number and a unit, as 30s, 5m, 2h, 1d or 1h30m"


def parse_duration(text: object) -> timedelta:
    """Read `30s`, `5m`, `2h`, `1d`, `1w`, `250ms` or several of them, the larger first.

    Raises:
        ValueError: it is none of these; the message says what was found and what to write.
    """
    if isinstance(text, timedelta):
        return text
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None or not text:
        raise ValueError(f"{shown(text)} is no duration: {_DURATION_HELP}")
    return timedelta(**{unit: int(count) for unit, count in match.groupdict().items() if count})


def write_duration(duration: timedelta) -> str:
    """Say *duration* so that `parse_duration` reads it again, to the millisecond."""
    left = duration // timedelta(milliseconds=1)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(write_duration, when_used="json")]

# -------------------------------------------------------------------------------------------------------- sizes

_SIZE: Final = re.compile(r"(\d{1,18}(?:\.\d{1,6})?) ?([kKMGT]?i?)B", re.ASCII)
_SIZE_UNITS: Final = {"": 1} | {
    prefix: base**power
    for power, letters in enumerate(("kK", "M", "G", "T"), start=1)
    for letter in letters
    for prefix, base in ((letter, 1000), (f"{letter}i", 1024))
}


def parse_size(text: object) -> int:
    """Read `20GB` (powers of 1000), `64KiB` (powers of 1024) or `512B` as a number of bytes.

    Raises:
        ValueError: it is none of these; a bare number too, for whoever writes `size: 20` means no 20 bytes.
    """
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in _SIZE_UNITS:
        raise ValueError(f"{shown(text)} is no size: write a number and a unit, as 20GB, 500MB or 64KiB")
    return int(Decimal(match[1]) * _SIZE_UNITS[match[2]])


def write_size(size: int) -> str:
    """Say *size* in the largest unit of 1000 that divides it, so that `parse_size` reads it again."""
    for unit in ("T", "G", "M", "k"):
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]}{unit}B"
    return f"{size}B"


def _size(value: object, info: ValidationInfo) -> int:
    """Take an int from code (a dumped model) as it is, but not from a file."""
    return value if isinstance(value, int) and not isinstance(info.context, Outside) else parse_size(value)


Size = Annotated[int, BeforeValidator(_size), PlainSerializer(write_size, when_used="json")]

# -------------------------------------------------------------------------------------------------------- rates

_PER: Final = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
_RATE: Final = re.compile(r"(\d{1,9}) ?/ ?(\w+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in so long; both are positive."""

    count: int
    per: timedelta

    @override
    def __str__(self) -> str:
        words = [word for word, span in _PER.items() if span == self.per]
        return f"{self.count}/{words[0] if words else write_duration(self.per)}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(Annotated[Any, PlainValidator(parse_rate), PlainSerializer(str)])


def parse_rate(text: object) -> Rate:
    """Read `20/day`, `600/minute` or `5/15m`.

    Raises:
        ValueError: it is none of these, or zero.
    """
    if isinstance(text, Rate):
        return text
    match = _RATE.fullmatch(text) if isinstance(text, str) else None
    try:
        count, per = (int(match[1]), _PER.get(match[2]) or parse_duration(match[2])) if match else (0, timedelta(0))
    except ValueError:
        count, per = 0, timedelta(0)
    if count < 1 or per <= timedelta(0):
        raise ValueError(f"{shown(text)} is no rate: write a number and a span, as 20/day, 600/minute or 5/15m")
    return Rate(count, per)


# ------------------------------------------------------------------------------------------------------ secrets

_VARIABLE: Final = re.compile(r"(\$)?\$\{([^{}]*)\}")
_VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def _expand(value: object, info: ValidationInfo) -> object:
    """Put environment variables into a secret: `${NAME}`; `$${` stands for a plain `${`. No message shows the value."""
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str):
        raise ValueError(f"expected text, found {kind(value)}: put quotes around it")  # noqa: TRY004  pydantic collects ValueError only
    environment = info.context.environment if isinstance(info.context, Outside) else {}

    def put(match: re.Match[str]) -> str:
        escaped, name = match.groups()
        if escaped:
            return f"${{{name}}}"
        if not _VARIABLE_NAME.fullmatch(name):
            raise ValueError("${…} must hold the name of an environment variable; write $${ for a plain ${")
        if name not in environment:
            raise ValueError(f"the environment variable {name} is not set")
        return environment[name]

    expanded = _VARIABLE.sub(put, value)
    if not expanded:
        raise ValueError("this secret is empty")
    return SecretStr(expanded)


Secret = Annotated[SecretStr, BeforeValidator(_expand)]


class SecretsFromFiles(BaseModel):
    """A model each of whose `Secret` fields may be given as `<name>_file: PATH` instead.

    The file is read when the settings are; line breaks at its end are dropped.
    """

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, data: Any, info: ValidationInfo) -> Any:  # noqa: ANN401  pydantic hands over what stood in the file
        if not isinstance(data, Mapping):
            return data
        given = dict(data)
        for name in secret_names(cls):
            from_file = f"{name}_file"
            if from_file not in given:
                continue
            if name in given:
                raise Wrong(f"give {name!r} or {from_file!r}, not both", from_file)
            given[name] = _secret_from(given.pop(from_file), from_file, info)
        return given


def secret_names(model: type[BaseModel]) -> list[str]:
    """Return the keys of *model* whose value is a secret."""
    return [
        field_info.alias or name
        for name, field_info in model.model_fields.items()
        if SecretStr in (field_info.annotation, *_members(field_info.annotation))
    ]


def _members(annotation: object) -> list[object]:
    return [inner for member in get_args(annotation) for inner in (member, *_members(member))]


def _secret_from(path: object, key: str, info: ValidationInfo) -> SecretStr:
    if not isinstance(path, str) or not path:
        raise Wrong(f"expected the path of a file, found {kind(path)}", key)
    directory = info.context.directory if isinstance(info.context, Outside) else Path()
    file = directory / path
    try:
        with file.open("rb") as stream:
            raw = stream.read(SECRET_FILE_LIMIT_BYTES + 1)
        secret = raw.decode("utf-8").rstrip("\r\n")
    except OSError as error:
        raise Wrong(f"cannot read {str(file)!r}: {error.strerror}", key) from error
    except UnicodeDecodeError:
        raise Wrong(f"{str(file)!r} is not UTF-8 text", key) from None  # the cause would show the bytes
    if len(raw) > SECRET_FILE_LIMIT_BYTES:
        raise Wrong(f"{str(file)!r} is larger than {SECRET_FILE_LIMIT_BYTES} bytes", key)
    if not secret:
        raise Wrong(f"{str(file)!r} is empty", key)
    return SecretStr(secret)


# ------------------------------------------------------------------------------------------------------ wording


_KINDS: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (type(None), "nothing"),
    (bool, "true or false"),  # before int, which it is
    ((int, float), "a number"),
    ((str, SecretStr), "text"),
    (Mapping, "a mapping"),
    ((list, tuple), "a list"),
)


def kind(value: object) -> str:
    """Say what sort of thing stands there, without showing it."""
    return next((word for sort, word in _KINDS if isinstance(value, sort)), type(value).__name__)


def shown(value: object) -> str:
    """Show a short plain value as it stood; of a longer one say only what it is."""
    if isinstance(value, str):
        return repr(value) if len(value) <= SHOWN_LIMIT else f"{value[:SHOWN_LIMIT]!r}…"
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else kind(value)
