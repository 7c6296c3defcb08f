"""What pydantic found wrong, in an operator's words: where, what, and what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeGuard, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from tocsin.quantities import SecretsFromFiles, kind, secret_names, shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Path_ = tuple[str | int, ...]

MEANT: Final = ", did you mean "
LISTED_LIMIT: Final = 12  # names that a message lists when none of them is near


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing wrong at *path*; `key` says that the key is wrong and not its value, `missing` that there is none."""

    path: Path_
    message: str
    key: bool = False
    missing: str | None = None


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` for the nearest of *known*, else a short list of them, else nothing."""
    names = list(dict.fromkeys(known))
    near = difflib.get_close_matches(str(word).casefold(), [name.casefold() for name in names], n=1, cutoff=0.6)
    if near:
        return f"{MEANT}{next(name for name in names if name.casefold() == near[0])!r}?"
    return f" (known: {', '.join(sorted(names))})" if 0 < len(names) <= LISTED_LIMIT else ""


def tell(model: type[BaseModel], error: ValidationError, holds: Callable[[Path_], bool]) -> list[Mistake]:
    """Translate *error*; *holds* says whether the file has something at a path (a union's labels are not in it)."""
    details = error.errors(include_url=False)
    told = [_told(model, one, holds) for one in _likeliest_branches(details, holds)]
    meant = {(one.path[:-1], one.message.rpartition(MEANT)[2]) for one in told if one.key and MEANT in one.message}
    return [one for one in told if one.missing is None or (one.path[:-1], f"{one.missing!r}?") not in meant]


def _told(model: type[BaseModel], error: ErrorDetails, holds: Callable[[Path_], bool]) -> Mistake:
    path, context, value = error["loc"], error.get("ctx", {}), error["input"]
    if path and path[-1] == "[key]":
        return Mistake(path=path[:-1], message=_message(error, path[-2]), key=True)
    match error["type"]:
        case "extra_forbidden":
            known = [name for each in _models(model, path[:-1]) for name in _keys(each)]
            return Mistake(path=path, message=f"unknown key {str(path[-1])!r}{did_you_mean(path[-1], known)}", key=True)
        case "missing":
            or_file = f"{path[-1]}_file" in [name for each in _models(model, path[:-1]) for name in _keys(each)]
            message = f"missing key {path[-1]!r}" + (f" (or '{path[-1]}_file')" if or_file else "")
            return Mistake(path=path, message=message, missing=str(path[-1]))
        case "union_tag_not_found":
            return Mistake(path=path, message=f"missing key {context['discriminator']}")
        case "union_tag_invalid":
            at = (*path, context["discriminator"].strip("'"))
            near = did_you_mean(context["tag"], _quoted(context["expected_tags"]))
            return Mistake(path=at, message=f"unknown {at[-1]} {shown(context['tag'])}{near}")
        case _:
            within = getattr(context.get("error"), "at", ())
            at = (*path, *within)
            return Mistake(path=at, message=_message(error, value), key=not holds(at) and holds(at[:-1]))


def _message(error: ErrorDetails, value: object) -> str:
    """Say what was expected. Only words of a fixed list are repeated: any other value may be a secret."""
    context = error.get("ctx", {})
    match error["type"]:
        case "enum" | "literal_error":
            known = _quoted(context["expected"])
            return f"{shown(value)} is not known here{did_you_mean(value, known)}"
        case "string_type" if isinstance(value, bool | int | float):
            return f"expected text, found {kind(value)}: put quotes around it"
        case "value_error" | "assertion_error":
            return str(context["error"])
        case "string_pattern_mismatch":
            return f"{shown(value)} does not fit the pattern {context['pattern']}"
        case found if found in _EXPECTED:
            return f"expected {_EXPECTED[found]}, found {kind(value)}"
        case _:
            message = error["msg"]
            return message[:1].lower() + message[1:]


_EXPECTED: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
}


def _quoted(expected: str) -> list[str]:
    """Return the words of pydantic's "'a', 'b' or 'c'"."""
    return re.findall(r"'([^']*)'", expected)


# ---------------------------------------------------------------------------------------------------- the models


def _keys(model: type[BaseModel]) -> list[str]:
    """Return every key that *model* takes."""
    files = [f"{name}_file" for name in secret_names(model)] if issubclass(model, SecretsFromFiles) else []
    return [field.alias or name for name, field in model.model_fields.items()] + files


def _models(model: type[BaseModel], path: Path_) -> list[type[BaseModel]]:
    """Return the models that may stand at *path*; steps that only name a branch of a union narrow the choice."""
    candidates: list[object] = [model]
    for step in path:
        models = [each for each in candidates if _is_model(each)]
        fields = [
            field.annotation
            for each in models
            for name, field in each.model_fields.items()
            if step in (name, field.alias)
        ]
        branches = [each for each in models if _is_branch(each, step)]
        items = [inner for each in candidates for inner in _items(each)]
        found = fields or branches or items
        candidates = [inner for each in found for inner in _alternatives(each)] or candidates
    return [each for each in candidates if _is_model(each)]


def _is_model(annotation: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_branch(model: type[BaseModel], step: str | int) -> bool:
    """Whether pydantic calls this branch of a union so: by tag, as `Model` or as `function-after[check(), Model]`."""
    if model.__name__ in re.findall(r"\w+", str(step)):
        return True
    tags = [field.annotation for field in model.model_fields.values() if get_origin(field.annotation) is Literal]
    return any(step in get_args(tag) for tag in tags)


def _items(annotation: object) -> list[object]:
    """Return what a list or a mapping holds."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return [arguments[-1]]
    if isinstance(origin, type) and issubclass(origin, Collection):
        return [argument for argument in arguments if argument is not Ellipsis]
    return []


def _alternatives(annotation: object) -> Iterator[object]:
    """Yield the members of a union, through Annotated."""
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _alternatives(member)
    else:
        yield annotation


# ---------------------------------------------------------------------------------------------------- the unions


def _likeliest_branches(errors: Sequence[ErrorDetails], holds: Callable[[Path_], bool]) -> Iterator[ErrorDetails]:
    """Of a union without a tag pydantic tells the mistakes of every branch; keep the branch that was nearly right."""
    unions: dict[Path_, dict[str | int, list[ErrorDetails]]] = {}
    for error in errors:
        label = _label(error, holds)
        if label is None:
            yield error
        else:
            unions.setdefault(error["loc"][:label], {}).setdefault(error["loc"][label], []).append(error)
    for path, branches in unions.items():
        yield from min(branches.values(), key=lambda branch: _distance(branch, len(path) + 1))


def _distance(branch: Sequence[ErrorDetails], depth: int) -> tuple[bool, int]:
    """Say how wrong *branch* was; one that wanted another sort of value altogether is farthest."""
    return any(error["type"] in _EXPECTED and len(error["loc"]) <= depth for error in branch), len(branch)


def _label(error: ErrorDetails, holds: Callable[[Path_], bool]) -> int | None:
    """Return where in its path *error* names a branch of a union: a step that is not in the file."""
    path = error["loc"]
    missing = error["type"] == "missing"
    for index in range(len(path) - missing):
        if not holds(path[: index + 1]):
            return index if path[index] != "[key]" else None
    return None
