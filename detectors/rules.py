"""Rules ready to run: patterns compiled, words and queries parsed, entry points found."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from detectors import patterns
from detectors.keywords import Keywords
from detectors.patterns import Pattern
from detectors.query import Query
from detectors.settings import LexiconSettings, RuleSettings
from tocsin.errors import Problem, SettingsInvalid
from tocsin.records import Article, Detection

DENIALS: Final = frozenset({"denied", "negated"})


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule, compiled; exactly one of the four ways is set."""

    settings: RuleSettings
    patterns: tuple[Pattern, ...] = ()
    keywords: Keywords | None = None
    query: Query | None = None
    function: Callable[[Article], list[Detection]] | None = None
    denials: frozenset[str] = DENIALS


def compiled(settings: RuleSettings, *, file: str = "") -> Rule:
    """Compile one rule.

    Raises:
        SettingsInvalid: a query, pattern or entry point is wrong; the message has the rule and the column.
    """
    try:
        return Rule(
            settings,
            patterns=tuple(
                patterns.parse(
                    p.find,
                    cost=p.cost,
                    means=p.means or settings.type,
                    languages=p.languages,
                    needs=p.needs,
                    least=p.least or 0,
                    own={name: own_class(settings, name) for words in settings.words.values() for name in words},
                )
                for p in settings.patterns
            ),
            keywords=Keywords(settings.keywords) if settings.keywords else None,
            query=Query(settings.query) if settings.query is not None else None,
            function=_entry_point(settings.python) if settings.python else None,
        )
    except ValueError as error:
        where = file or f"rule {settings.id!r}"
        problem = Problem(file=where, line=1, column=1, message=f"rule {settings.id!r}: {error}")
        raise SettingsInvalid([problem]) from error


def own_class(settings: RuleSettings, name: str) -> str:
    """Return what a class of a rule's own `words` is called among those of the lexicon, where no other is."""
    return f"{settings.id}/{name}"


def with_words(lexicon: LexiconSettings, rules: Iterable[RuleSettings]) -> LexiconSettings:
    """Return *lexicon* with the words of its language that stand in *rules*."""
    own = {
        own_class(rule, name): entries
        for rule in rules
        for name, entries in rule.words.get(lexicon.language, {}).items()
    }
    return lexicon.model_copy(update={"classes": {**lexicon.classes, **own}}) if own else lexicon


def _entry_point(name: str) -> Callable[[Article], list[Detection]]:
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(f"python: no module {module_name!r}: {error}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ValueError(  # noqa: TRY004  one fate for all mistakes of a rule
            f"python: {module_name!r} has no function {function_name!r}"
        )
    found: Callable[[Article], list[Detection]] = function
    return found
