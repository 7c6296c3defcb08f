"""The files of a configuration: the shipped ones, overlaid file by file by the operator's own, read as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tocsin.errors import Problem, SettingsInvalid
from tocsin.mistakes import did_you_mean
from tocsin.records import digest
from tocsin.yamlfile import Document, Path_, parse, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RULES: Final = "rules"
LEXICONS: Final = "lexicons"
PACKS: Final = "packs"
TESTS: Final = f"{RULES}/tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """One file: its name relative to the configuration, and whether it is the operator's own."""

    name: str
    path: Path
    own: bool


def config_files(shipped: Path, own: Path | None) -> list[ConfigFile]:
    """Return the files that count, by name: a file of *own* replaces the shipped one of the same name.

    Raises:
        SettingsInvalid: *own* is no directory, holds nothing, or a `.yml`, which would replace nothing.
    """
    if own is not None and not own.is_dir():
        raise SettingsInvalid([_about(own, "there is no such directory of configuration")])
    found = {file.name: file for file in _listed(shipped, own=False)}
    if own is not None and own.resolve() != shipped.resolve():
        theirs = {file.name: file for file in _listed(own, own=True)}
        if not theirs:
            raise SettingsInvalid([_about(own, "this directory holds no configuration: no *.yaml, no rules/*.yaml")])
        found |= theirs
    misnamed = [file for file in found.values() if file.path.suffix == ".yml"]
    if misnamed:
        raise SettingsInvalid([_about(file.path, f"name it {file.path.stem}.yaml") for file in misnamed])
    return [found[name] for name in sorted(found)]


def pack_files(shipped: Path, own: Path | None) -> dict[str, ConfigFile]:
    """Return the packs that there are, by the name that `tocsin: packs:` gives them."""
    found = {file.path.stem: file for file in _listed(shipped, PACKS, own=False)}
    if own is not None and own.resolve() != shipped.resolve():
        found |= {file.path.stem: file for file in _listed(own, PACKS, own=True)}
    return found


def test_files(shipped: Path, own: Path | None) -> list[ConfigFile]:
    """Return the files of tests, by name: a file of *own* replaces the shipped one of the same name."""
    found = {file.name: file for file in _listed(shipped, TESTS, own=False)}
    if own is not None and own.resolve() != shipped.resolve():
        found |= {file.name: file for file in _listed(own, TESTS, own=True)}
    return [found[name] for name in sorted(found)]


def _listed(directory: Path, *names: str, own: bool) -> Iterator[ConfigFile]:
    for folder in (directory / name for name in names or ("", RULES, LEXICONS)):
        for path in sorted((*folder.glob("*.yaml"), *folder.glob("*.yml"))):
            if not path.name.startswith(".") and path.is_file():
                yield ConfigFile(name=path.relative_to(directory).as_posix(), path=path, own=own)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Top-level keys of several files as if they stood in one.

    `parts` has for each key the documents that hold it; only lists (the rules) may come from several.
    `home` is told where a mistake has no place at all: a key that no file has.
    """

    parts: Mapping[str, tuple[Document, ...]]
    home: Path

    def holds(self, *path: str | int) -> bool:
        """Whether something is written at exactly this *path*."""
        located = self._located(path)
        return located is not None and located[0].holds(*located[1])

    def at(self, *path: str | int) -> Any:  # noqa: ANN401  a file may hold anything there
        """Return the data at *path*, which must be there."""
        if not path:
            return {key: self.at(key) for key in self.parts}
        if len(path) == 1 and len(self.parts[str(path[0])]) > 1:
            return [item for document in self.parts[str(path[0])] for item in document.at(path[0])]
        located = self._located(path)
        if located is None:
            raise KeyError(path)
        return located[0].at(*located[1])

    def problem(self, message: str, *path: str | int, key: bool = False) -> Problem:
        """Return *message* as a mistake that stands at *path*, in whichever file that is."""
        located = self._located(path)
        return _about(self.home, message) if located is None else located[0].problem(message, *located[1], key=key)

    def only(self, *keys: str) -> Gathered:
        """Return these keys, as far as some file has them."""
        return Gathered(parts={key: self.parts[key] for key in keys if key in self.parts}, home=self.home)

    def _located(self, path: Path_) -> tuple[Document, Path_] | None:
        documents = self.parts.get(str(path[0]), ()) if path else ()
        if len(documents) > 1 and len(path) > 1 and isinstance(path[1], int):
            index = path[1]
            for document in documents:
                items = document.at(path[0])
                if index < len(items):
                    return document, (path[0], index, *path[2:])
                index -= len(items)
            return None
        return (documents[0], path) if documents else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Every file of a configuration, read. `version` changes with any byte of any of them.

    `is_complete` says that each was YAML: while one is not, nobody can say what refers to nothing.
    """

    gathered: Gathered
    lexicons: Mapping[str, Document]
    files: tuple[ConfigFile, ...]
    version: str
    is_complete: bool
    problems: tuple[Problem, ...]


