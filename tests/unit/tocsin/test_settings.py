from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tocsin.errors import SettingsInvalid
from tocsin.settings import Settings, load_settings, shipped

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FEED = "sources: {feeds: [{id: a, url: 'https://a.example/rss', country: NO}]}\n"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def loaded(tmp_path: Path, *environment: Mapping[str, str], **files: str) -> Settings:
    own = write(tmp_path / "own", {name.replace("__", "/") + ".yaml": text for name, text in files.items()})
    return load_settings(own, data_dir=tmp_path, environment=environment[0] if environment else {})


def mistakes(tmp_path: Path, **files: str) -> list[str]:
    with pytest.raises(SettingsInvalid) as caught:
        loaded(tmp_path, **files)
    return [str(problem).replace(f"{tmp_path}/own/", "") for problem in caught.value.problems]


def test_the_shipped_configuration_is_right(tmp_path: Path) -> None:
    settings = load_settings(None, data_dir=tmp_path)

    assert len(settings.sources.feeds) >= 40
    assert len({feed.language for feed in settings.sources.feeds}) >= 10
    assert set(settings.notifier.receivers) == {"console", "log"}
    assert settings.tocsin.workers >= 1


def test_the_comments_of_the_shipped_tocsin_yaml_tell_the_defaults(tmp_path: Path) -> None:
    empty = loaded(tmp_path, tocsin="tocsin:\n")

    settings = load_settings(None, data_dir=tmp_path)

    assert settings.tocsin == empty.tocsin
    assert settings.bursts == empty.bursts
    assert settings.incidents == empty.incidents


def test_a_file_of_the_same_name_replaces_the_shipped_one_and_the_others_stay(tmp_path: Path) -> None:
    settings = loaded(tmp_path, feeds=FEED)

    assert [feed.country for feed in settings.sources.feeds] == ["NO"]
    assert settings.notifier.subscriptions == load_settings(None, data_dir=tmp_path).notifier.subscriptions


def test_a_key_may_stand_in_any_file_but_only_once(tmp_path: Path) -> None:
    first = shipped() / "feeds.yaml"

    told = mistakes(tmp_path, mine=FEED)

    assert told == [
        f"mine.yaml:1:1: 'sources' stands in {first} too: give this file the name 'feeds.yaml' to replace that one"
    ]


def test_rules_may_stand_in_many_files_and_keep_their_places(tmp_path: Path) -> None:
    rule = "rules:\n  - {{id: {0}, type: {0}, keywords: {{any: [{0}]}}}}\n"

    settings = loaded(tmp_path, rules__one=rule.format("one"), rules__two=rule.format("two"))
    told = mistakes(
        tmp_path,
        rules__one=rule.format("one") + "  - {id: 5, type: x, query: x}\n",
        rules__two=rule.format("two") + "  - {id: x, typ: x, query: x}\n",
    )

    assert {"one", "two"} <= {rule.id for rule in settings.detectors.rules}
    assert told == [
        "rules/one.yaml:3:10: expected text, found a number: put quotes around it",
        "rules/two.yaml:3:13: unknown key 'typ', did you mean 'type'?",
    ]


KAFKA = "kafka: {brokers: ['127.0.0.1:9092']}"
POSTGRESQL = "postgresql: {dsn: 'postgresql://tocsin:hidden@127.0.0.1/tocsin'}"


def test_a_cluster_needs_both_and_an_embedded_service_neither(tmp_path: Path) -> None:
    half = mistakes(tmp_path, tocsin=f"tocsin: {{mode: cluster, {KAFKA}}}")
    mixed = mistakes(tmp_path, tocsin=f"tocsin: {{{KAFKA}}}")
    settings = loaded(tmp_path, tocsin=f"tocsin: {{mode: cluster, {KAFKA}, {POSTGRESQL}}}")

    assert half == ["tocsin.yaml:1:16: mode cluster needs postgresql: see docs/cluster.md"]
    assert mixed == ["tocsin.yaml:1:17: kafka belongs to mode: cluster, and this is mode: embedded"]
    assert settings.tocsin.mode == "cluster"
    assert "hidden" not in repr(settings)


def test_every_mistake_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    told = mistakes(
        tmp_path,
        broken="a: [1\n",
        feeds="sources: {feeds: [{id: a, url: x}]}",
        tocsin="tocsin: {timezone: Europe/Brussel, workers: 0, mode: clustr}\nsubscription: []",
    )

    assert told == [
        "broken.yaml:2:1: did not find expected ',' or ']' (while parsing a flow sequence)",
        "feeds.yaml:1:32: 'x' is no address: write it whole, as https://news.example/feed.xml",
        "tocsin.yaml:1:20: no time zone 'Europe/Brussel', did you mean 'Europe/Brussels'?",
        "tocsin.yaml:1:45: input should be greater than or equal to 1",
        "tocsin.yaml:1:54: 'clustr' is not known here, did you mean 'cluster'?",
        "tocsin.yaml:2:1: unknown key 'subscription', did you mean 'subscriptions'?",
    ]


