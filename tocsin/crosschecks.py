"""What no room can see alone: ids that stand twice, and words that refer to something in another part or file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tocsin.countries import country_meant, is_country
from tocsin.matcher import BURST, DEATHS, FOREIGN_TROOPS, GOVERNMENT_DISMISSAL
from tocsin.mistakes import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tocsin.configfiles import Gathered
    from tocsin.errors import Problem
    from tocsin.yamlfile import Document, Path_

COMPUTED_CLASSES: Final = frozenset({"count", "place"})  # that no lexicon has
COMPUTED_SCOPES: Final = frozenset({"question"})
BUILT_IN_TYPES: Final = (DEATHS, FOREIGN_TROOPS, GOVERNMENT_DISMISSAL)


def cross_checks(gathered: Gathered, lexicons: Mapping[str, Document]) -> Iterator[Problem]:
    """Yield each mistake. What stands there may be of any shape: the rooms' models tell what is wrong with that."""
    yield from _twice(gathered, "feed", "sources", "feeds")
    yield from _twice(gathered, "rule", "rules")
    yield from _twice(gathered, "subscription", "subscriptions")
    yield from _receivers(gathered)
    yield from _types(gathered)
    yield from _feed_countries(gathered)
    yield from _lexicons(gathered, lexicons)


def _twice(gathered: Gathered, what: str, *path: str) -> Iterator[Problem]:
    first: dict[str, Path_] = {}
    for at, item in _mappings(gathered, *path):
        name = item.get("id")
        if not isinstance(name, str):
            continue
        if name in first:
            other = gathered.problem("", *first[name])
            where = (
                f"line {other.line}" if other.file == gathered.problem("", *at).file else f"{other.file}:{other.line}"
            )
            yield gathered.problem(f"a second {what} {name!r}, the first is in {where}", *at, "id")
        else:
            first[name] = (*at, "id")


def _receivers(gathered: Gathered) -> Iterator[Problem]:
    known = [str(name) for name in _at(gathered, dict, "receivers")]
    for at, subscription in _mappings(gathered, "subscriptions"):
        escalations = subscription.get("unacknowledged")
        yield from _unknown_receivers(gathered, (*at, "to"), subscription.get("to"), known)
        for index, escalation in enumerate(escalations if isinstance(escalations, list) else ()):
            if isinstance(escalation, dict):
                yield from _unknown_receivers(
                    gathered, (*at, "unacknowledged", index, "to"), escalation.get("to"), known
                )


def _unknown_receivers(gathered: Gathered, at: Path_, names: object, known: list[str]) -> Iterator[Problem]:
    for path, name in _words(at, names):
        if name not in known:
            hint = did_you_mean(name, known) if known else ": there are no receivers"
            yield gathered.problem(f"no receiver {name!r}{hint}", *path)


def _types(gathered: Gathered) -> Iterator[Problem]:
    rules = [rule.get("type") for _, rule in _mappings(gathered, "rules")]
    known = sorted({*BUILT_IN_TYPES, *(name for name in rules if isinstance(name, str))})
    for at, rule in _mappings(gathered, "rules"):
        if rule.get("type") == BURST:
            yield gathered.problem(f"the type {BURST!r} is kept for what bursts find", *at, "type")
    for at, matcher in _matchers(gathered):
        for key in ("type", "types"):
            yield from _unknown_types(gathered, (*at, key), matcher.get(key), sorted({*known, BURST}))
        burst = matcher.get(BURST)
        if isinstance(burst, dict):
            yield from _unknown_types(gathered, (*at, BURST, "topics"), burst.get("topics"), known)
    topics = _at(gathered, list, "bursts", "topics")
    yield from _unknown_types(gathered, ("bursts", "topics"), topics, known)


def _unknown_types(gathered: Gathered, at: Path_, names: object, known: list[str]) -> Iterator[Problem]:
    for path, name in _words(at, names):
        if name not in known:
            yield gathered.problem(f"no rule finds the type {name!r}{did_you_mean(name, known)}", *path)


def _matchers(gathered: Gathered) -> Iterator[tuple[Path_, dict[Any, Any]]]:
    for at, subscription in _mappings(gathered, "subscriptions"):
        when = subscription.get("when")
        if isinstance(when, dict):
            yield (*at, "when"), when
    for at, _ in _mappings(gathered, "incidents", "severity"):
        yield from _mappings(gathered, *at, "any")


