"""What is doubtful in rules and lexicons: how broad they are, and which words fire too often or in another language."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from detectors.entries import parts_of
from detectors.rules import own_class
from detectors.tokens import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from detectors.engine import DetectorsConfig
    from detectors.settings import RuleSettings

# Two words of which one begins like the other for so long are counted as forms of one lemma. It errs towards fewer:
# `kill` and `killer` are one, so what coverage says is a floor.
SAME_LETTERS: Final = 4
SAME_SHARE: Final = 0.6
SHORTEST: Final = 3  # letters of a word that is worth a look in another language


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How broad the lexicon of one language is for one type."""

    type: str
    language: str
    lemmas: int
    forms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequent:
    """Words of a class that stand in a great share of a language's articles."""

    language: str
    name: str
    words: str
    share: float
    read_as: str | None = None  # the language whose lexicon has them, where that is another


def coverage(config: DetectorsConfig) -> list[Coverage]:
    """Count for each rule made of patterns the lemmas and forms of its classes, in each language."""
    found = []
    for rule in config.rules:
        if not rule.patterns:
            continue
        for lexicon in config.lexicons:
            entries = [entry for _, entry in _entries(rule, lexicon.classes, lexicon.language)]
            if entries:
                lemmas = _lemmas(entries, lexicon.language)
                forms = sum(len(_forms(entry)) for entry in entries)
                found.append(Coverage(type=rule.type, language=lexicon.language, lemmas=lemmas, forms=forms))
    return found


def frequent(
    config: DetectorsConfig, articles: Iterable[Mapping[str, Any]], *, share: float, abroad: float
) -> list[Frequent]:
    """Return which words of the rules' classes stand in more than *share* of the articles of their language.

    Plain words are looked for in the other languages, too, where more than *abroad* is told: an article whose
    language is mistaken would ring by them.
    """
    sought = {
        lexicon.language: {
            word: name
            for rule in config.rules
            if rule.patterns
            for name, entry in _entries(rule, lexicon.classes, lexicon.language)
            for word in _forms(entry)
            if word.isalpha() and len(word) >= SHORTEST
        }
        for lexicon in config.lexicons
    }
    totals: Counter[str] = Counter()
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for article in articles:
        language = str(article.get("lang") or "")
        totals[language] += 1
        seen[language].update(set(words(f"{article['title']}\n{article['text']}", language)[1]))
    return sorted(_told(sought, totals, seen, share, abroad), key=lambda one: -one.share)


def _told(
    sought: Mapping[str, Mapping[str, str]],
    totals: Counter[str],
    seen: Mapping[str, Counter[str]],
    share: float,
    abroad: float,
) -> Iterator[Frequent]:
    for language, counted in seen.items():
        for read_as, entries in sought.items():
            limit = share if read_as == language else abroad
            for word, name in entries.items():
                part = counted[word] / totals[language]
                if part > limit and (read_as == language or word not in sought.get(language, {})):
                    yield Frequent(
                        language=language, name=name, words=word, share=part,
                        read_as=None if read_as == language else read_as,
                    )  # fmt: skip


def _entries(rule: RuleSettings, classes: Mapping[str, Sequence[str]], language: str) -> Iterator[tuple[str, str]]:
    """Yield each line of the classes that make up what *rule* finds; what is kept out of a class is none."""
    own = rule.words.get(language, {})
    names = {name for pattern in rule.patterns if pattern.means != "others" for name in _names(pattern.find)}
    for name in sorted(names):
        for entry in own.get(name, classes.get(own_class(rule, name), classes.get(name, ()))):
            if not entry.startswith("!"):
                yield name, entry


def _names(find: str) -> Iterator[str]:
    for element in find.split():
        if not element.startswith("~"):
            yield from element.removesuffix("?").split("|")


def _forms(entry: str) -> list[str]:
    """Return the alternatives of an entry that is one word; a phrase is one form."""
    if " " in entry:
        return [entry]
    return [word.strip("=*$") for word in entry.split("|")]


def _lemmas(entries: Iterable[str], language: str) -> int:
    """Count *entries*, those as one that are forms of the same words."""
    phrases = {tuple(_first(part.exact, part.starts, part.endings) for part in parts_of(e, language)) for e in entries}
    kept: list[tuple[str, ...]] = []
    for phrase in sorted(phrases):
        near = (other for other in kept[-8:] if len(other) == len(phrase))
        if not any(all(map(_is_same, phrase, other)) for other in near):
            kept.append(phrase)
    return len(kept)


def _first(*options: Iterable[str]) -> str:
    return min((word for some in options for word in some), default="#")


def _is_same(one: str, other: str) -> bool:
    if one == other:
        return True
    same = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return same >= SAME_LETTERS and same >= SAME_SHARE * max(len(one), len(other))
