import pytest

from detectors.document import Document
from detectors.keywords import Keywords
from detectors.query import Query
from detectors.settings import KeywordSettings
from detectors.tokens import split


def a_document(title: str = "", text: str = "") -> Document:
    fields = {"title": title, "text": text}
    sentences = [
        sentence
        for name, words in fields.items()
        for sentence in split(words, field=name, language="en", abbreviations=frozenset())
    ]
    return Document(language="en", home=None, sentences=sentences, fields=fields)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("internet", True),
        ("inter", False),
        ("inter*", True),
        ('"internet shutdown"', True),
        ('"shutdown internet"', False),
        ("title:shutdown", True),
        ("text:shutdown", False),
        ("title:(internet* NEAR/0 (shutdown OR blackout))", True),
        ("internet NEAR/2 gabon", True),
        ("internet NEAR/1 gabon", False),
        ("internet protests", True),
        ("internet AND election", False),
        ("internet OR election", True),
        ("internet AND NOT protests", False),
        ("internet NOT background", True),
        ("INTERNET", True),
    ],
)
def test_a_query_finds_what_it_says(query: str, found: bool) -> None:
    document = a_document("Internet shutdown in Gabon", "The government reacted to protests.")

    hits = Query(query).find(document)

    assert bool(hits) is found


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("(a OR b", "column 8: the '(' of column 1 is not closed"),
        ("a AND", "column 6: expected a word"),
        ("a OR OR b", "column 6: expected a word, a phrase or '(', not 'OR'"),
        ("body:a", "column 1: no field 'body'"),
        ("NOT a", "column 1: matches by absence alone"),
        ("a )", "column 3: expected AND, OR, NEAR/n or the end, not ')'"),
        ("", "column 1: expected a word"),
        ("(" * 60 + "a" + ")" * 60, "nested deeper"),
        ("a *net", "column 3: '*net': '*' stands for any ending"),
        ('"inter*net down"', "column 1: 'inter*net': '*' stands for any ending"),
        ("a NEAR5 b", """column 3: 'NEAR5' would be a word here: the operator is NEAR/5, the word "NEAR5\""""),
        ("a NEAR b", "column 3: 'NEAR' would be a word here: the operator is NEAR/5"),
        ("a near/3 b", "column 3: 'near/3' would be a word here: the operator is NEAR/3"),
        ("a or b", """column 3: 'or' would be a word here: the operator is OR, the word "or\""""),
        ("a and (not b)", "column 3: 'and' would be a word here: the operator is AND"),
    ],
)
def test_a_mistake_in_a_query_has_its_column(query: str, message: str) -> None:
    with pytest.raises(ValueError, match="query") as raised:
        Query(query)

    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        (KeywordSettings(any=("gabon",)), True),
        (KeywordSettings(any=("gab",)), False),
        (KeywordSettings(any=("gab*",)), True),
        (KeywordSettings(any=("internet shutdown",)), True),
        (KeywordSettings(all=("internet", "protests")), True),
        (KeywordSettings(all=("internet", "election")), False),
        (KeywordSettings(any=("internet",), none=("protest*",)), False),
    ],
)
def test_keywords_are_whole_words_in_any_case(settings: KeywordSettings, found: bool) -> None:
    document = a_document("Internet shutdown in Gabon", "The government reacted to protests.")

    hits = Keywords(settings).find(document)

    assert bool(hits) is found


def test_the_words_found_are_pointed_at() -> None:
    document = a_document("No internet in Gabon")

    ((sentence, start, end),) = Query('"internet in"').find(document)

    assert sentence.texts[start:end] == ["internet", "in"]


@pytest.mark.parametrize(
    "query", ['"or" internet', '"near 5" internet', "internet near Gabon", "Or internet*", "title:near"]
)
def test_a_word_that_only_reads_like_an_operator_is_a_word(query: str) -> None:
    assert Query(query).words


def test_the_star_of_a_keyword_stands_at_its_end() -> None:
    with pytest.raises(ValueError, match=r"'\*net': '\*' stands for any ending"):
        Keywords(KeywordSettings(any=("*net",)))
