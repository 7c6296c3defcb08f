"""Bytes to plain data by the core schema of YAML 1.2 (10.3.2), with libyaml's nodes for the places.

libyaml reads YAML 1.1, where `NO` is False and `22:00` is 1320, so it only builds nodes, and the scalars are resolved
here. What is hostile (aliases that multiply, nesting without end) or a trap (keys twice, merge keys) is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml
from yaml._yaml import CParser
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tocsin.errors import Problem, SettingsInvalid

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

__all__ = ["FILE_LIMIT_BYTES", "Node", "child", "compose", "problem_at"]

FILE_LIMIT_BYTES: Final = 64 * 1024 * 1024
DEPTH_LIMIT: Final = 64
ALIASED_LIMIT: Final = 10_000  # values that aliases may add to those that are written out
NUMBER_LIMIT: Final = 300  # digits; int() of a million digits takes seconds

_CORE_TAG: Final = "tag:yaml.org,2002:"
_PLAIN: Final = "plain"  # the tag we give to a scalar without quotes and without a tag
_NULL: Final = {"", "~", "null", "Null", "NULL"}
_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_MAYBE_NUMBER: Final = frozenset("+-.0123456789")
_INT: Final = re.compile(r"(?:([-+]?[0-9]+)|0o([0-7]+)|0x([0-9a-fA-F]+))", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_INFINITE: Final = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN: Final = {".nan", ".NaN", ".NAN"}
# YAML 1.2 (5.1) allows no other characters; those of the second class break lines for libyaml and not for YAML 1.2.
_FORBIDDEN: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\x85\u2028\u2029]"
)


def compose(raw: bytes, *, file: str) -> tuple[Node | None, Any]:
    """Read *raw* as one YAML document; return its root node and its data, both None when there is nothing in it.

    Raises:
        SettingsInvalid: it is no YAML 1.2 of the sort we take.
    """
    text = _decoded(raw, file)
    try:
        composer = _Composer(text)
        try:
            root = composer.get_single_node()
        finally:
            composer.dispose()
        data = _Reader().read(root) if root is not None else None
    except _Refused as error:
        raise SettingsInvalid([problem_at(file, *error.at, str(error))]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = (mark.line, mark.column) if mark else (0, 0)
        raise SettingsInvalid([problem_at(file, *at, _syntax(error, text.splitlines(), *at))]) from None
    except yaml.YAMLError as error:
        raise SettingsInvalid([problem_at(file, 0, 0, f"no YAML: {error}")]) from None
    return root, data


class _Refused(Exception):
    """YAML that libyaml takes and we do not."""

    def __init__(self, message: str, node: Node) -> None:
        super().__init__(message)
        self.at = (node.start_mark.line, node.start_mark.column)


class _Composer(CParser):
    """libyaml's parser, building nodes whose plain scalars are still to be resolved.

    The C composer recurses for each level, so the depth is counted as it goes down, before the stack ends.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def descend_resolver(self, parent: Node | None, _index: object) -> None:
        self._depth += 1
        if self._depth > DEPTH_LIMIT and parent is not None:
            raise _Refused(f"nested more than {DEPTH_LIMIT} levels deep", parent)

    def ascend_resolver(self) -> None:
        self._depth -= 1

    def resolve(self, kind: type[Node], _value: object, implicit: tuple[bool, bool] | bool) -> str:
        if kind is ScalarNode:
            return _PLAIN if isinstance(implicit, tuple) and implicit[0] else f"{_CORE_TAG}str"
        return f"{_CORE_TAG}map" if kind is MappingNode else f"{_CORE_TAG}seq"


class _Reader:
    """Makes plain data of nodes. A node met again through an alias gives the same object, and counts in full."""

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, int]] = {}
        self._open: set[int] = set()
        self._aliased = 0

    def read(self, node: Node) -> Any:  # noqa: ANN401  a file may hold anything
        return self._value(node)[0]

    def _value(self, node: Node) -> tuple[Any, int]:
        known = self._done.get(id(node))
        if known is not None:
            self._aliased += known[1]
            if self._aliased > ALIASED_LIMIT:
                raise _Refused(f"aliases repeat more than {ALIASED_LIMIT} values", node)
            return known
        if id(node) in self._open:
            raise _Refused("an alias stands inside its own anchor", node)
        if isinstance(node, ScalarNode):
            value: tuple[Any, int] = (_scalar(node), 1)
        else:
            self._open.add(id(node))
            value = self._mapping(node) if isinstance(node, MappingNode) else self._sequence(node)
            self._open.discard(id(node))
        self._done[id(node)] = value
        return value

    def _sequence(self, node: Node) -> tuple[list[Any], int]:
        if node.tag != f"{_CORE_TAG}seq":
            raise _Refused(f"the tag {_tag(node)} does not fit a list", node)
        values = [self._value(item) for item in node.value]
        return [value for value, _ in values], 1 + sum(size for _, size in values)

    def _mapping(self, node: Node) -> tuple[dict[Hashable, Any], int]:
        if node.tag != f"{_CORE_TAG}map":
            raise _Refused(f"the tag {_tag(node)} does not fit a mapping", node)
        mapping: dict[Hashable, Any] = {}
        total = 1
        for name, item in node.value:
            if not isinstance(name, ScalarNode):
                raise _Refused("a key must be a single word or text", name)
            if name.tag == _PLAIN and name.value == "<<":
                raise _Refused("YAML 1.2 has no merge key '<<': write the keys out", name)
            key = _scalar(name)
            if key in mapping:
                first = next(other for other, _ in node.value if _scalar(other) == key)
                raise _Refused(
                    f"the key {name.value!r} stands here twice, first in line {first.start_mark.line + 1}", name
                )
            mapping[key], size = self._value(item)
            total += size + 1
        return mapping, total


