"""The reader against ruamel.yaml, which reads YAML 1.2, against JSON, which is YAML 1.2, and against rubbish."""

from __future__ import annotations

import json
import re

from hypothesis import assume, example, given, strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tocsin.errors import SettingsInvalid
from tocsin.yamlfile import parse

# Where ruamel goes beyond the core schema of YAML 1.2 (10.3.2): underscores, binary and signed prefixes, "0o" left out,
# exponents without digits, dates and merge keys. `test_yamlfile.py` has our answers to these, from the specification.
BEYOND_CORE = re.compile(r"_|0b|[-+]0[ox]|\d{4}-\d\d?-\d\d?|<<|^=$", re.IGNORECASE)

# fmt: off
TRICKY = [
    "NO", "no", "Yes", "on", "off", "y", "N", "true", "TRUE", "True", "tRUE", "false", "null", "Null", "NULL",
    "~", "22:00", "1:30:00", "012", "0o14", "0x1F", "1e3", "1E-2", ".5", "5.", "-.5", "+12", ".inf", "-.INF",
    ".nan", ".NaN", "nan", "inf", "-", "--", "1.2.3", "0.0", "-0", "1,000", "10%", "#a", "a#b", "é", "Россия",
    "日本", "💥", "a:b", "http://x/y?z=1", "*not",
]
# fmt: on

# libyaml refuses a plain scalar that begins or ends with a colon, loudly; so none is made here.
SCALARS = st.one_of(
    st.sampled_from(TRICKY),
    st.text(alphabet="0123456789.eE+-xo:", min_size=1, max_size=8).filter(lambda word: word.strip(":") == word),
    st.text(alphabet="abcdefNOyesno tru~", min_size=1, max_size=8),
)
KEYS = st.text(alphabet="abcdefghij", min_size=1, max_size=6)


def written(value: object, indent: int = 0, *, flow: bool) -> str:
    """Write nested lists, dicts and scalars (already YAML text) by hand; a library's writer would put quotes."""
    pad = "  " * indent
    if isinstance(value, list):
        if flow or not value:
            return "[" + ", ".join(written(item, flow=True) for item in value) + "]"
        return "".join(f"\n{pad}- {written(item, indent + 1, flow=False)}" for item in value)
    if isinstance(value, dict):
        if flow or not value:
            return "{" + ", ".join(f"{key}: {written(item, flow=True)}" for key, item in value.items()) + "}"
        return "".join(f"\n{pad}{key}: {written(item, indent + 1, flow=False)}" for key, item in value.items())
    return str(value)


def quoted(scalar: str) -> st.SearchStrategy[str]:
    return st.sampled_from([scalar, f"'{scalar}'", json.dumps(scalar, ensure_ascii=False), f"!!str '{scalar}'"])


TREES = st.recursive(
    SCALARS.flatmap(quoted),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def same(left: object, right: object) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return repr(left) == repr(right)  # a NaN is not equal to itself, and -0.0 is to 0.0


@given(tree=TREES, flow=st.booleans())
@example(tree={"country": "NO", "at": "22:00", "n": "012"}, flow=False)
def test_what_ruamel_reads_as_yaml_12_we_read_alike(tree: object, flow: bool) -> None:
    text = written(tree, flow=flow)
    assume(not any(BEYOND_CORE.search(word) for word in re.split(r"[\s,\[\]{}'\"]+", text)))

    try:
        expected = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError):
        assume(False)
    found = parse(text.encode(), file="x.yaml").data

    assert same(found, expected), text


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(
        alphabet=st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\ufeff\ufffe\uffff"),
        max_size=20,
    ),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(value=JSON)
def test_json_is_read_as_itself(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)

    found = parse(text.encode(), file="x.json").data

    assert same(found, value)


@given(
    raw=st.binary(max_size=200) | st.text(alphabet="ab:-?[]{}&*!|>'\"%@`# \n\t\r,01~.<", max_size=80).map(str.encode)
)
def test_rubbish_is_read_or_refused_with_a_place_inside_the_file(raw: bytes) -> None:
    lines = raw.decode("utf-8", "replace").count("\n") + raw.count(b"\r") + 2

    try:
        parse(raw, file="x.yaml")
    except SettingsInvalid as error:
        [problem] = error.problems
        assert problem.message
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
