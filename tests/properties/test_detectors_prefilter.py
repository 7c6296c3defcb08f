from functools import lru_cache

from hypothesis import given, settings, strategies as st

from detectors import deaths, dismissal, troops
from detectors.document import Document, annotate
from detectors.engine import DetectorsConfig, Engine, prepare
from detectors.settings import KeywordSettings, RuleSettings
from detectors.tokens import TOKENS_A_SENTENCE, fold, split
from tocsin.settings import shipped

FINDERS = {"deaths": deaths, "foreign_troops": troops, "government_dismissal": dismissal}
GERMAN = (
    *(
        "Tote",
        "Toter",
        "getötet",
        "starben",
        "kamen",
        "ums",
        "Leben",
        "nahm",
        "sich",
        "brachte",
        "um",
        "zwölf",
        "Schüsse",
    ),
    *(
        "mindestens",
        "nicht",
        "könnte",
        "Soldaten",
        "UN-Soldaten",
        "schickt",
        "entsendet",
        "los",
        "nach",
        "Mali",
        "Truppen",
    ),
    *(
        "Regierung",
        "entlässt",
        "Präsident",
        "Misstrauen",
        "stürzt",
        "tritt",
        "zurück",
        "Dr.",
        "U.S.",
        "19",
        "2004",
        "5Tote",
    ),
    *(",", ".", "?", "!", "…", "„", "“", "-", "'", "\n", ";", "Gesten", "bzw.", "6.", "Mai"),
)
TEXTS = st.lists(st.sampled_from(GERMAN), min_size=1, max_size=60).map(" ".join)
ANY_TEXT = st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from("aAзЗٌـİIıΣς.!?\n '-1"), max_size=300)


@lru_cache(maxsize=1)
def shipped_engine() -> Engine:
    return prepare(DetectorsConfig.load(shipped()))


@settings(deadline=None)
@given(text=TEXTS)
def test_an_article_is_left_unread_only_when_reading_it_all_finds_nothing(text: str) -> None:
    engine = shipped_engine()
    tongue = engine.tongues["de"]
    sentences = list(split(text, field="text", language="de", abbreviations=tongue.lexicon.abbreviations))
    for sentence in sentences:
        annotate(sentence, tongue.lexicon, tongue.gazetteer)
    document = Document(language="de", home="DE", sentences=sentences, fields={"text": text})
    found = [one for rule in engine.rules if rule.patterns for one in FINDERS[rule.settings.type].find(document, rule)]

    folded = fold(text, "de")
    hits = tongue.prefilter.hits(folded)
    read = tongue.is_promising({"text": text}, {"text": folded}, {"text": hits})

    sure = tongue.prefilter.remaining(folded, hits)
    assert read or not found or not tongue.prefilter.hot(sure, sentences)


@settings(deadline=None)
@given(text=ANY_TEXT, language=st.sampled_from(["de", "tr", "ru", "ar", ""]))
def test_cutting_loses_no_word_and_folds_each_as_it_would_by_itself(text: str, language: str) -> None:
    sentences = list(split(text, field="text", language=language, abbreviations=frozenset({"bzw"})))

    kept = "".join(word for sentence in sentences for word in sentence.texts)
    assert [c for c in kept if c.isalpha()] == [c for c in text if c.isalpha()]
    for sentence in sentences:
        assert 0 < len(sentence) <= TOKENS_A_SENTENCE
        assert sentence.texts == [text[a:b] for a, b in zip(sentence.starts, sentence.ends, strict=True)]
        assert sentence.lows == [fold(word, language) for word in sentence.texts]


@settings(deadline=None)
@given(words=st.lists(st.sampled_from(["internet", "shutdown", "gabon", "Hilfe", "Σ", "background", "."]), max_size=8))
def test_a_rule_of_words_is_passed_over_only_when_it_cannot_match(words: list[str]) -> None:
    rules = [
        RuleSettings(id="q", type="net", query="(internet* NEAR/2 shutdown) OR title:gabon AND NOT background"),
        RuleSettings(id="k", type="aid", keywords=KeywordSettings(any=("hilf*",), all=("internet",), none=("gabon",))),
    ]
    engine = prepare(DetectorsConfig.of(rules, []))
    fields = {"title": " ".join(words[:2]), "text": " ".join(words)}
    sentences = [
        sentence
        for name, text in fields.items()
        for sentence in split(text, field=name, language="", abbreviations=frozenset())
    ]
    document = Document(language="", home=None, sentences=sentences, fields=fields)

    found = engine.examine(fields, language="xx")

    for rule in engine.rules:
        matches = rule.keywords.find(document) if rule.keywords else rule.query.find(document) if rule.query else []
        assert bool(matches) == any(d.rule == rule.settings.id for d in found.detections)
