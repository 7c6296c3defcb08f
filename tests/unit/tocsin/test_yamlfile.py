from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tocsin.errors import SettingsInvalid
from tocsin.yamlfile import (
    Document,
    Duration,
    Outside,
    Rate,
    Secret,
    SecretsFromFiles,
    Size,
    Wrong,
    load,
    parse,
    validate,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def read(text: str) -> Document:
    return parse(text.encode(), file="x.yaml")


def mistakes(action: Callable[[], object]) -> list[str]:
    with pytest.raises(SettingsInvalid) as caught:
        action()
    return [str(problem).removeprefix("x.yaml:") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("NO", "NO"),
        ("yes", "yes"),
        ("off", "off"),
        ("y", "y"),
        ("22:00", "22:00"),
        ("2026-07-01", "2026-07-01"),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("-0x1", "-0x1"),
        ("=", "="),
        ("012", 12),
        ("-012", -12),
        ("0o14", 12),
        ("0xfF", 255),
        ("12e03", 12000.0),
        ("-2E+05", -200000.0),
        ("0.", 0.0),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("Null", None),
        ("'12'", "12"),
        ("! '12'", "12"),
        ("!!str 12", "12"),
        ("!!float 12", 12.0),
        ("!!int 0o14", 12),
        (".inf", float("inf")),
        ("-.Inf", float("-inf")),
    ],
)
def test_a_scalar_is_what_the_core_schema_of_yaml_12_says(written: str, meant: object) -> None:
    document = read(f"key: {written}")

    assert document.data == {"key": meant}
    assert type(document.data["key"]) is type(meant)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3", "3:1: the key 'a' stands here twice, first in line 1"),
        ("{a: {b: 1, b: 2}}", "1:12: the key 'b' stands here twice, first in line 1"),
        ("1: a\n0x1: b", "2:1: the key '0x1' stands here twice, first in line 1"),
        ("a:\n\t- 1", "2:1: a tab cannot indent YAML: use spaces"),
        ("a: @x", "1:4: put quotes around a value with '@'"),
        (
            "a: b: c",
            "1:5: a key is not possible here: is the indentation right, or does a text with ': ' lack its quotes?",
        ),
        ("x: 1\na: 'x\n", "3:1: the quote that opened in line 2 is not closed"),
        ("a:\n  b: 1\n c: 2", "3:2: expected a key: is the indentation the same as above?"),
        ("a: 1\n---\nb: 1", "2:1: a second document begins here: one file holds one"),
        ("a: *b", "1:4: no anchor has this name: put quotes around a text that begins with '*'"),
        ("a: &x 1\nb: &x 2", "2:4: this anchor exists already: give it another name"),
        ("- &a [*a]", "1:3: an alias stands inside its own anchor"),
        ("a:\n  <<: {b: 1}", "2:3: YAML 1.2 has no merge key '<<': write the keys out"),
        ("? [a]\n: b", "1:3: a key must be a single word or text"),
        (
            "a: !!python/name:os.system x",
            "1:4: the tag !!python/name:os.system is not known here; put quotes around text that begins with '!'",
        ),
        ("a: !mine {b: 1}", "1:4: the tag !mine does not fit a mapping"),
        ("a: !!int x", "1:4: 'x' is no int, as its tag says"),
        ("a: " + 301 * "1", "1:4: a number of more than 300 digits; put quotes around it if it is text"),
        ("[" * 100_000, "1:64: nested more than 64 levels deep"),
        ("ok: é\nk: a\u2028b", "2:5: the character U+2028 is not allowed here: write it as \\u2028 in double quotes"),
        ("ok: 1\r\nk: \0", "2:4: the character U+0000 is not allowed here: write it as \\u0000 in double quotes"),
    ],
)
def test_a_mistake_in_the_yaml_is_told_with_its_place(text: str, told: str) -> None:
    assert mistakes(lambda: read(text)) == [told]


def test_bytes_that_are_no_utf_8_are_told_with_their_place() -> None:
    assert mistakes(lambda: parse(b"ok: \xc3\xa9\na: \xe9", file="x.yaml")) == [
        "2:4: the byte 0xe9 is not UTF-8: save the file as UTF-8"
    ]
    assert mistakes(lambda: parse("a: 1".encode("utf-16"), file="x.yaml")) == [
        "1:1: this is UTF-16: save the file as UTF-8"
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert parse(b"\xef\xbb\xbfa: 1", file="x.yaml").data == {"a": 1}


def test_aliases_share_a_value_but_a_billion_laughs_are_refused() -> None:
    laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i + 1}: &a{i + 1} [{', '.join(10 * [f'*a{i}'])}]\n" for i in range(12)
    )

    assert read("a: &a [1, 2]\nb: *a").data == {"a": [1, 2], "b": [1, 2]}
    assert "aliases repeat more than 10000 values" in mistakes(lambda: read(laughs))[0]