def _feed_countries(gathered: Gathered) -> Iterator[Problem]:
    feeds = [
        *_mappings(gathered, "sources", "feeds"),
        (("sources", "defaults"), _at(gathered, dict, "sources", "defaults")),
    ]
    for at, feed in feeds:
        for path, code in _words((*at, "country"), feed.get("country")):
            if not is_country(code):
                meant = country_meant(code)
                hint = f", did you mean {meant!r}?" if meant else ": write two capital letters (ISO 3166-1)"
                yield gathered.problem(f"no country {code!r}{hint}", *path)


def _lexicons(gathered: Gathered, lexicons: Mapping[str, Document]) -> Iterator[Problem]:
    """Find classes that no language has; where only some lack one, the rule is silent in those."""
    for language, document in lexicons.items():
        data = document.data if isinstance(document.data, dict) else {}
        told = data.get("language", language)
        if told != language:
            yield document.problem(f"the file of {told!r} must be named {told}.yaml", "language")
    texts = [document.data for document in lexicons.values() if isinstance(document.data, dict)]
    shared = {str(name) for text in texts for name in _section(text, "classes")}
    scopes = sorted({str(name) for text in texts for name in _section(text, "scopes")} | COMPUTED_SCOPES)
    for at, rule in _mappings(gathered, "rules"):
        words = _section(rule, "words")
        own = {str(name) for each in words.values() if isinstance(each, dict) for name in each}
        known = sorted(shared | own)
        for language in words:
            if language not in lexicons:
                message = f"no lexicon of {language!r}: there are {', '.join(sorted(lexicons))}"
                yield gathered.problem(message, *at, "words", language, key=True)
        for path, name in [*_words((*at, "lexicons"), rule.get("lexicons")), *_classes(at, rule)]:
            if name not in known:
                yield gathered.problem(f"no lexicon has a class {name!r}{did_you_mean(name, known)}", *path)
        for path, name in _scopes(at, rule):
            if name not in scopes:
                yield gathered.problem(f"no lexicon has a scope {name!r}{did_you_mean(name, scopes)}", *path)


def _classes(at: Path_, rule: Mapping[Any, Any]) -> Iterator[tuple[Path_, str]]:
    """Yield the classes that the patterns of a rule ask for."""
    patterns = rule.get("patterns")
    for index, pattern in enumerate(patterns if isinstance(patterns, list) else ()):
        find = pattern.get("find") if isinstance(pattern, dict) else None
        for word in find.split() if isinstance(find, str) else ():
            if not word.startswith("~"):
                for name in word.removesuffix("?").split("|"):
                    if name not in COMPUTED_CLASSES:
                        yield (*at, "patterns", index, "find"), name


def _scopes(at: Path_, rule: Mapping[Any, Any]) -> Iterator[tuple[Path_, str]]:
    """Yield the scopes that a rule names."""
    yield from _words((*at, "unless"), rule.get("unless"))
    for name in _section(rule, "lower"):
        yield (*at, "lower", name), name
    patterns = rule.get("patterns")
    for index, pattern in enumerate(patterns if isinstance(patterns, list) else ()):
        if isinstance(pattern, dict):
            yield from _words((*at, "patterns", index, "needs"), pattern.get("needs"))


def _section(data: Mapping[Any, Any], key: str) -> dict[Any, Any]:
    section = data.get(key)
    return section if isinstance(section, dict) else {}


def _words(at: Path_, value: object) -> Iterator[tuple[Path_, str]]:
    """Yield the texts of a value that may be one or a list, with their paths."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, list):
        yield from (((*at, index), word) for index, word in enumerate(value) if isinstance(word, str))


def _mappings(gathered: Gathered, *path: str | int) -> Iterator[tuple[Path_, dict[Any, Any]]]:
    """Yield the mappings of the list at *path*, with their paths."""
    for index, item in enumerate(_at(gathered, list, *path)):
        if isinstance(item, dict):
            yield (*path, index), item


def _at(gathered: Gathered, sort: type[Any], *path: str | int) -> Any:  # noqa: ANN401  of the sort that was asked for
    """Return what stands at *path* if it is of this sort, else an empty one."""
    data = gathered.at(*path) if gathered.holds(*path) else None
    return data if isinstance(data, sort) else sort()
