import pytest
from hypothesis import given, strategies as st

from detectors import patterns
from detectors.lexicon import Lexicon, check
from detectors.places import Gazetteer
from detectors.prefilter import Prefilter
from detectors.settings import LexiconSettings
from detectors.tokens import Sentence, split


def a_sentence(text: str, language: str = "de") -> Sentence:
    return next(split(text, field="text", language=language, abbreviations=frozenset()))


def marked(text: str, *entries: str, **more: tuple[str, ...]) -> list[str]:
    lexicon = Lexicon(LexiconSettings(language="de", classes={"wanted": entries, **more}))
    sentence = a_sentence(text)
    lexicon.mark(sentence)
    return [" ".join(sentence.texts[mark.start : mark.end]) for mark in sentence.of("wanted")]


@pytest.mark.parametrize(
    ("entry", "text", "found"),
    [
        ("tote", "Es gab Tote.", ["Tote"]),
        ("=Tote", "eine tote Leitung und zwei Tote", ["Tote"]),
        ("soldat*", "Soldaten", ["Soldaten"]),
        ("*soldaten", "Bundeswehrsoldaten", ["Bundeswehrsoldaten"]),
        ("ums leben", "Sie kamen ums Leben.", ["ums Leben"]),
        ("brachte|brachten ~6 um$", "Sie brachten vier Bauern um.", ["brachten"]),
        ("brachte|brachten ~6 um$", "Sie brachten vier um die Ecke.", []),
        ("vor # jahren", "vor zwei Jahren", ["vor zwei Jahren"]),
        ("vor # jahren", "vor 12 Jahren", ["vor 12 Jahren"]),
    ],
)
def test_an_entry_finds_its_forms(entry: str, text: str, found: list[str]) -> None:
    lexicon = Lexicon(LexiconSettings(language="de", numbers={"zwei": 2}, classes={"wanted": (entry,)}))
    sentence = a_sentence(text)

    lexicon.mark(sentence)

    assert [" ".join(sentence.texts[mark.start : mark.end]) for mark in sentence.of("wanted")] == found


def test_a_word_or_a_phrase_can_be_kept_out_of_a_class() -> None:
    entries = ("tot*", "!total*", "!toter winkel")

    assert marked("Tote", *entries) == ["Tote"]
    assert marked("totale Sperre", *entries) == []
    assert marked("Toter Winkel am Lastwagen", *entries) == []


def test_a_pseudo_phrase_hides_the_cue_inside_it() -> None:
    assert marked("nicht nur zwei", "nicht") == ["nicht"]
    assert marked("nicht nur zwei", "nicht", pseudo=("nicht nur",)) == []


def test_no_prefilter_drops_a_sentence_that_a_pattern_matches() -> None:
    settings = LexiconSettings(
        language="de", classes={"forces": ("*soldaten",), "sending": ("schick|schickt ~9 los$",)}
    )
    lexicon = Lexicon(settings)
    pattern = patterns.parse("sending ~9 forces", means="troops")
    text = "Der Minister schickt am Abend 40 Gebirgssoldaten los."
    sentence = a_sentence(text)
    lexicon.mark(sentence)
    prefilter = Prefilter(lexicon, [pattern])

    hot = prefilter.hot(prefilter.hits(text.lower()), [sentence])

    assert list(patterns.matches(pattern, sentence))
    assert hot == [0]


@pytest.mark.parametrize("text", ["count ~x dead", "~3 dead", "count ~3", "Count", ""])
def test_a_mistake_in_a_pattern_has_its_column(text: str) -> None:
    with pytest.raises(ValueError, match="column"):
        patterns.parse(text, means="deaths")


@pytest.mark.parametrize(
    ("language", "text", "code"),
    [
        ("de", "Kasachstans Regierung", "KZ"),
        ("de", "die kasachische Regierung", "KZ"),
        ("de", "im Gazastreifen", "PS"),
        ("ru", "в Казахстане", "KZ"),
        ("ru", "в Южной Корее", "KR"),
        ("ru", "под Москвой", "RU"),
        ("en", "in Ivory Coast", "CI"),
        ("en", "the Iraqi town", "IQ"),
        ("fr", "en Côte d'Ivoire", "CI"),
        ("es", "en el Reino Unido", "GB"),
        ("pl", "w Polsce", "PL"),
        ("uk", "у Києві", "UA"),
    ],
)
def test_a_place_stands_for_its_country_in_every_case(language: str, text: str, code: str) -> None:
    sentence = a_sentence(text, language)

    places = Gazetteer(language, LexiconSettings(language=language)).mark(sentence)

    assert [place.code for place in places] == [code]


@given(entry=st.text(alphabet="aß1_ ~|*=!$#.-\u0301", min_size=1, max_size=8))
def test_the_quick_check_refuses_what_cannot_be_compiled(entry: str) -> None:
    settings = LexiconSettings(language="de", classes={"wanted": (entry,)})

    try:
        Lexicon(settings)
    except ValueError:
        with pytest.raises(ValueError, match="names no word"):
            check(settings)
    else:
        check(settings)
