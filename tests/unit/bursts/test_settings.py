from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tocsin.errors import SettingsInvalid
from tocsin.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

RULE = "rules: [{id: mine, type: TYPE, keywords: {any: [strike]}}]\n"


def mistakes(folder: Path, bursts: str, **files: str) -> list[str]:
    own = folder / "own"
    (own / "rules").mkdir(parents=True)
    (own / "tocsin.yaml").write_text(f"bursts: {bursts}\n")
    for name, text in files.items():
        (own / f"{name.replace('__', '/')}.yaml").write_text(text)
    try:
        load_settings(own, data_dir=folder)
    except SettingsInvalid as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("bursts", "told"),
    [
        ("{windows: [90m]}", "whole hours, from 1h to 24h"),
        ("{windows: [2d]}", "whole hours, from 1h to 24h"),
        ("{windows: []}", "1 to 6 windows"),
        ("{history: 36h}", "whole days, from 7d to 91d"),
        ("{warm_up: 7d}", "at least half of history"),
        ("{history: 14d, warm_up: 21d}", "at least half of history, and not more"),
        ("{score: 1}", "greater than or equal to 2"),
        ("{topics: [death]}", "no rule finds the type 'death', did you mean 'deaths'?"),
        ("{topics: [burst]}", "no rule finds the type 'burst'"),
        ("{window: [1h]}", "windows"),
    ],
)
def test_what_cannot_be_meant_is_a_mistake(tmp_path: Path, bursts: str, told: str) -> None:
    (message,) = mistakes(tmp_path, bursts)

    assert told in message


def test_every_type_that_some_rule_finds_can_be_a_topic(tmp_path: Path) -> None:
    rule = RULE.replace("TYPE", "strike")

    assert mistakes(tmp_path, "{topics: [deaths, strike], windows: [2h, 12h]}", rules__mine=rule) == []


def test_no_rule_may_find_bursts(tmp_path: Path) -> None:
    (message,) = mistakes(tmp_path, "{}", rules__mine=RULE.replace("TYPE", "burst"))

    assert "'burst' is kept" in message


def test_a_subscription_may_ask_for_bursts_on_what_is_counted(tmp_path: Path) -> None:
    wanted = "subscriptions: [{id: a, to: [log], when: {burst: {topics: [TOPIC], min: 9}}, steps: [new]}]\n"

    assert mistakes(tmp_path / "a", "{}", subscriptions=wanted.replace("TOPIC", "deaths")) == []
    assert (
        "no rule finds the type 'dead'"
        in mistakes(tmp_path / "b", "{}", subscriptions=wanted.replace("TOPIC", "dead"))[0]
    )
