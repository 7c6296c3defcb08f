"""Generated articles that look like news in length, languages and words, so that a bench needs nobody's texts.

A given share states something that the shipped rules detect. Of the others some hold words that detectors look for
(`NEAR`: a trial, a film, a toll of years ago) and many the words that surround them in any paper (`PLAIN`): measured on
real news of the five languages, a third of what states nothing passes the prefilter by its letters and a tenth has a
candidate that some scope takes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from random import Random
from typing import TYPE_CHECKING, Final

from tocsin.records import Article, Source, digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LANGUAGES: Final = {"en": 40, "de": 25, "fr": 13, "es": 12, "ru": 10}  # in percent
SHORTEST, USUAL, LONGEST = 400, 900, 2_000  # characters
NEAR_SHARE: Final = 0.11  # of the articles that state nothing
ALMOST_SHARE: Final = 0.30
FEEDS: Final = 400
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Phrases:
    """What one language's articles are made of; `{0}` is a count, `{place}`, `{name}` and `{n}` vary, too."""

    places: Sequence[str]
    names: Sequence[str]
    titles: Sequence[str]
    plain: Sequence[str]
    almost: Sequence[str]
    near: Sequence[str]
    stating: Sequence[str]


@cache
def phrases() -> Mapping[str, Phrases]:
    """Read the phrases of all languages."""
    source = resources.files("bench") / "phrases.json"
    return {language: Phrases(**found) for language, found in json.loads(source.read_text("utf-8")).items()}


def articles(*, share: float, seed: int = 1) -> Iterator[Article]:
    """Yield articles for ever, *share* of them with something to detect; the same for the same *seed*."""
    chance = Random(seed)  # noqa: S311 - no secret
    spoken = list(LANGUAGES)
    number = 0
    while True:
        language = chance.choices(spoken, weights=list(LANGUAGES.values()))[0]
        yield _article(number, phrases()[language], language, chance, states=chance.random() < share)
        number += 1


def seen(article: Article, *, at: datetime) -> Article:
    """Return *article* as it is when it is accepted now."""
    return replace(article, seen_at=at, published_at=at)


def url_of(number: int) -> str:
    """Return the address by which a message names an article."""
    return f"https://news.example/{number}."


def _article(number: int, some: Phrases, language: str, chance: Random, *, states: bool) -> Article:
    def filled(template: str) -> str:
        return template.format(
            chance.randint(2, 90), n=chance.randint(2, 900), place=chance.choice(some.places),
            name=chance.choice(some.names),
        )  # fmt: skip

    length = chance.triangular(SHORTEST, LONGEST, USUAL)
    sentences: list[str] = []
    while sum(map(len, sentences)) < length:
        sentences.append(filled(chance.choice(some.plain)))
    if states:
        told = filled(chance.choice(some.stating))
        title, sentences[0] = told.rstrip("."), told
    else:
        title = filled(chance.choice(some.titles))
        if chance.random() < NEAR_SHARE:
            sentences[chance.randrange(len(sentences))] = filled(chance.choice(some.near))
        elif chance.random() < ALMOST_SHARE:
            sentences[chance.randrange(len(sentences))] = filled(chance.choice(some.almost))
    paragraphs = [" ".join(sentences[at : at + 4]) for at in range(0, len(sentences), 4)]
    feed = f"feed-{number % FEEDS}"
    name = digest(feed, str(number))
    text = "\n\n".join(paragraphs)
    return Article(
        id=name, revision=digest(name, title, text), feed=feed, source=Source(owner=feed), language=language,
        url=url_of(number), title=title, summary=sentences[0][:200], text=text, seen_at=_EPOCH,
    )  # fmt: skip
