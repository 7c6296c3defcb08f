"""YAML 1.2 files as plain data with places, and models made of them whose mistakes read `file:line:col: message`.

ruamel.yaml would do, but takes a second for 2,000 entries; `tocsin.yamlcore` on libyaml takes 0.06 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from tocsin import mistakes
from tocsin.errors import Problem, SettingsInvalid
from tocsin.mistakes import did_you_mean
from tocsin.quantities import Duration, Outside, Rate, Secret, SecretsFromFiles, Size, Wrong
from tocsin.yamlcore import FILE_LIMIT_BYTES, Node, child, compose, problem_at

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Document",
    "Duration",
    "Outside",
    "Path_",
    "Placed",
    "Rate",
    "Secret",
    "SecretsFromFiles",
    "Size",
    "Wrong",
    "did_you_mean",
    "load",
    "parse",
    "read",
    "validate",
]

Model = TypeVar("Model", bound=BaseModel)
Path_ = tuple[str | int, ...]


class Placed(Protocol):
    """Plain data each part of which has a place in a file: a `Document`, or several that are read as one."""

    def at(self, *path: str | int) -> Any:  # noqa: ANN401  a file may hold anything there
        """Return the data at *path*, which must be there."""
        ...

    def holds(self, *path: str | int) -> bool:
        """Whether something is written at exactly this *path*."""
        ...

    def problem(self, message: str, *path: str | int, key: bool = False) -> Problem:
        """Return *message* as a mistake that stands at *path* (or at its *key*)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML file. `data` is plain Python: dict, list, str, int, float, bool and None; aliases share their value."""

    file: str
    data: Any
    root: Node | None

    def place(self, *path: str | int, key: bool = False) -> tuple[int, int]:
        """Return line and column, from 1, of the value at *path* (or of its *key*).

        A step that is not there is passed over, so that a missing key has the place of its mapping.
        """
        node, at = self.root, self.root
        for step in path:
            found = child(node, step)
            if found is not None:
                name, node = found
                at = name if key else node
        return (at.start_mark.line + 1, at.start_mark.column + 1) if at is not None else (1, 1)

    def problem(self, message: str, *path: str | int, key: bool = False) -> Problem:
        """Return *message* as a mistake that stands at *path*."""
        line, column = self.place(*path, key=key)
        return Problem(file=self.file, line=line, column=column, message=message)

    def holds(self, *path: str | int) -> bool:
        """Whether something is written at exactly this *path*."""
        node = self.root
        for step in path:
            found = child(node, step)
            if found is None:
                return False
            node = found[1]
        return True

    def at(self, *path: str | int) -> Any:  # noqa: ANN401  a file may hold anything there
        """Return the data at *path*, which must be there."""
        data = self.data
        for step in path:
            data = data[step]
        return data


def load(path: Path) -> Document:
    """Read the one YAML document of the file at *path*.

    Raises:
        SettingsInvalid: it cannot be read, or is no YAML 1.2 of the sort we take.
    """
    return parse(read(path), file=str(path))


def read(path: Path) -> bytes:
    """Return the bytes of the file at *path*, a little more than `FILE_LIMIT_BYTES` at most.

    Raises:
        SettingsInvalid: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise SettingsInvalid([problem_at(str(path), 0, 0, f"cannot be read: {error.strerror}")]) from error


def parse(raw: bytes, *, file: str) -> Document:
    """Read *raw* as one YAML document; *file* is what mistakes are told with.

    Raises:
        SettingsInvalid: it is no YAML 1.2 of the sort we take.
    """
    root, data = compose(raw, file=file)
    return Document(file=file, data=data, root=root)


def validate(model: type[Model], document: Placed, at: Path_ = (), *, outside: Outside | None = None) -> Model:
    """Make a *model* of what stands in *document* at *at*.

    *outside* has the environment for `${NAME}` and the directory of relative secret files.

    Raises:
        SettingsInvalid: with every mistake and its place, in the order of the file.
    """
    data = document.at(*at)
    try:
        return model.model_validate({} if data is None else data, context=outside or Outside())
    except ValidationError as error:
        told = mistakes.tell(model, error, lambda path: document.holds(*at, *path))
    problems = {document.problem(mistake.message, *at, *mistake.path, key=mistake.key): None for mistake in told}
    raise SettingsInvalid(sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column)))
