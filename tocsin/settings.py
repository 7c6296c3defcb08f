"""Everything an operator decided, gathered. Each room owns the settings that it reads; this page brings them together.

`load_settings` reads the shipped files overlaid by the operator's, makes the rooms' models, and adds what no room can
see alone (`tocsin.crosschecks`). Nobody but the command line knows the environment: it hands it in.
"""

from __future__ import annotations

import os
import zoneinfo
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator

from bursts.settings import BurstsSettings
from detectors.engine import DetectorsConfig
from detectors.lexicon import check
from detectors.rules import compiled
from detectors.settings import LexiconSettings, RuleFile
from incidents.settings import IncidentsSettings
from ingest.settings import PollingSettings, SourcesSettings
from notifier.settings import NotifierSettings
from tocsin.configfiles import RULES, ConfigFile, Read, read_files
from tocsin.crosschecks import cross_checks
from tocsin.errors import Problem, SettingsInvalid
from tocsin.mistakes import did_you_mean
from tocsin.quantities import Wrong, kind
from tocsin.store.settings import PostgresqlSettings
from tocsin.stream.settings import KafkaSettings
from tocsin.yamlfile import Outside, Path_, Placed, Size, validate
from web.settings import WebSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

KEYS: Final = ("tocsin", "sources", "bursts", "incidents", *NotifierSettings.model_fields, RULES)

NO_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType({})

Model = TypeVar("Model", bound=BaseModel)
_CLOSED: Final = ConfigDict(frozen=True, extra="forbid")


def shipped() -> Path:
    """Return where the shipped configuration is: beside this module in a wheel, beside the rooms in a checkout."""
    here = Path(__file__).resolve().parent
    packed = here / "defaults"
    return packed if packed.is_dir() else here.parent / "config"


# ---------------------------------------------------------------------------------------------------- the tocsin key


def _timezone(name: object) -> object:
    if not isinstance(name, str):
        raise ValueError(f"expected the name of a time zone, found {kind(name)}")  # noqa: TRY004  pydantic collects ValueError only
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no time zone {name!r}{_near_timezone(name)}") from None
    return name


def _near_timezone(name: str) -> str:
    zones = zoneinfo.available_timezones()
    cities = {zone.rpartition("/")[2]: zone for zone in sorted(zones)}
    found = cities.get(name.strip().title().replace(" ", "_"))
    return f", did you mean {found!r}?" if found else did_you_mean(name, zones)


