"""What an operator may write, and what is said of a mistake."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from notifier.settings import EmailSettings, NotifierSettings, SlackWebhookSettings
from tocsin.errors import SettingsInvalid
from tocsin.quantities import Outside, Rate
from tocsin.records import Severity, Step
from tocsin.yamlfile import parse, validate

GOOD = """\
subscriptions:
  - id: duty-desk
    to: [duty-slack, duty-mail]
    when: {types: [deaths, foreign_troops], severity: severe, certainty: reported, countries: [NO, unknown]}
    steps: [new, escalation]
    budget: 5/hour
  - id: everything
    to: log
    language: de
    group_wait: 2m
    at_once_from: extreme
receivers:
  duty-slack: {kind: slack, webhook_url: "${HOOK}"}
  duty-mail:
    kind: email
    smtp: {host: mx.example.org, port: 587, tls: starttls, user: alerts, password_file: secret}
    from: Tocsin <alerts@example.org>
    to: duty@example.org
  me: {kind: apprise, url: "${URL}"}
  log: {kind: file, path: alerts.jsonl}
  screen: {kind: console}
notifier: {opening_wait: 5s}
"""


def read(text: str, directory: Path) -> NotifierSettings:
    (directory / "secret").write_text("swordfish\n")
    outside = Outside(environment={"HOOK": "https://hooks.example/T/B/x", "URL": "ntfy://x"}, directory=directory)
    return validate(NotifierSettings, parse(text.encode(), file="subscriptions.yaml"), outside=outside)


def test_what_the_example_says_is_understood(tmp_path: Path) -> None:
    settings = read(GOOD, tmp_path)

    desk, everything = settings.subscriptions
    slack, mail = settings.receivers["duty-slack"], settings.receivers["duty-mail"]
    assert (desk.steps, desk.budget) == (frozenset({Step.NEW, Step.ESCALATION}), Rate(5, timedelta(hours=1)))
    assert desk.when.countries == ("NO", "unknown")
    assert (everything.to, everything.language) == (("log",), "de")
    assert (everything.group_wait, everything.at_once_from) == (timedelta(minutes=2), Severity.EXTREME)
    assert isinstance(slack, SlackWebhookSettings)
    assert slack.webhook_url.get_secret_value() == "https://hooks.example/T/B/x"
    assert isinstance(mail, EmailSettings)
    assert mail.smtp.password is not None
    assert mail.smtp.password.get_secret_value() == "swordfish"
    assert settings.notifier.opening_wait == timedelta(seconds=5)


def test_no_secret_shows_in_a_repr(tmp_path: Path) -> None:
    shown = repr(read(GOOD, tmp_path))

    assert "swordfish" not in shown
    assert "hooks.example" not in shown
    assert "ntfy://" not in shown


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("kind: console", "kind: consol", "unknown kind 'consol', did you mean 'console'?"),
        ('kind: slack, webhook_url: "${HOOK}"', "kind: slack", "missing key 'webhook_url' (or 'webhook_url_file')"),
        ('webhook_url: "${HOOK}"', "webhook_url: hooks.example/x", "no http:// or https:// address"),
        ('webhook_url: "${HOOK}"', 'webhook_url: "${NONE}"', "the environment variable NONE is not set"),
        ("tls: starttls", "tls: yes", "'yes' is not known here"),
        ("user: alerts, ", "", "user and password belong together"),
        ("from: Tocsin <alerts@example.org>", "from: Tocsin", "'Tocsin' is no mail address"),
        ("to: duty@example.org", "to: [nobody]", "'nobody' is no mail address"),
        ("steps: [new, escalation]", "steps: []", "at least 1"),
        ("severity: severe", "severity: sever", "did you mean 'severe'?"),
        ("budget: 5/hour", "budget: 5", "is no rate"),
        ("language: de", "language: deutsch", "'deutsch' is not known here"),
        ("group_wait: 2m", "group_wait: 2", "is no duration"),
        ("opening_wait: 5s", "opening_wait: 0s", "greater than"),
        ("path: alerts.jsonl", "paht: alerts.jsonl", "unknown key 'paht', did you mean 'path'?"),
    ],
)
def test_a_mistake_has_its_place_and_its_words(was: str, now: str, said: str, tmp_path: Path) -> None:
    assert was in GOOD

    with pytest.raises(SettingsInvalid) as caught:
        read(GOOD.replace(was, now), tmp_path)

    assert any(said in problem.message for problem in caught.value.problems), caught.value
    assert all(problem.line > 1 for problem in caught.value.problems)