@pytest.mark.parametrize(
    ("subscription", "told"),
    [
        ("{id: a, to: [consol]}", "1:30: no receiver 'consol', did you mean 'console'?"),
        (
            "{id: a, to: console, when: {types: [death]}}",
            "1:53: no rule finds the type 'death', did you mean 'deaths'?",
        ),
        ("{id: a, to: console, when: {countries: [UK]}}", "1:57: no country 'UK', did you mean GB?"),
        ("{id: a, to: console, when: {severity: sever}}", "1:55: 'sever' is not known here, did you mean 'severe'?"),
        ("{id: a, to: console}, {id: a, to: console}", "1:44: a second subscription 'a', the first is in line 1"),
    ],
)
def test_a_subscription_that_refers_to_nothing_is_a_mistake(tmp_path: Path, subscription: str, told: str) -> None:
    assert mistakes(tmp_path, subscriptions=f"subscriptions: [{subscription}]") == [f"subscriptions.yaml:{told}"]


def test_a_subscription_may_ask_for_a_type_that_an_own_rule_finds(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        rules__mine="rules: [{id: ours, type: watchlist, keywords: {any: [Beispielhilfe]}}]",
        subscriptions="subscriptions: [{id: a, to: console, when: {types: [watchlist]}}]",
    )

    assert settings.notifier.subscriptions[0].when.types == ("watchlist",)


def test_the_same_id_twice_is_told_with_the_place_of_the_first(tmp_path: Path) -> None:
    told = mistakes(
        tmp_path,
        feeds="sources:\n  feeds:\n    - {id: a, url: 'https://a.example'}\n    - {id: a, url: 'https://b.example'}\n",
        rules__one="rules:\n  - {id: x, type: x, query: x}\n",
        rules__two="rules:\n  - {id: x, type: x, query: x}\n",
    )

    assert told == [
        "feeds.yaml:4:12: a second feed 'a', the first is in line 3",
        "rules/two.yaml:2:10: a second rule 'x', the first is in rules/one.yaml:2",
    ]


def test_a_feed_of_a_country_that_is_none_is_a_mistake(tmp_path: Path) -> None:
    told = mistakes(tmp_path, feeds="sources: {feeds: [{id: a, url: 'https://a.example', country: UK}]}")

    assert told == ["feeds.yaml:1:62: no country 'UK', did you mean 'GB'?"]


def test_a_rule_on_a_class_that_no_language_has_is_a_mistake(tmp_path: Path) -> None:
    told = mistakes(
        tmp_path,
        lexicons__xx="language: xx\nclasses: {victims: [x]}",
        lexicons__yy="language: zz",
        rules__mine="rules: [{id: x, type: x, query: x, lexicons: [victms]}]",
    )

    assert "rules/mine.yaml:1:47: no lexicon has a class 'victms', did you mean 'victims'?" in told
    assert "lexicons/yy.yaml:1:11: the file of 'zz' must be named zz.yaml" in told


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("query: 'a AND'", "1:33: query, column 6: expected a word, a phrase or '('"),
        ("python: 'nowhere:find'", "1:34: no module 'nowhere': No module named 'nowhere'"),
    ],
)
def test_a_rule_that_cannot_be_compiled_is_a_mistake_at_its_place(tmp_path: Path, rule: str, told: str) -> None:
    assert mistakes(tmp_path, rules__mine=f"rules: [{{id: x, type: x, {rule}}}]") == [f"rules/mine.yaml:{told}"]


def test_a_lexicon_entry_without_a_word_is_a_mistake(tmp_path: Path) -> None:
    told = mistakes(tmp_path, lexicons__xx="language: xx\nclasses:\n  dead: [tot, '~3']\n")

    assert told == ["lexicons/xx.yaml:1:1: lexicon 'xx': the entry '~3' names no word"]


def test_a_secret_is_looked_up_in_the_environment_that_is_handed_in(tmp_path: Path) -> None:
    receivers = "receivers: {console: {kind: console}, log: {kind: apprise, url: '${PAGER}'}}"

    settings = loaded(tmp_path, {"PAGER": "json://geheim"}, receivers=receivers)
    told = mistakes(tmp_path, receivers=receivers)

    assert "geheim" not in repr(settings)
    assert told == ["receivers.yaml:1:65: the environment variable PAGER is not set"]


def test_the_version_changes_with_any_byte_of_any_file(tmp_path: Path) -> None:
    one = loaded(tmp_path / "1", feeds=FEED)
    same = loaded(tmp_path / "2", feeds=FEED)
    other = loaded(tmp_path / "3", feeds=FEED + "# another\n")

    assert one.version == same.version != other.version


def test_a_directory_that_is_not_there_or_empty_and_a_misnamed_file_are_mistakes(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "feeds.yml").write_text(FEED)

    with pytest.raises(SettingsInvalid, match="there is no such directory of configuration"):
        load_settings(tmp_path / "nowhere", data_dir=tmp_path)
    with pytest.raises(SettingsInvalid, match="this directory holds no configuration"):
        load_settings(tmp_path / "empty", data_dir=tmp_path)
    with pytest.raises(SettingsInvalid, match=r"feeds\.yml:1:1: name it feeds\.yaml"):
        load_settings(tmp_path / "own", data_dir=tmp_path)


def test_durations_of_a_file_arrive_as_spans(tmp_path: Path) -> None:
    settings = loaded(tmp_path, tocsin="incidents: {ring_within: 1h30m}")

    assert settings.incidents.ring_within == timedelta(minutes=90)