def test_a_file_that_cannot_be_read_is_a_mistake_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"nowhere\.yaml:1:1: cannot be read: No such file or directory"):
        load(tmp_path / "nowhere.yaml")


def test_a_place_is_found_by_its_path_and_a_missing_step_has_that_of_its_mapping() -> None:
    document = read("feeds:\n  - id: a\n    url: b\n  - &x {id: c}\n  - *x\n")

    assert document.place("feeds", 0, "url") == (3, 10)
    assert document.place("feeds", 0, "url", key=True) == (3, 5)
    assert document.place("feeds", 0, "owner") == (2, 5)
    assert document.place("feeds", 2, "id") == (4, 13)
    assert document.place() == (1, 1)


# ------------------------------------------------------------------------------------------------------- models


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Feed(Strict):
    id: Annotated[str, Field(pattern=r"^[a-z-]+$")]
    every: Duration | None = None
    size: Size | None = None
    budget: Rate | None = None
    colour: Colour = Colour.RED
    count: int = 1
    sender: str | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _not_both(self) -> Feed:
        if self.count == 13:
            raise Wrong("thirteen brings bad luck", "count")
        return self


class Include(Strict):
    include: str


class Chat(SecretsFromFiles):
    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["chat"]
    token: Secret
    channel: str = ""


class Mail(SecretsFromFiles):
    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["mail"]
    password: Secret | None = None


class House(Strict):
    feeds: list[Feed | Include] = []
    receivers: dict[
        Annotated[str, Field(pattern=r"^[a-z]+$")], Annotated[Chat | Mail, Field(discriminator="kind")]
    ] = {}


def house(text: str, **outside: Any) -> House:
    return validate(House, read(text), outside=Outside(**outside))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("feed: []", "1:1: unknown key 'feed', did you mean 'feeds'?"),
        ("feeds:\n  - ident: a\n    every: 5m", "2:5: missing key 'id'"),
        ("feeds:\n  - id: a\n    frm: x", "3:5: unknown key 'frm', did you mean 'from'?"),
        (
            "feeds: [{id: a, zzzzzz: 1}]",
            "1:17: unknown key 'zzzzzz' (known: budget, colour, count, every, from, id, size)",
        ),
        ("feeds: [{id: a, colour: gren}]", "1:25: 'gren' is not known here, did you mean 'green'?"),
        ("feeds: [{id: a, colour: x}]", "1:25: 'x' is not known here (known: green, red)"),
        ("feeds: [{id: 12}]", "1:14: expected text, found a number: put quotes around it"),
        ("feeds: [{id: a, count: x}]", "1:24: expected a whole number, found text"),
        ("feeds: [{id: A_}]", "1:14: 'A_' does not fit the pattern ^[a-z-]+$"),
        ("feeds: [{id: a, count: 13}]", "1:24: thirteen brings bad luck"),
        ("feeds: {}", "1:8: expected a list, found a mapping"),
        ("- a", "1:1: expected a mapping, found a list"),
        ("receivers: {x: {kind: chatt}}", "1:23: unknown kind 'chatt', did you mean 'chat'?"),
        ("receivers: {x: {token: a}}", "1:16: missing key 'kind'"),
        ("receivers: {x: {kind: chat}}", "1:16: missing key 'token' (or 'token_file')"),
        (
            "receivers: {x: {kind: mail, pasword_file: b}}",
            "1:29: unknown key 'pasword_file', did you mean 'password_file'?",
        ),
        ("receivers: {X: {kind: mail}}", "1:13: 'X' does not fit the pattern ^[a-z]+$"),
        (
            "feeds: [{id: a, every: 5}]",
            "1:24: 5 is no duration: write a number and a unit, as 30s, 5m, 2h, 1d or 1h30m",
        ),
        ("feeds: [{id: a, size: 20}]", "1:23: 20 is no size: write a number and a unit, as 20GB, 500MB or 64KiB"),
        (
            "feeds: [{id: a, budget: 0/day}]",
            "1:25: '0/day' is no rate: write a number and a span, as 20/day, 600/minute or 5/15m",
        ),
    ],
)
def test_a_mistake_in_the_values_is_told_with_its_place_and_what_was_meant(text: str, told: str) -> None:
    assert told in mistakes(lambda: house(text))


