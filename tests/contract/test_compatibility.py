"""Records of every day of v1 are read by the code of today, and those of tomorrow too.

The golden ones are what the first day wrote; they stay as they are.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, strategies as st

from tocsin.errors import RecordUnreadable
from tocsin.records import Alert, Article, DeadLetter, Reading, Tier
from tocsin.stream.codec import decode_alert, decode_article, decode_dead_letter, decode_reading, encode
from tocsin.stream.contract.schema import schema

Json = Any
Decode = Callable[[bytes], Article | Reading | Alert | DeadLetter]

GOLDEN: Final = Path(__file__).parent / "golden" / "v1"
NAMES: Final = ("article", "reading", "alert", "dead-letter")
DECODERS: Final[dict[str, Decode]] = {
    "article": decode_article,
    "reading": decode_reading,
    "alert": decode_alert,
    "dead-letter": decode_dead_letter,
}
TOPICS: Final = {name: f"{name}s.v1" for name in NAMES}

names = st.sampled_from(NAMES)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8"), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=4,
)
new_fields = st.dictionaries(st.from_regex(r"new_[a-z]{1,4}", fullmatch=True), anything, min_size=1, max_size=3)


def golden(name: str, which: str = "full") -> bytes:
    return (GOLDEN / f"{name}.{which}.json").read_bytes()


def objects(value: Json) -> Iterator[dict[str, Json]]:
    """Every object in *value*, the envelope first."""
    if isinstance(value, dict):
        yield value
        for inner in list(value.values()):
            yield from objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from objects(inner)


def may_be_missing(value: Json, shape: Json, defined: Json) -> Iterator[tuple[dict[str, Json], str, Json]]:
    """Every field in *value* that the schema lets be missing: its object, its name, and its default."""
    shape = defined[shape["$ref"].rpartition("/")[2]] if "$ref" in shape else shape
    if "anyOf" in shape and value is not None:
        (shape,) = (one for one in shape["anyOf"] if one != {"type": "null"})
        yield from may_be_missing(value, shape, defined)
    elif isinstance(value, dict):
        for name, inner in shape["properties"].items():
            if name in value:
                yield from may_be_missing(value[name], inner, defined)
                if name not in shape["required"]:
                    yield value, name, inner["default"]
    elif isinstance(value, list):
        for each in value:
            yield from may_be_missing(each, shape["items"], defined)


def holds(whole: Json, part: Json) -> bool:
    """Say whether *whole* has everything that *part* has; only objects may have more."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            name in whole and holds(whole[name], inner) for name, inner in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(holds, whole, part))
    return bool(whole == part)


@pytest.mark.parametrize("which", ["full", "least"])
@pytest.mark.parametrize("name", NAMES)
def test_what_the_first_day_wrote_is_read_and_loses_nothing(name: str, which: str) -> None:
    record = DECODERS[name](golden(name, which))

    assert holds(json.loads(encode(record)), json.loads(golden(name, which)))


def test_what_is_missing_has_the_value_that_it_had_on_the_first_day() -> None:
    article = decode_article(golden("article", "least"))

    assert article == Article(
        id="e4e97ca07ff48bfd2f4a4fef6d3b0f0f",
        revision="7af9f7ba4e7729d5b69713c7f15df0fc",
        feed="northern-wire",
        source=article.source,
        seen_at=datetime(2026, 3, 4, 12, 0, 0, 250_000, tzinfo=UTC),
    )
    assert (article.source.owner, article.source.tier) == ("Northern Wire", Tier.NATIONAL)
    (fact,) = decode_alert(golden("alert", "least")).facts
    assert (fact.toll, fact.senders, fact.disputed, fact.quote) == (None, (), False, "")


@given(name=names, extra=new_fields, place=st.integers(0, 40))
def test_a_newer_record_with_more_fields_is_read_as_if_it_had_none_of_them(
    name: str, extra: dict[str, Json], place: int
) -> None:
    told = json.loads(golden(name))
    within = list(objects(told))

    within[place % len(within)].update(extra)

    assert DECODERS[name](msgspec.json.encode(told)) == DECODERS[name](golden(name))


@given(name=names, data=st.data())
def test_an_older_record_with_fewer_fields_is_read_with_their_defaults(name: str, data: st.DataObject) -> None:
    made = schema(TOPICS[name])
    older, filled = (json.loads(golden(name)) for _ in range(2))
    fields = len(list(may_be_missing(older, made, made["$defs"])))
    gone = data.draw(st.sets(st.integers(0, fields - 1)))

    for number, (within, field, _) in enumerate(list(may_be_missing(older, made, made["$defs"]))):
        if number in gone:
            del within[field]
    for number, (within, field, default) in enumerate(list(may_be_missing(filled, made, made["$defs"]))):
        if number in gone:
            within[field] = copy.deepcopy(default)

    assert DECODERS[name](msgspec.json.encode(older)) == DECODERS[name](msgspec.json.encode(filled))


@given(name=names, version=st.integers(-1000, 1000).filter(lambda number: number != 1), record=anything)
def test_another_version_says_which_it_is_whatever_it_holds(name: str, version: int, record: Json) -> None:
    with pytest.raises(RecordUnreadable, match=rf"schema version {version}: this program reads 1"):
        DECODERS[name](msgspec.json.encode({"v": version, "record": record}))


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"null", b'{"record":{}}', b'{"v":"1","record":{}}', b"\xff"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_record_is_refused(name: str, value: bytes) -> None:
    with pytest.raises(RecordUnreadable):
        DECODERS[name](value)


@given(name=names, data=st.data())
def test_a_record_without_what_it_cannot_be_without_is_refused(name: str, data: st.DataObject) -> None:
    told = json.loads(golden(name))
    required = schema(TOPICS[name])["$defs"][type(DECODERS[name](golden(name))).__name__]["required"]
    field = data.draw(st.sampled_from(required))

    del told["record"][field]

    with pytest.raises(RecordUnreadable, match=field):
        DECODERS[name](msgspec.json.encode(told))
