import pickle
import socket
from datetime import UTC, datetime

import pytest

from detectors.engine import DetectorsConfig, Engine, prepare, read
from detectors.languages import language_of
from detectors.ruletests import run_tests
from detectors.scan import scan, to_json
from detectors.settings import KeywordSettings, LexiconSettings, RuleSettings
from tocsin.errors import SettingsInvalid
from tocsin.records import Certainty, DismissalKind, Speaker, Toll
from tocsin.settings import shipped
from tocsin.testing import an_article

STORY = (
    "Bei schweren Unruhen in Usbekistan gab es Berichten zufolge Dutzende Tote. Polizisten hätten in Buchara Dutzende "
    "Angreifer eliminiert, sagte ein Sprecher des Innenministeriums. Die Behörden teilten den Tod von mindestens fünf "
    "Beamten mit. Mehr als 300 Menschen wurden verletzt.\n\n"
    "Russland verlegte Fallschirmjäger ins Land. Sie seien als Teil einer Friedenstruppe entsandt worden, teilte die "
    "OVKS mit. Dem Bündnis gehören neben Russland auch Armenien und Belarus an. Auch diese Staaten hätten Streitkräfte "
    "nach Usbekistan entsandt, hieß es.\n\n"
    "Als Reaktion entließ Präsident Mirsijojew die Regierung."
)


def test_a_whole_article_gives_one_event_of_each_type(engine: Engine) -> None:
    deaths, troops, government = scan(
        engine, id="1", title="Unruhen in Usbekistan", text=STORY, language="de", published="2026-03-02"
    ).events

    assert (deaths.toll, deaths.certainty, deaths.country) == (Toll(min=24, max=None), Certainty.CONFIRMED, "UZ")
    assert [figure.toll for figure in deaths.also] == [Toll(min=5, max=None)]
    assert {s.code: str(s.certainty) for s in troops.senders} == {
        "RU": "confirmed", "CSTO": "confirmed", "AM": "reported", "BY": "reported",
    }  # fmt: skip
    assert [s.code for s in troops.senders if s.alliance] == ["CSTO"]
    assert (government.kind, government.country) == (DismissalKind.DISMISSED, "UZ")


def test_evidence_stands_where_it_says(engine: Engine) -> None:
    result = scan(engine, id="1", title="Unruhen in Usbekistan", text=STORY, language="de")

    fields = {"title": "Unruhen in Usbekistan", "text": STORY}
    pieces = [piece for event in result.events for piece in event.evidence]
    assert pieces
    assert all(fields[piece.field][piece.start : piece.end] == piece.quote for piece in pieces)


def test_the_reason_for_leaving_something_is_kept(engine: Engine) -> None:
    result = scan(engine, id="1", title="", text="In Riga wurde niemand getötet, sagte die Polizei.", language="de")

    (explanation,) = result.explanations
    assert not explanation.accepted
    assert explanation.reason == "negated"
    assert explanation.cue is not None
    assert explanation.cue.quote == "niemand"


def test_a_denial_is_told_apart_and_is_no_event(engine: Engine) -> None:
    text = "Ankara dementierte Berichte, wonach türkische Soldaten nach Zypern entsandt wurden."

    result = scan(engine, id="1", title="", text=text, language="de")

    assert result.events == ()
    assert [(denial.type, denial.country, denial.denied) for denial in result.denials] == [
        ("foreign_troops", "CY", True)
    ]
    assert to_json(result)["events"] == []


def test_a_figure_that_the_text_takes_back_is_marked(engine: Engine) -> None:
    text = "Die Polizei in Lima korrigierte die Zahl der Toten von 31 auf 27 nach unten."

    (event,) = scan(engine, id="1", title="", text=text, language="de").events

    assert event.toll == Toll(min=27, max=27)
    assert event.withdrawn == Toll(min=31, max=31)
    assert event.also == ()


def test_who_says_so_is_kept(engine: Engine) -> None:
    text = "Augenzeugen berichteten von drei getöteten Demonstranten in Lagos."

    (event,) = scan(engine, id="1", title="", text=text, language="de").events

    assert event.attribution is not None
    assert event.attribution.speaker is Speaker.WITNESS
    assert event.certainty is Certainty.REPORTED


def test_the_object_of_a_scan_has_the_agreed_keys(engine: Engine) -> None:
    told = to_json(scan(engine, id="7", title="Two killed in Malta", text="", language="en"))

    assert list(told) == ["id", "lang", "events"]
    (event,) = told["events"]
    assert list(event) == ["type", "min", "max", "approx", "certainty", "country", "also", "evidence", "rule"]
    assert list(event["evidence"][0]) == ["field", "start", "end", "text"]


