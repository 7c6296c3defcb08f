"""Which changes of a schema would break somebody: who reads new records with old code, or old records with new code.

Within a version a record may only gain fields, and each has a default. Everything else needs a topic of its own, `v2`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Everything in a shape that says which values there may be; what is left only describes.
_SAYS_VALUES: Final = ("type", "format", "const", "contentEncoding")
_NOTHING: Final[Mapping[str, Any]] = {}


def breaks(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what of *old*, a schema of ours, does not hold in *new* any more; each names the field."""
    return list(dict.fromkeys(_Comparison(old, new).of(old, new, "")))


class _Comparison:
    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._old = old.get("$defs", _NOTHING)
        self._new = new.get("$defs", _NOTHING)
        self._seen: set[tuple[str, str]] = set()

    def of(self, old: Mapping[str, Any], new: Mapping[str, Any], where: str) -> Iterator[str]:
        old_name, new_name = _name(old), _name(new)
        if old_name is not None and new_name is not None:
            if (old_name, new_name) in self._seen:
                return
            self._seen.add((old_name, new_name))
            where = new_name
        old = self._old[old_name] if old_name is not None else old
        new = self._new[new_name] if new_name is not None else new
        if "anyOf" in old or "anyOf" in new:
            yield from self._of_several(old, new, where)
            return
        for keyword in _SAYS_VALUES:
            if old.get(keyword) != new.get(keyword):
                yield f"{where}: {keyword} was {old.get(keyword)!r} and is {new.get(keyword)!r}"
        yield from _of_words(old.get("enum", ()), new.get("enum", ()), where)
        if "items" in old and "items" in new:
            yield from self.of(old["items"], new["items"], f"{where}[]")
        yield from self._of_fields(old, new, where)

    def _of_several(self, old: Mapping[str, Any], new: Mapping[str, Any], where: str) -> Iterator[str]:
        """Compare what is of one kind or another, which in our schemas is null or something else."""
        before, after = old.get("anyOf", (old,)), new.get("anyOf", (new,))
        if _may_be_null(before) != _may_be_null(after):
            yield f"{where}: {'was never null and may be now' if _may_be_null(after) else 'may not be null any more'}"
        somethings = [[shape for shape in shapes if shape != {"type": "null"}] for shapes in (before, after)]
        if len(somethings[0]) != len(somethings[1]):
            yield f"{where}: had {len(somethings[0])} kinds of values and has {len(somethings[1])}"
        for one, other in zip(*somethings, strict=False):
            yield from self.of(one, other, where)

    def _of_fields(self, old: Mapping[str, Any], new: Mapping[str, Any], where: str) -> Iterator[str]:
        before, after = old.get("properties", _NOTHING), new.get("properties", _NOTHING)
        had_to, has_to = set(old.get("required", ())), set(new.get("required", ()))
        for field, shape in before.items():
            at = f"{where}.{field}".lstrip(".")
            if field not in after:
                yield f"{at}: is gone"
                continue
            if field in had_to - has_to:
                yield f"{at}: was never missing and may be now"
            elif field in has_to - had_to:
                yield f"{at}: may not be missing any more"
            elif shape.get("default") != after[field].get("default"):
                yield f"{at}: default was {shape.get('default')!r} and is {after[field].get('default')!r}"
            yield from self.of(shape, after[field], at)
        for field in sorted(has_to - before.keys()):
            yield f"{where}.{field}: is new and has no default".lstrip(".")


def _of_words(old: tuple[str, ...], new: tuple[str, ...], where: str) -> Iterator[str]:
    yield from (f"{where}: the word {word!r} is gone" for word in old if word not in new)
    yield from (f"{where}: the word {word!r} is new, and who reads does not know it" for word in new if word not in old)


def _name(shape: Mapping[str, Any]) -> str | None:
    reference = shape.get("$ref")
    return None if reference is None else str(reference).rpartition("/")[2]


def _may_be_null(shapes: Any) -> bool:  # noqa: ANN401  JSON Schema
    return {"type": "null"} in shapes
