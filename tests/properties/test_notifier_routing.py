"""What routing promises, whatever the subscriptions say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

from hypothesis import given, settings, strategies as st

from notifier.backoff import RETRY_AFTER_CAP, Breaker, Pace, pause, wished
from notifier.channels.http import retry_after_s
from notifier.routing import Verdict, routes, rulings
from notifier.settings import SubscriptionSettings
from tocsin.matcher import matches
from tocsin.records import Alert, Certainty, Severity, Step
from tocsin.testing import NOON, an_alert

NAMES = ("desk", "mail", "pager")


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    certainty = draw(st.sampled_from(Certainty))
    alert = an_alert(
        step=draw(st.sampled_from(Step)),
        severity=draw(st.sampled_from(Severity)),
        certainty=certainty,
        countries=draw(st.sampled_from((("KZ",), ("EE",), ()))),
        late=draw(st.booleans()),
    )
    return replace(alert, facts=(replace(alert.facts[0], certainty=certainty),))


@st.composite
def subscriptions(draw: st.DrawFn) -> list[SubscriptionSettings]:
    made = []
    for number in range(draw(st.integers(0, 4))):
        when = {
            key: draw(values)
            for key, values in (
                ("severity", st.sampled_from(Severity)),
                ("certainty", st.sampled_from(Certainty)),
                ("countries", st.sampled_from((("KZ",), ("EE", "unknown")))),
            )
            if draw(st.booleans())
        }
        parts = {
            "id": f"s{number}",
            "to": draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)),
            "when": when,
            "steps": draw(st.sets(st.sampled_from(Step), min_size=1)),
            "group_wait": draw(st.sampled_from(("0s", "30s", "5m"))),
        }
        made.append(SubscriptionSettings.model_validate(parts))
    return made


knowing = st.sets(st.sampled_from((*NAMES, "gone")))


@given(alert=alerts(), asked=subscriptions(), known=knowing)
@settings(max_examples=300)
def test_each_receiver_has_one_route_and_every_route_a_reason(
    alert: Alert, asked: list[SubscriptionSettings], known: set[str]
) -> None:
    ruled = rulings(alert, asked, knowing=known)
    made = routes(alert, ruled, asked)

    assert len({route.receiver for route in made}) == len(made)
    assert len({(one.receiver, one.subscription) for one in ruled}) == len(ruled)
    assert {route.receiver for route in made} == {one.receiver for one in ruled if one.verdict.is_yes}


@given(alert=alerts(), asked=subscriptions(), known=knowing)
@settings(max_examples=300)
def test_a_correction_goes_to_those_who_know_and_to_nobody_else(
    alert: Alert, asked: list[SubscriptionSettings], known: set[str]
) -> None:
    correction = replace(alert, step=Step.CORRECTION)

    made = routes(correction, rulings(correction, asked, knowing=known), asked)

    assert {route.receiver for route in made} == known


@given(alert=alerts(), asked=subscriptions(), known=knowing)
@settings(max_examples=300)
def test_what_was_seen_late_never_rings_singly_and_what_was_not_is_never_collected(
    alert: Alert, asked: list[SubscriptionSettings], known: set[str]
) -> None:
    verdicts = {route.verdict for route in routes(alert, rulings(alert, asked, knowing=known), asked)}

    assert verdicts <= ({Verdict.COLLECT} if alert.late else set(Verdict) - {Verdict.COLLECT})


@given(alert=alerts(), asked=subscriptions(), known=knowing)
@settings(max_examples=300)
def test_nobody_hears_of_what_no_subscription_of_theirs_means(
    alert: Alert, asked: list[SubscriptionSettings], known: set[str]
) -> None:
    for route in routes(alert, rulings(alert, asked, knowing=known), asked):
        mine = [one for one in asked if route.receiver in one.to]
        assert alert.step is Step.CORRECTION or any(matches(alert, one.when) for one in mine)
        assert route.wait <= max((one.group_wait for one in mine), default=timedelta(0))
        if alert.severity.rank >= Severity.SEVERE.rank:
            assert route.wait == timedelta(0)


@given(alert=alerts(), asked=subscriptions())
def test_an_update_is_quiet_for_those_who_know(alert: Alert, asked: list[SubscriptionSettings]) -> None:
    update = replace(alert, step=Step.UPDATE, late=False)

    made = routes(update, rulings(update, asked, knowing=set(NAMES)), asked)

    assert {route.verdict for route in made} <= {Verdict.THREAD}


@given(attempts=st.integers(0, 10_000), seed=st.integers())
def test_a_pause_stays_below_its_doubling_and_its_cap(attempts: int, seed: int) -> None:
    first, cap = timedelta(seconds=1), timedelta(minutes=10)

    waited = pause(attempts, first=first, cap=cap, random=Random(seed))

    assert timedelta(0) <= waited <= min(cap, first * 2 ** min(attempts, 20))


@given(outcomes=st.lists(st.booleans(), max_size=60), seed=st.integers())
def test_the_breaker_rests_after_failures_only_and_never_for_ever(outcomes: list[bool], seed: int) -> None:
    pace, random = Pace(), Random(seed)
    breaker, now = Breaker(pace=pace), NOON

    for is_yes in outcomes:
        now += breaker.left(now)
        if is_yes:
            breaker.succeed()
        else:
            breaker.fail(now, random=random)
        assert breaker.left(now) <= pace.rest_cap
        assert not (is_yes and (breaker.is_open or breaker.left(now)))
        assert breaker.is_open == (breaker.left(now) > timedelta(0))


@given(value=st.one_of(st.text(max_size=40), st.integers(0, 10**30).map(str)))
def test_any_retry_after_is_read_or_ignored_and_followed_within_bounds(value: str) -> None:
    wish = retry_after_s(value, now=NOON)

    assert wish is None or wish >= 0
    assert timedelta(0) <= wished(wish) <= RETRY_AFTER_CAP