def test_a_reading_carries_its_article_and_the_version_of_the_rules(engine: Engine) -> None:
    article = an_article(title="Three killed in Narva", summary="Estonian police said so.", language="en", country="EE")

    reading = read(engine, article)

    assert (reading.article, reading.revision, reading.rules) == (article.id, article.revision, engine.version)
    assert (reading.mention.title, reading.mention.lead) == ("Three killed in Narva", "Estonian police said so.")
    assert [(d.toll, d.country, d.country_guessed) for d in reading.detections] == [(Toll(min=3, max=3), "EE", False)]


def test_a_place_that_no_word_names_is_guessed_from_the_feed_and_marked(engine: Engine) -> None:
    article = an_article(title="Three dead after coach crash", language="en", country="IE")

    (detection,) = read(engine, article).detections

    assert (detection.country, detection.country_guessed) == ("IE", True)


def test_an_article_is_old_news_by_the_year_it_was_published(engine: Engine) -> None:
    text = "In 2024 a bomb killed nine people in Quetta."

    then = read(engine, an_article(title=text, published_at=datetime(2024, 5, 1, tzinfo=UTC)))
    later = read(engine, an_article(title=text, published_at=datetime(2026, 5, 1, tzinfo=UTC)))

    assert len(then.detections) == 1
    assert later.detections == ()


def test_the_configuration_travels_and_its_version_follows_its_content() -> None:
    config = DetectorsConfig.load(shipped())
    changed = DetectorsConfig.of(config.rules[:1], config.lexicons)

    again = pickle.loads(pickle.dumps(config))  # noqa: S301  our own bytes

    assert again == config
    assert changed.version != config.version


def test_the_tests_beside_the_shipped_rules_pass(engine: Engine) -> None:
    results = run_tests(engine)

    assert results
    assert [(result.rule, result.text, result.differences) for result in results if not result.passed] == []


def test_reading_opens_no_socket(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)

    assert scan(engine, id="1", title="", text="Zwei Menschen starben bei einem Brand in Riga.").events


@pytest.mark.parametrize(
    ("text", "prior", "language"),
    [
        ("Zwei Tote", "de", "de"),
        ("Погибли двое", "ru", "ru"),
        ("Погибли двое", "en", "ru"),
        ("Two people were killed and several others injured in the city on Friday, the police said.", "de", "en"),
        ("Two people were killed and several others injured in the city on Friday, the police said.", None, "en"),
        ("Die Regierung hat am Freitag mitgeteilt, dass sie sich nach der Wahl mit dem Rat trifft.", "de", "de"),
        ("Die Regierung hat am Freitag mitgeteilt, dass sie sich nach der Wahl mit dem Rat trifft.", "en", "de"),
        ("The minister said that with the end of the year they would have to leave their home.", "de", "en"),
    ],
)
def test_the_feed_is_believed_about_its_language_unless_the_text_says_otherwise(
    text: str, prior: str | None, language: str
) -> None:
    assert language_of(text, prior=prior, known=frozenset({"de", "en", "ru"})) == language


def test_a_custom_type_takes_the_country_of_its_sentence() -> None:
    rule = RuleSettings(id="shutdown", type="internet_shutdown", query='internet* NEAR/5 (shutdown OR "cut off")')
    english = LexiconSettings(language="en", classes={"located": ("in",)})
    engine = prepare(DetectorsConfig.of([rule], [english]))

    (event,) = scan(
        engine, id="1", title="Internet shutdown in Gabon as protests spread", text="", language="en"
    ).events

    assert (event.type, event.country, event.certainty) == ("internet_shutdown", "GA", Certainty.CONFIRMED)


def test_words_find_in_a_language_that_no_lexicon_knows() -> None:
    rule = RuleSettings(id="aid", type="watchlist", keywords=KeywordSettings(any=("Example Aid",)))
    engine = prepare(DetectorsConfig.of([rule], []))

    (event,) = scan(engine, id="1", title="Example Aid sluit kantoor", text="", language="nl").events

    assert event.rule == "aid"


def test_a_rule_may_be_a_function() -> None:
    rule = RuleSettings(id="long", type="long", python="tests.unit.detectors.strangers_rules:found_by_code")
    engine = prepare(DetectorsConfig.of([rule], []))

    reading = read(engine, an_article(text="long enough to matter"))

    assert [detection.type for detection in reading.detections] == ["long"]


def test_a_function_that_is_not_there_is_a_mistake_of_the_file() -> None:
    rule = RuleSettings(id="gone", type="gone", python="no_such_module:function")

    with pytest.raises(SettingsInvalid, match="no module 'no_such_module'"):
        prepare(DetectorsConfig.of([rule], []))
