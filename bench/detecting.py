"""The detectors, from a text to its events, beside those who only look for the same words.

A second is one of processor time, of one core: what else the machine does at that moment has less to say.

They read generated news (`bench.news`), 8 % of which states something, or a corpus of the operator's own: a file or a
directory of `*.jsonl`, whose lines have `title`, `text` and `lang`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from functools import cache, partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from bench.claim import Claim
from bench.news import articles as generated
from bench.path import UV
from detectors.engine import DetectorsConfig, prepare, read
from detectors.settings import RuleSettings
from tocsin.settings import load_settings
from tocsin.testing import an_article

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from detectors.engine import Engine
    from tocsin.records import Article

RECORDS: Final = 2_000
SHARE: Final = 0.08
TIMES: Final = 10
PHRASES_A_RULE: Final = 100
SAMPLE: Final = 40  # of so many articles the alternation reads one; it takes as long for it as we for them all
_LITERAL: Final = re.compile(r"=?[^\W\d_]+(?: [^\W\d_]+)*\*?")


def articles_of(corpus: Path | None, *, share: float = SHARE) -> list[Article]:
    """Return at least `RECORDS` articles."""
    if corpus is None:
        return list(islice(generated(share=share), RECORDS))
    files = sorted(corpus.glob("*.jsonl")) if corpus.is_dir() else [corpus]
    rows = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    texts = [(row.get("title") or "", row["text"], row.get("lang")) for row in rows if row.get("text")]
    texts = (texts * (RECORDS // len(texts) + 1))[: max(RECORDS, len(texts))]
    return [
        an_article(url=f"https://bench.example/{n}", title=title, text=text, language=language)
        for n, (title, text, language) in enumerate(texts)
    ]


def config() -> DetectorsConfig:
    """Return the shipped rules and lexicons."""
    return load_settings(None, data_dir=Path()).detectors


@cache
def phrases() -> Mapping[str, Sequence[str]]:
    """Return what of each lexicon a plain search can look for: words, starts of words and phrases, in small letters."""
    return {
        lexicon.language: sorted(
            {
                entry.strip("=*").lower()
                for entries in lexicon.classes.values()
                for entry in entries
                if _LITERAL.fullmatch(entry)
            }
        )
        for lexicon in config().lexicons
    }


@cache
def engine(times: int = 1) -> Engine:
    """Return the detectors with so many times the shipped rules; the others look for phrases that occur nowhere."""
    shipped = config()
    chance = Random(1)  # noqa: S311 - no secret
    more = (times - 1) * len(shipped.rules)
    languages = [lexicon.language for lexicon in shipped.lexicons]
    own = [_rule(number, chance, languages) for number in range(more)]
    return prepare(DetectorsConfig.of((*shipped.rules, *own), shipped.lexicons))


def _rule(number: int, chance: Random, languages: Sequence[str]) -> RuleSettings:
    def word() -> str:
        return "".join(chance.choice("bdfgklmnprst") + chance.choice("aeiou") for _ in range(4)) + "q"

    def some() -> list[str]:
        return [f"{word()} {word()}" for _ in range(PHRASES_A_RULE // 2)]

    ways: tuple[dict[str, Any], ...] = (
        {
            "words": {language: {"deed": some(), "thing": some()} for language in languages},
            "patterns": [{"find": "deed ~4 thing place?"}, {"find": "count thing ~4 deed"}],
        },
        {"keywords": {"any": [*some(), *some()]}},
        {"query": " OR ".join(f"({word()} NEAR/5 {word()})" for _ in range(PHRASES_A_RULE // 2))},
    )
    return RuleSettings.model_validate({"id": f"own-{number}", "type": f"own_{number}", **ways[number % len(ways)]})


def ours(articles: Sequence[Article], *, times: int = 1) -> float:
    """Read articles to their events; return articles a second."""
    detectors = engine(times)
    for article in articles[::20]:
        read(detectors, article)
    started = time.process_time()
    for article in articles:
        read(detectors, article)
    return len(articles) / (time.process_time() - started)


def keyword_loop(articles: Sequence[Article]) -> float:
    """Ask for each word of the article's language whether it is in the text, as a simple program would."""
    wanted = phrases()
    started = time.process_time()
    for article in articles:
        text = f"{article.title}\n{article.text}".lower()
        [word for word in wanted.get(article.language or "", ()) if word in text]
    return len(articles) / (time.process_time() - started)


def alternation(articles: Sequence[Article]) -> float:
    """Look for them with one compiled alternation of the standard library for each language."""
    compiled = {
        language: re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(words, key=len, reverse=True))) + ")")
        for language, words in phrases().items()
    }
    some = articles[:: max(1, len(articles) // (RECORDS // SAMPLE))]
    nothing = re.compile(r"(?!)")
    started = time.process_time()
    for article in some:
        compiled.get(article.language or "", nothing).findall(f"{article.title}\n{article.text}".lower())
    return len(some) / (time.process_time() - started)


def spacy_matcher(articles: Sequence[Article]) -> dict[str, float]:
    """Have spaCy's PhraseMatcher look for them; fetched for this run alone, into an environment of its own.

    Raises:
        subprocess.CalledProcessError: it cannot be had.
    """
    told = {
        "phrases": phrases(),
        "texts": [(article.language, f"{article.title}\n{article.text}") for article in articles],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(told, file)
        file.flush()
        command = [str(UV), "run", "-q", "--no-project", "--isolated", "--python", sys.executable, "--with", "spacy"]
        command += ["python", "-m", "bench.spacy_matcher", file.name]
        found = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own module
    figures: dict[str, float] = json.loads(found.stdout)
    return figures


@cache
def has_spacy() -> bool:
    """Tell whether spaCy can be had here."""
    try:
        spacy_matcher(list(islice(generated(share=SHARE), 2)))
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def claims(corpus: Path | None) -> list[Claim]:
    """Return what is claimed, with the peers."""
    articles = articles_of(corpus)
    silent = [article for article in articles if not read(engine(), article).detections]
    peers = [("a loop over keywords", keyword_loop), ("re alternation", alternation)]
    if has_spacy():
        peers.append(("spaCy PhraseMatcher", lambda some: spacy_matcher(some)["rate"]))
    else:
        print("spaCy cannot be had from a registry here, so it is left out", file=sys.stderr)
    unit = "articles/s"
    loop, _ = peers[0]
    return [
        *(
            Claim("detectors: text to events", unit, partial(ours, articles), name, partial(peer, articles))
            for name, peer in peers
        ),
        Claim(
            "detectors: where nothing is stated", unit, partial(ours, silent), loop,
            partial(keyword_loop, silent),
        ),
        Claim(
            f"detectors: {TIMES} × the rules", unit, partial(ours, articles, times=TIMES), "the shipped rules",
            partial(ours, articles),
        ),
    ]  # fmt: skip
