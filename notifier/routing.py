"""Who is told of an alert, and how: plain functions of the alert, the subscriptions and who knows of its incident."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from tocsin.matcher import matches
from tocsin.records import Alert, MessageKind, Step

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from notifier.settings import SubscriptionSettings

AT_ONCE: Final = timedelta(0)


class Verdict(StrEnum):
    """What routing says of one alert for one subscription (or, without one, for a receiver that was told before)."""

    RING = "ring"
    THREAD = "thread"
    CORRECT = "correct"
    COLLECT = "collect"
    NOT_MEANT = "not meant"
    STEP_UNWANTED = "step unwanted"
    NEVER_TOLD = "never told"

    @property
    def is_yes(self) -> bool:
        """Whether the receiver gets something because of it."""
        return self in _YES


_YES: Final = frozenset({Verdict.RING, Verdict.THREAD, Verdict.CORRECT, Verdict.COLLECT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What is said to one receiver because of one subscription; `subscription` is empty when none had a part in it."""

    receiver: str
    subscription: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What becomes of an alert at one receiver. `subscriptions` are those that asked for it, in the file's order."""

    receiver: str
    verdict: Verdict
    subscriptions: tuple[str, ...] = ()
    wait: timedelta = AT_ONCE


def rulings(
    alert: Alert, subscriptions: Sequence[SubscriptionSettings], *, knowing: Collection[str]
) -> tuple[Ruling, ...]:
    """Say what each subscription wants for each of its receivers.

    *knowing* are the receivers that were told of the incident, or for which something of it is kept back this moment.
    A correction goes to them whatever any filter says, and to nobody else.
    """
    ruled = [
        Ruling(
            receiver=receiver,
            subscription=subscription.id,
            verdict=_verdict(alert, subscription, knows=receiver in knowing),
        )
        for subscription in subscriptions
        for receiver in dict.fromkeys(subscription.to)
    ]
    if alert.step is Step.CORRECTION:
        reached = {ruling.receiver for ruling in ruled}
        verdict = Verdict.COLLECT if alert.late else Verdict.CORRECT
        ruled += [Ruling(receiver=name, subscription="", verdict=verdict) for name in sorted(set(knowing) - reached)]
    return tuple(ruled)


def routes(alert: Alert, ruled: Sequence[Ruling], subscriptions: Sequence[SubscriptionSettings]) -> tuple[Route, ...]:
    """Gather the rulings into one route a receiver: the loudest verdict and the shortest wait."""
    known = {subscription.id: subscription for subscription in subscriptions}
    made = []
    for receiver in dict.fromkeys(ruling.receiver for ruling in ruled if ruling.verdict.is_yes):
        mine = [ruling for ruling in ruled if ruling.receiver == receiver and ruling.verdict.is_yes]
        verdict = min((ruling.verdict for ruling in mine), key=list(Verdict).index)
        asked = [ruling.subscription for ruling in mine if ruling.verdict is verdict and ruling.subscription]
        waits = [group_wait(alert, known[name]) for name in asked] if verdict is Verdict.RING else []
        made.append(
            Route(receiver=receiver, verdict=verdict, subscriptions=tuple(asked), wait=min(waits, default=AT_ONCE))
        )
    return tuple(made)


def group_wait(alert: Alert, subscription: SubscriptionSettings) -> timedelta:
    """Return how long an alert waits for further steps of its incident."""
    return AT_ONCE if alert.severity.rank >= subscription.at_once_from.rank else subscription.group_wait


def is_void(alert: Alert) -> bool:
    """Say whether nothing of the incident is left that could be told to somebody who never heard of it."""
    return alert.step is Step.CORRECTION and bool(alert.facts) and all(fact.withdrawn for fact in alert.facts)


def message_kind(alerts: Sequence[Alert], *, was_told: bool) -> MessageKind:
    """Return what a message about these alerts of one incident is to a receiver that was told of it, or was not."""
    steps = {alert.step for alert in alerts}
    if not was_told:
        return MessageKind.ALERT
    if Step.CORRECTION in steps:
        return MessageKind.CORRECTION
    return MessageKind.ALERT if steps & {Step.NEW, Step.ESCALATION} else MessageKind.UPDATE


def _verdict(alert: Alert, subscription: SubscriptionSettings, *, knows: bool) -> Verdict:
    said = _seen_in_time(alert, subscription, knows=knows)
    return Verdict.COLLECT if alert.late and said.is_yes else said


def _seen_in_time(alert: Alert, subscription: SubscriptionSettings, *, knows: bool) -> Verdict:
    if alert.step is Step.CORRECTION:
        return Verdict.CORRECT if knows else Verdict.NEVER_TOLD
    if not matches(alert, subscription.when):
        return Verdict.NOT_MEANT
    if alert.step is Step.UPDATE and knows:
        return Verdict.THREAD
    # An escalation of what the receiver never heard of is news to it, whatever number the step has.
    first = alert.step is Step.ESCALATION and not knows and Step.NEW in subscription.steps
    if alert.step in subscription.steps or first:
        return Verdict.RING
    return Verdict.NEVER_TOLD if alert.step is Step.UPDATE else Verdict.STEP_UNWANTED