def _cores_but_one() -> int:
    """Leave one core to the parent, which polls, stores and sends."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores - 1)


class KeepSettings(BaseModel):
    """How long the archive keeps what has passed: the older or larger of both goes first."""

    model_config = _CLOSED

    days: Annotated[int, Field(ge=1, le=36_500)] = 90
    size: Annotated[Size, Field(ge=10_000_000)] = 20_000_000_000


class TocsinSettings(BaseModel):
    """The `tocsin` key: the service as a whole."""

    model_config = _CLOSED

    timezone: Annotated[str, BeforeValidator(_timezone)] = "UTC"
    mode: Literal["embedded", "cluster"] = "embedded"
    kafka: KafkaSettings | None = None
    postgresql: PostgresqlSettings | None = None
    workers: Annotated[int, Field(ge=1, le=256)] = Field(default_factory=_cores_but_one)
    keep: KeepSettings = KeepSettings()
    web: WebSettings = WebSettings()
    polling: PollingSettings = PollingSettings()
    packs: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _is_one_mode_or_the_other(self) -> Self:
        for name, part in (("kafka", self.kafka), ("postgresql", self.postgresql)):
            if self.mode == "cluster" and part is None:
                raise Wrong(f"mode cluster needs {name}: see docs/cluster.md", "mode")
            if self.mode == "embedded" and part is not None:
                raise Wrong(f"{name} belongs to mode: cluster, and this is mode: embedded", name)
        return self


# ------------------------------------------------------------------------------------------------------- everything


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One whole and checked configuration. `version` changes with any byte of its files; secrets show in no repr."""

    tocsin: TocsinSettings
    sources: SourcesSettings
    bursts: BurstsSettings
    incidents: IncidentsSettings
    notifier: NotifierSettings
    detectors: DetectorsConfig = field(repr=False)
    data_dir: Path
    files: tuple[ConfigFile, ...] = field(repr=False)
    version: str

    def listening_on(self, listen: str) -> Settings:
        """Return the same settings with the web on *listen*; raises SettingsInvalid when it may not be there."""
        try:
            web = WebSettings.model_validate({**dict(self.tocsin.web), "listen": listen})
        except ValidationError as error:
            told = error.errors(include_input=False, include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise SettingsInvalid([Problem(file="--listen", line=1, column=1, message=told)]) from error
        return replace(self, tocsin=self.tocsin.model_copy(update={"web": web}))

    def secrets(self) -> tuple[str, ...]:
        """Return the value of every secret, for those who must never show one."""
        return tuple(_secrets((self.tocsin, self.sources, self.incidents, self.notifier)))


def load_settings(
    own: Path | None,
    *,
    data_dir: Path,
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    compiled: str = "",
    every_pack: bool = False,
) -> Settings:
    """Read the shipped files overlaid by those of *own*, and check everything.

    A relative secret file starts at *data_dir*; `${NAME}` in a secret is looked up in *environment*. Rules of the
    version *compiled* are known to compile: to try that again is what takes longest here. Where a stranger's code is
    among them it is tried all the same. With *every_pack*, packs count that nobody asked for, too.

    Raises:
        SettingsInvalid: with every mistake of every file.
    """
    read = read_files(shipped(), own, keys=KEYS, every_pack=every_pack)
    outside = Outside(environment=environment, directory=data_dir)
    told = _Mistakes(read.problems)
    if read.is_complete:
        told.add(cross_checks(read.gathered, read.lexicons))
    settings = Settings(
        tocsin=told.model(TocsinSettings, read.gathered, ("tocsin",), outside),
        sources=told.model(SourcesSettings, read.gathered, ("sources",), outside),
        bursts=told.model(BurstsSettings, read.gathered, ("bursts",), outside),
        incidents=told.model(IncidentsSettings, read.gathered, ("incidents",), outside),
        notifier=told.model(NotifierSettings, read.gathered.only(*NotifierSettings.model_fields), (), outside),
        detectors=DetectorsConfig.of(
            told.model(RuleFile, read.gathered.only(RULES), (), outside).rules,
            tuple(told.each(LexiconSettings, read.lexicons.values(), outside)),
        ),
        data_dir=data_dir,
        files=read.files,
        version=read.version,
    )
    if settings.detectors.version != compiled or any(rule.python for rule in settings.detectors.rules):
        told.add(_uncompilable(read, settings.detectors))
    told.raise_if_any()
    return settings


def _uncompilable(read: Read, detectors: DetectorsConfig) -> Iterator[Problem]:
    """Find what only compiling shows: a query, a pattern or an entry that says nothing."""
    for index, rule in enumerate(detectors.rules):
        try:
            compiled(rule)
        except SettingsInvalid as error:
            message = error.problems[0].message.removeprefix(f"rule {rule.id!r}: ")
            way = next((way for way in ("query", "patterns", "keywords", "python") if getattr(rule, way)), "id")
            yield read.gathered.problem(message.removeprefix("python: "), RULES, index, way)
    for lexicon in detectors.lexicons:
        try:
            check(lexicon)
        except ValueError as error:
            document = next(each for each in read.lexicons.values() if each.data["language"] == lexicon.language)
            yield document.problem(str(error))


def _secrets(value: object) -> Iterator[str]:
    """Walk through models and what they hold."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        yield from _secrets(tuple(getattr(value, name) for name in type(value).model_fields))
    elif isinstance(value, dict):
        yield from _secrets(tuple(value.values()))
    elif isinstance(value, tuple | list | frozenset | set):
        for item in value:
            yield from _secrets(item)


class _Mistakes:
    """Collects mistakes, so that all are told at once. What is known already of a place is not told again."""

    def __init__(self, known: Iterable[Problem]) -> None:
        self._found: list[Problem] = []
        self.add(known)

    def model(self, model: type[Model], placed: Placed, at: Path_, outside: Outside) -> Model:
        """Make the model; after a mistake return one that is only good to go on checking with."""
        if at and not placed.holds(*at):
            return model()
        try:
            return validate(model, placed, at, outside=outside)
        except SettingsInvalid as error:
            self.add(error.problems)
            return model.model_construct()

    def each(self, model: type[Model], documents: Iterable[Placed], outside: Outside) -> Iterator[Model]:
        """Make the model of each document that is right."""
        for document in documents:
            try:
                yield validate(model, document, outside=outside)
            except SettingsInvalid as error:
                self.add(error.problems)

    def add(self, problems: Iterable[Problem]) -> None:
        """Add those of *problems* that stand where nothing was wrong before."""
        known = {(problem.file, problem.line, problem.column) for problem in self._found}
        self._found += [one for one in problems if (one.file, one.line, one.column) not in known]

    def raise_if_any(self) -> None:
        if self._found:
            raise SettingsInvalid(sorted(self._found, key=lambda problem: (problem.file, problem.line, problem.column)))