def test_a_key_that_is_only_misspelt_is_not_told_as_missing_too() -> None:
    assert mistakes(lambda: house("receivers: {x: {kind: chat, tokn: a}}")) == [
        "1:29: unknown key 'tokn', did you mean 'token'?"
    ]


def test_all_mistakes_are_told_at_once_and_in_the_order_of_the_file() -> None:
    text = "receivers: {x: {kind: nix}}\nfeeds:\n  - {id: a, every: x}\n  - {id: 7}\nfoo: 1"

    told = mistakes(lambda: house(text))

    assert [line.split(":")[0] for line in told] == ["1", "3", "4", "5"]


def test_only_the_branch_that_was_nearly_right_is_told_of_a_union() -> None:
    assert mistakes(lambda: house("feeds: [{id: a, every: x}]")) == [
        "1:24: 'x' is no duration: write a number and a unit, as 30s, 5m, 2h, 1d or 1h30m"
    ]


def test_a_part_of_a_file_is_validated_with_the_places_of_the_whole() -> None:
    document = read("sources:\n  feeds:\n    - {id: a, colour: blue}")

    assert mistakes(lambda: validate(House, document, ("sources",)))[0].startswith("3:23: 'blue' is not known")


def test_an_empty_section_is_all_defaults() -> None:
    assert validate(House, read("sources:"), ("sources",)) == House()


# ------------------------------------------------------------------------------------------------------- secrets


def test_a_secret_is_expanded_from_the_environment_and_shown_nowhere() -> None:
    made = house("receivers: {x: {kind: chat, token: 'a-${TOKEN}-$5-$${X}'}}", environment={"TOKEN": "geheim"})

    chat = made.receivers["x"]
    assert isinstance(chat, Chat)
    assert chat.token.get_secret_value() == "a-geheim-$5-${X}"
    assert "geheim" not in repr(made)
    assert "geheim" not in made.model_dump_json()


def test_only_secrets_are_expanded() -> None:
    made = house("receivers: {x: {kind: chat, token: x, channel: '${TOKEN}'}}", environment={"TOKEN": "geheim"})

    chat = made.receivers["x"]
    assert isinstance(chat, Chat)
    assert chat.channel == "${TOKEN}"


def test_a_variable_that_is_not_set_is_a_mistake_at_its_place() -> None:
    assert mistakes(lambda: house("receivers:\n  x:\n    kind: chat\n    token: ${TOKEN}\n")) == [
        "4:12: the environment variable TOKEN is not set"
    ]


def test_a_secret_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("ge${heim}\n")

    made = house("receivers: {x: {kind: chat, token_file: token}}", directory=tmp_path)

    chat = made.receivers["x"]
    assert isinstance(chat, Chat)
    assert chat.token.get_secret_value() == "ge${heim}"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("password_file: nowhere", "cannot read '{}/nowhere': No such file or directory"),
        ("password_file: empty", "'{}/empty' is empty"),
        ("password_file: latin", "'{}/latin' is not UTF-8 text"),
        ("password_file: 5", "expected the path of a file, found a number"),
        ("password_file: empty, password: geheim", "give 'password' or 'password_file', not both"),
    ],
)
def test_a_secret_file_that_gives_no_secret_is_a_mistake_at_its_place(tmp_path: Path, given: str, told: str) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "latin").write_bytes(b"geh\xe9im")

    [found] = mistakes(lambda: house(f"receivers: {{x: {{kind: mail, {given}}}}}", directory=tmp_path))

    line, column, message = found.split(":", 2)
    assert (line, column) == ("1", "44")
    assert message.strip() == told.format(tmp_path)


@pytest.mark.parametrize(
    "given",
    [
        "{kind: chat, token: 112233}",
        "{kind: chat, token: [112233]}",
        "{kind: chat, tokn: 112233}",
        "{kind: chat, token: '112233${NIX}'}",
        "'112233'",
        "[112233]",
        "{kind: chat, token: '112233', token_file: y}",
    ],
)
def test_no_mistake_repeats_what_may_be_a_secret(given: str) -> None:
    told = "\n".join(mistakes(lambda: house(f"receivers: {{x: {given}}}")))

    assert "112233" not in told