def _scalar(node: ScalarNode) -> str | int | float | bool | None:
    """Resolve by the core schema; a `!!tag` must be one of it and fit."""
    text: str = node.value
    if node.tag == f"{_CORE_TAG}str" or (node.tag == _PLAIN and node.style):  # libyaml calls `! '12'` plain
        return text
    value = _resolved(text, node)
    if node.tag == _PLAIN:
        return value
    match node.tag.removeprefix(_CORE_TAG), value:
        case ("null", None) | ("bool", bool()) | ("float", float()):
            return value
        case "int", int() if not isinstance(value, bool):
            return value
        case "float", int() if not isinstance(value, bool):
            return float(value)
        case ("null" | "bool" | "int" | "float") as name, _:
            raise _Refused(f"{text!r} is no {name}, as its tag says", node)
        case _:
            raise _Refused(f"the tag {_tag(node)} is not known here; put quotes around text that begins with '!'", node)


def _resolved(text: str, node: Node) -> str | int | float | bool | None:
    if text[:1] not in _MAYBE_NUMBER:
        return None if text in _NULL else _BOOL.get(text, text)
    if match := _INT.fullmatch(text):
        if len(text) > NUMBER_LIMIT:
            raise _Refused(f"a number of more than {NUMBER_LIMIT} digits; put quotes around it if it is text", node)
        decimal, octal, hexadecimal = match.groups()
        return int(decimal) if decimal else int(octal, 8) if octal else int(hexadecimal, 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if match := _INFINITE.fullmatch(text):
        return float(f"{match[1]}inf")
    return float("nan") if text in _NAN else text


def _tag(node: Node) -> str:
    return f"!!{node.tag.removeprefix(_CORE_TAG)}" if node.tag.startswith(_CORE_TAG) else node.tag


def child(node: Node | None, step: str | int) -> tuple[Node, Node] | None:
    """Return the nodes of key and value; an item of a list is its own key."""
    if isinstance(node, MappingNode):
        return next(((name, item) for name, item in node.value if name.value == str(step)), None)
    if isinstance(node, SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
        return node.value[step], node.value[step]
    return None


# ------------------------------------------------------------------------------------------------------- wording


def _decoded(raw: bytes, file: str) -> str:
    if len(raw) > FILE_LIMIT_BYTES:
        raise SettingsInvalid([problem_at(file, 0, 0, f"larger than {FILE_LIMIT_BYTES // 1024**2} MiB")])
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise SettingsInvalid([problem_at(file, 0, 0, "this is UTF-16: save the file as UTF-8")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8-sig")
        message = f"the byte 0x{raw[error.start]:02x} is not UTF-8: save the file as UTF-8"
        raise SettingsInvalid([problem_at(file, *_end(before), message)]) from None
    if found := _FORBIDDEN.search(text):
        code = f"{ord(found[0]):04X}"
        message = f"the character U+{code} is not allowed here: write it as \\u{code} in double quotes"
        raise SettingsInvalid([problem_at(file, *_end(text[: found.start()]), message)])
    return text


def _end(text: str) -> tuple[int, int]:
    """Return line and column after *text*, from 0."""
    lines = re.split(r"\r\n|\r|\n", text)
    return len(lines) - 1, len(lines[-1])


def _syntax(error: yaml.MarkedYAMLError, lines: Sequence[str], line: int, column: int) -> str:
    """Say what libyaml found in the words of somebody who writes the file."""
    problem = error.problem or "no YAML"
    if problem == "found character that cannot start any token":
        first = lines[line][column : column + 1]
        return "a tab cannot indent YAML: use spaces" if first == "\t" else f"put quotes around a value with {first!r}"
    if problem == "found unexpected end of stream" and "quoted" in (error.context or "") and error.context_mark:
        return f"the quote that opened in line {error.context_mark.line + 1} is not closed"
    context = f" ({error.context})" if error.context else ""
    return _HINTS.get(problem, f"{problem}{context}")


_HINTS: Final = {
    "mapping values are not allowed in this context": (
        "a key is not possible here: is the indentation right, or does a text with ': ' lack its quotes?"
    ),
    "did not find expected key": "expected a key: is the indentation the same as above?",
    "did not find expected '-' indicator": "expected a list item: is the indentation the same as above?",
    "found undefined alias": "no anchor has this name: put quotes around a text that begins with '*'",
    "second occurrence": "this anchor exists already: give it another name",
    "but found another document": "a second document begins here: one file holds one",
}


def problem_at(file: str, line: int, column: int, message: str) -> Problem:
    """Return *message* as a mistake at *line* and *column*, which count from 0 as libyaml's do."""
    return Problem(file=file, line=line + 1, column=column + 1, message=message)