def read_files(shipped: Path, own: Path | None, *, keys: Iterable[str], every_pack: bool = False) -> Read:
    """Read the files that count. A file that is no YAML is told in `problems`, and the others are read all the same.

    Of the packs those count that `tocsin: packs:` names, or with *every_pack* all.

    Raises:
        SettingsInvalid: *own* is no directory of configuration.
    """
    files = config_files(shipped, own)
    packs = pack_files(shipped, own)
    known = tuple(keys)
    problems: list[Problem] = []
    parts: dict[str, list[Document]] = {}
    lexicons: dict[str, Document] = {}
    seen: list[str] = []
    is_complete = True
    waiting = [*files, None]
    for file in waiting:
        if file is None:
            wanted, unknown = _packs(parts, packs, every=every_pack)
            problems += unknown
            waiting += wanted
            files += wanted
            continue
        try:
            raw = read(file.path)
            seen += [file.name, digest(raw.hex())]
            document = parse(raw, file=str(file.path))
        except SettingsInvalid as error:
            problems += error.problems
            is_complete = False
            continue
        if file.name.startswith(f"{LEXICONS}/"):
            lexicons[file.path.stem] = document
        elif isinstance(document.data, dict):
            allowed = (RULES,) if file.name.startswith((f"{RULES}/", f"{PACKS}/")) else known
            problems += _take(document, allowed, parts)
        elif document.data is not None:
            problems.append(document.problem("expected a mapping with keys such as 'sources' or 'rules'"))
    return Read(
        gathered=Gathered(parts={key: tuple(documents) for key, documents in parts.items()}, home=own or shipped),
        lexicons=lexicons,
        files=tuple(files),
        version=digest(*seen),
        is_complete=is_complete,
        problems=tuple(problems),
    )


def _packs(
    parts: Mapping[str, list[Document]], packs: Mapping[str, ConfigFile], *, every: bool
) -> tuple[list[ConfigFile], list[Problem]]:
    """Return the packs that were asked for, and a mistake for each that is none."""
    chosen = list(packs) if every else []
    problems = []
    for document in parts.get("tocsin", ()):
        section = document.at("tocsin")
        names = section.get("packs") if isinstance(section, dict) else None
        for index, name in enumerate(names if isinstance(names, list) else ()):
            if name in packs:
                chosen.append(name)
            elif isinstance(name, str):
                hint = did_you_mean(name, packs) or f": there are {', '.join(packs)}"
                problems.append(document.problem(f"no pack {name!r}{hint}", "tocsin", "packs", index))
    return [packs[name] for name in dict.fromkeys(chosen)], problems


def _take(document: Document, allowed: tuple[str, ...], parts: dict[str, list[Document]]) -> Iterator[Problem]:
    """Put each key of *document* among *parts*, and yield what is wrong with it."""
    for key, value in document.data.items():
        if key not in allowed:
            yield document.problem(f"unknown key {str(key)!r}{did_you_mean(key, allowed)}", key, key=True)
        elif value is None:
            continue
        elif key == RULES:
            if isinstance(value, list):
                parts.setdefault(key, []).append(document)
            else:
                yield document.problem("expected a list of rules", key)
        elif key in parts:
            first = parts[key][0].file
            message = f"{key!r} stands in {first} too: give this file the name {Path(first).name!r} to replace that one"
            yield document.problem(message, key, key=True)
        else:
            parts[key] = [document]


def _about(path: Path, message: str) -> Problem:
    return Problem(file=str(path), line=1, column=1, message=message)
