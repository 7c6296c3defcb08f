"""What an operator writes for this room: `config/rules/*.yaml` and `config/lexicons/<language>.yaml`."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tocsin.records import Certainty, Severity

MONTHS: Final = 12

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=80)]
Word = Annotated[str, Field(min_length=1, max_length=2000)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$")]
Scope = Annotated[str, Field(pattern=r"^[a-z][a-z_]*$")]
Reach = Literal["forward", "backward", "clause", "sentence", "around", "document"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KeywordSettings(_Settings):
    """Words and phrases; a trailing `*` takes every ending. `all` and `none` speak of the whole article.

    `regex` are further ways to say what is under `any`: expressions of RE2, blind to case, each within one sentence.
    """

    any: tuple[Word, ...] = ()
    regex: tuple[Word, ...] = ()
    all: tuple[Word, ...] = ()
    none: tuple[Word, ...] = ()

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.any and not self.all and not self.regex:
            raise ValueError("needs words under `any` or `all`, or expressions under `regex`")
        return self


class PatternSettings(_Settings):
    """One order of lexicon classes that makes a candidate, as `count ~3 dead`; see docs/detection.md for the grammar.

    The cheapest pattern (words in the gaps + `cost`) gets a count; one below `least` is none. `means: others` takes
    the count away from the rule: `count ~8 injured`. With `needs`, one of these scopes must cover it.
    """

    find: Word
    cost: Annotated[float, Field(ge=0, le=100)] = 0
    least: Annotated[int, Field(ge=1)] | None = None
    means: str | None = None
    needs: tuple[Scope, ...] = ()
    languages: tuple[Language, ...] = ()


class RuleTestSettings(_Settings):
    """A text, and what the rule must find in it: of each event, the attributes that are named.

    A `pending` one is not found yet; once it is, it fails until the word is taken away.
    """

    language: Language | None = None
    title: str = ""
    text: str = ""
    published: str | None = None
    expect: tuple[dict[str, object], ...] = ()
    pending: bool = False


class RuleSettings(_Settings):
    """One rule. Exactly one of `patterns`, `query`, `keywords` and `python` says what it looks for.

    `words` are classes of its own for its patterns, by language; they hide those of the lexicon of the same name.
    """

    id: Id
    type: Id
    lexicons: tuple[Scope, ...] = ()
    patterns: tuple[PatternSettings, ...] = ()
    words: dict[Language, dict[Scope, tuple[Word, ...]]] = {}
    query: str | None = None
    keywords: KeywordSettings | None = None
    python: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] | None = None
    unless: tuple[Scope, ...] = ()
    lower: dict[Scope, Certainty] = {}
    severity: Severity | None = None
    languages: tuple[Language, ...] = ()
    tests: tuple[RuleTestSettings, ...] = ()

    @model_validator(mode="after")
    def _looks_in_one_way(self) -> Self:
        ways = [bool(self.patterns), self.query is not None, self.keywords is not None, self.python is not None]
        if sum(ways) != 1:
            raise ValueError("needs exactly one of `patterns`, `query`, `keywords` and `python`")
        if self.words and not self.patterns:
            raise ValueError("`words` are classes for `patterns`, and this rule has none")
        return self


class RuleTestFile(_Settings):
    """One file of `config/rules/tests/`: what one rule must find in texts, of one language where they name none."""

    rule: Id
    language: Language | None = None
    tests: tuple[RuleTestSettings, ...]


class RuleFile(_Settings):
    """One file of `config/rules/`."""

    rules: tuple[RuleSettings, ...] = ()


def _all_or_none(months: tuple[str, ...]) -> tuple[str, ...]:
    if len(months) not in {0, MONTHS}:
        raise ValueError(f"needs all {MONTHS} months, from January on; there are {len(months)}")
    return months


class LexiconSettings(_Settings):
    """What this house knows of one language.

    An entry is one word or several: `dead`, `kasach*`, `*opfer`, `=Tote` (as written, capitals count),
    `brach|brachten ~10 um` (alternatives; up to ten words between), `vor # Jahren` (# is any number), `um$` (ends
    its clause), and `!total*` or `!toter winkel` keeps words out of the class.
    """

    language: Language
    home: str | None = None
    clitics: tuple[str, ...] = ()
    place_prefixes: tuple[str, ...] = ()
    town_endings: tuple[str, ...] = ()
    abbreviations: tuple[str, ...] = ()
    tens_and_units: str | None = None
    numbers: dict[str, int] = {}
    approximate: dict[str, int] = {}
    vague: dict[str, int] = {}
    ranges: dict[str, tuple[int, int]] = {}
    months: Annotated[tuple[Word, ...], AfterValidator(_all_or_none)] = ()
    classes: dict[Scope, tuple[Word, ...]] = {}
    scopes: dict[Scope, dict[Reach, tuple[Word, ...]]] = {}
    actors: dict[str, tuple[Word, ...]] = {}
    places: dict[str, tuple[Word, ...]] = {}
    adjectives: dict[str, tuple[Word, ...]] = {}
