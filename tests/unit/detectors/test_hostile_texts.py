"""Texts that want to keep a worker child busy: time in proportion to what is read, whatever it says, and no crash."""

import gc
import time
import tracemalloc
from collections.abc import Callable

import pytest

from detectors.engine import TEXT_CHARS, DetectorsConfig, Engine, prepare
from detectors.settings import RuleSettings
from tocsin.settings import shipped

MEGABYTE = 1024 * 1024
SHORT, LONG = 2_000, 16_000
MOST = 24  # times as long for eight times the text: 8 by rights, and 64 where each word looks at all others
FLOOR_S = 0.01
ROUNDS = 3

MEANINGLESS = {
    "brackets": "(", "one letter": "a", "one capital": "A", "capitals with stops": "A.", "initials": "U.S. ",
    "combining marks": "\u0301", "letters with marks": "a\u0301", "Arabic vowel signs": "ق\u064e",
    "directions": "\u202e\u200f", "zero width": "\u200b", "letters with joiners": "a\u200d", "soft hyphens": "a\u00ad",
    "digits": "1", "digits and commas": "1,", "groups of digits": "1,111,", "groups with a blank": "111 ",
    "clock times": "1:", "quotation marks": '"', "paired quotation marks": "“”«»", "line breaks": "\n",
    "one word a line": "a\n", "full stops": ".", "full stops and a word": "." * 60 + "Ab", "three dots": "… ",
    "exclamations": "!?", "hyphens": "-", "hyphenated": "a-", "apostrophes": "a'", "semicolons": ";", "commas": ", ",
    "colons": ": ", "underscores": "_", "tabs": "\t", "no-break spaces": "\u00a0", "null": "\x00", "emoji": "😀",
    "half a pair": "\ud800", "sigma": "Σ", "dotted capital I": "İ", "tatweel": "ـ", "Chinese": "死",
    "glued headings": "abcDef",
}  # fmt: skip
MEANING = {
    "a verb": ("en", "killed "),
    "a short report": ("en", "12 killed. "),
    "reports in a row": ("en", "12 killed and 13 killed "),
    "a German report": ("de", "Zwölf Tote. "),
    "with a place": ("de", "Zwölf Tote in Kiew. "),
    "a country apart": ("en", "Russia. 12 killed. "),
    "a Russian report": ("ru", "погибли 12 человек. "),
    "an Arabic verb": ("ar", "قتل "),
    "towns": ("en", "in Paris, Texas, in Kiew, in Rom "),
    "soldiers": ("en", "Russian soldiers arrived in Ukraine. "),
    "resignations": ("en", "The government resigned. "),
    "no full stop": ("en", "government resigned "),
    "a split verb": ("de", "brachte "),
    "a number of words": ("en", "two hundred thousand "),
    "German hundreds": ("de", "hundert"),
    "ranges": ("en", "12–15"),
    "sums": ("en", "two women and three children and "),
    "denials": ("en", "denied that 12 people were killed, "),
    "corrections": ("en", "not 12 but 13 killed. "),
    "years": ("en", "in 1987 12 people were killed, "),
    "many counts": ("en", "12 killed, 115 hurt, 3 missing, "),
    "rises": ("en", "rose from 12 to 15 dead "),
    "a source": ("en", "police said "),
    "pairs of words": ("en", "port shut "),
}
TEXTS = {**{name: ("en", unit) for name, unit in MEANINGLESS.items()}, **MEANING}
RULES: tuple[dict[str, object], ...] = (
    {"query": "port NEAR/9 shut NEAR/9 port NEAR/9 shut"},
    {"query": "title:port AND NOT shut"},
    {"keywords": {"any": ["port", "kill*", "a"], "regex": ["(a|b|ab)*c", "([0-9]+,?)+x"]}},
)


@pytest.fixture(scope="module")
def ready() -> Engine:
    config = DetectorsConfig.load(shipped())
    own = [RuleSettings.model_validate({"id": f"own-{n}", "type": f"own_{n}", **way}) for n, way in enumerate(RULES)]
    engine = prepare(DetectorsConfig.of((*config.rules, *own), config.lexicons))
    for language in engine.tongues:
        engine.examine({"text": "12 killed in Kyiv, zwölf Tote in Kiew"}, language=language, closely=True)
    return engine


def taken(work: Callable[[], object]) -> float:
    """Return the processor time of the quickest of some rounds, the collector's not counted."""
    found = []
    gc.disable()
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        found.append(time.process_time() - started)
    gc.enable()
    return min(found)


@pytest.mark.parametrize(("language", "unit"), TEXTS.values(), ids=TEXTS)
def test_time_grows_as_the_text_does(ready: Engine, language: str, unit: str) -> None:
    short, long = ((unit * (size // len(unit) + 1))[:size] for size in (SHORT, LONG))

    once = taken(lambda: ready.examine({"text": short}, language=language))
    eight = taken(lambda: ready.examine({"text": long}, language=language))

    assert eight < MOST * max(once, FLOOR_S)


@pytest.mark.parametrize(("language", "unit"), TEXTS.values(), ids=TEXTS)
def test_ten_megabytes_are_survived(ready: Engine, language: str, unit: str) -> None:
    text = unit * (10 * MEGABYTE // len(unit))

    found = ready.examine({"title": "", "text": text}, language=language)

    assert all(evidence.end <= 4 * TEXT_CHARS for one in found.detections for evidence in one.evidence)


@pytest.mark.parametrize("unit", ["(", "killed ", "12 killed. ", "a\u0301", "\u200b", "a\n"])
def test_a_long_text_takes_no_more_memory_than_what_is_read_of_it(ready: Engine, unit: str) -> None:
    text = unit * (10 * MEGABYTE // len(unit))
    tracemalloc.start()

    ready.examine({"text": text}, language="en")

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * MEGABYTE


def test_half_a_pair_of_surrogates_hides_nothing(ready: Engine) -> None:
    found = ready.examine({"text": "Explosion in Kyiv. \ud800 Twelve people were killed. \udc00"}, language="en")

    assert "deaths" in {one.type for one in found.detections}
    assert all(evidence.quote.encode() for one in found.detections for evidence in one.evidence)


def test_a_near_of_many_words_does_not_multiply(ready: Engine) -> None:
    found = ready.examine({"text": "port shut " * 3000}, language="en")

    assert "own_0" in {one.type for one in found.detections}
