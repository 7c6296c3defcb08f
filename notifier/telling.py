"""A delivery in words: what is new, what proves it, who says so. Nothing here is escaped yet; each sink does that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from babel import Locale

from notifier.escaping import clean, safe_url
from notifier.frames import FRAMES, Frame
from tocsin.countries import country_name
from tocsin.matcher import BURST, DEATHS, FOREIGN_TROOPS, GOVERNMENT_DISMISSAL
from tocsin.records import (
    Alert,
    Certainty,
    Delivery,
    Fact,
    MessageKind,
    Sender,
    Severity,
    SourceRef,
    Step,
    Toll,
    Volume,
    digest,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADLINE_LIMIT: Final = 300
QUOTE_LIMIT: Final = 400
NAME_LIMIT: Final = 120
FACTS_SHOWN: Final = 8
SOURCES_SHOWN: Final = 6
ENTRIES_SHOWN: Final = 40
PLACES_SHOWN: Final = 2
COUNTRIES_SHOWN: Final = 3
SENDERS_SHOWN: Final = 10
# English names of countries that take an article in a sentence.
_WITH_ARTICLE: Final = frozenset(["AE", "BS", "CF", "DO", "GB", "GM", "KM", "MH", "MV", "NL", "PH", "SB", "SC", "US"])


@dataclass(frozen=True, slots=True, kw_only=True)
class FactTold:
    """One fact in words; `proof` is the sentence that proves it, in its own language, and `by` who says so there."""

    what: str
    changed: bool
    proof: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTold:
    """One independent owner; `url` is None when it was no web address."""

    owner: str
    tier: str
    title: str
    url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One incident in a digest."""

    severity: Severity
    severity_word: str
    headline: str
    source: SourceTold | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a person is to read, in plain words, and what a machine needs of it.

    `alert` is the newest of the incident and None for a digest. `thread` is the key of the message it answers.
    """

    key: str
    receiver: str
    kind: MessageKind
    cause: str
    thread: str | None
    created_at: datetime
    language: str
    severity: Severity
    certainty: Certainty
    alert: Alert | None
    alerts: tuple[Alert, ...]
    headline: str
    status: str = ""
    facts: tuple[FactTold, ...] = ()
    known_label: str = ""
    sources_label: str = ""
    sources: tuple[SourceTold, ...] = ()
    note: str = ""
    entries: tuple[Entry, ...] = ()
    more: str = ""
    footer: str = ""

    @property
    def is_quiet(self) -> bool:
        """Whether it follows what is known and should not ring."""
        return self.kind is MessageKind.UPDATE


def tell(delivery: Delivery, alerts: Sequence[Alert], *, budget: str = "", zone: tzinfo = UTC) -> Message:
    """Put *delivery* into words. *alerts* are those it names, in its order (a digest's first `ENTRIES_SHOWN` do)."""
    frame = FRAMES.get(delivery.language, FRAMES["en"])
    footer = frame.because.format(delivery.subscription) if delivery.subscription else ""
    message = Message(
        key=delivery.key,
        receiver=delivery.receiver,
        kind=delivery.kind,
        cause=delivery.cause,
        thread=delivery.thread,
        created_at=delivery.created_at,
        language=frame.language,
        severity=max((alert.severity for alert in alerts), key=lambda severity: severity.rank),
        certainty=max((alert.certainty for alert in alerts), key=lambda certainty: certainty.rank),
        alert=None,
        alerts=tuple(alerts),
        headline="",
        footer=footer,
    )
    if delivery.kind is MessageKind.DIGEST:
        return _digest(message, alerts, frame, total=len(delivery.alerts), delivery=delivery, budget=budget)
    return _single(message, merged(alerts, delivery.kind), frame, zone=zone)


def a_test(receiver: str, *, now: datetime) -> Message:
    """Return a message that says that it is a test; its key is new each time."""
    return Message(
        key=digest("test", receiver, now.isoformat()),
        receiver=receiver,
        kind=MessageKind.ALERT,
        cause="test",
        thread=None,
        created_at=now,
        language="en",
        severity=Severity.MINOR,
        certainty=Certainty.POSSIBLE,
        alert=None,
        alerts=(),
        headline=f"Test: receiver {receiver} can hear me",
        note="Nothing has happened. Somebody tried whether messages arrive here.",
    )


def merged(alerts: Sequence[Alert], kind: MessageKind) -> Alert:
    """Return the newest alert with all that changed since before the first, and the step that they are together.

    To a receiver that never heard of the incident, what was corrected on the way is simply the alert.
    """
    newest = alerts[-1]
    if len(alerts) == 1:
        return newest
    steps = {alert.step for alert in alerts}
    if kind is MessageKind.ALERT:
        loud = [step for step in (Step.NEW, Step.ESCALATION) if step in steps]
        newest = replace(newest, step=loud[0] if loud else newest.step)
    else:
        newest = replace(newest, step=Step.CORRECTION if kind is MessageKind.CORRECTION else Step.UPDATE)
    before: dict[str, Fact] = {}
    for alert in alerts:
        for fact in alert.facts:
            if fact.changed:
                before.setdefault(fact.type, fact)
    facts = tuple(
        replace(fact, changed=True, was=before[fact.type].was, was_certainty=before[fact.type].was_certainty)
        if fact.type in before
        else fact
        for fact in newest.facts
    )
    return replace(newest, facts=facts)


def headline(alert: Alert, frame: Frame) -> str:
    """Say in one line what is new, what it was before, and where."""
    changed = [fact for fact in alert.facts if fact.changed] or list(alert.facts)
    where = _where(alert, frame)
    here = _here(alert)  # the headline names it, so its facts need not
    told = "; ".join(_told(fact, frame, here=here) for fact in changed[:3]) or clean(alert.headline)
    return clean(frame.step[alert.step] + told + (f" — {where}" if where else ""), HEADLINE_LIMIT)


def _single(message: Message, alert: Alert, frame: Frame, *, zone: tzinfo) -> Message:
    changed = [fact for fact in alert.facts if fact.changed] or list(alert.facts)
    known = [fact for fact in alert.facts if fact not in changed]
    facts = [_fact(fact, frame, alert, changed=True) for fact in changed[:FACTS_SHOWN]]
    facts += [_fact(fact, frame, alert, changed=False) for fact in known[: FACTS_SHOWN - len(facts)]]
    sources = [_source(source, frame) for source in alert.sources[:SOURCES_SHOWN]]
    one, several = frame.sources
    left = len(alert.sources) - len(sources)
    seen = alert.seen_at.astimezone(zone)
    status = (
        f"{frame.severity_label}: {frame.severity[alert.severity]} · "
        f"{frame.certainty_label}: {frame.certainty[alert.certainty]} · "
        f"{frame.seen}: {seen:%Y-%m-%d %H:%M} {seen.tzname()}"
    )
    return replace(
        message,
        alert=alert,
        severity=alert.severity,
        certainty=alert.certainty,
        headline=headline(alert, frame),
        status=status,
        facts=tuple(facts),
        known_label=frame.known_before if known else "",
        sources_label=several.format(len(alert.sources)) if len(alert.sources) > 1 else one,
        sources=tuple(sources),
        more=frame.more.format(left) if left > 0 else "",
    )


def _digest(
    message: Message, alerts: Sequence[Alert], frame: Frame, *, total: int, delivery: Delivery, budget: str
) -> Message:
    is_opening = delivery.cause == "opening"
    one, several = frame.opening if is_opening else frame.budget
    note = frame.opening_note
    if not is_opening:
        note = frame.budget_note.format(subscription=delivery.subscription or "–", budget=budget or "–")
    shown = sorted(alerts[:ENTRIES_SHOWN], key=lambda alert: -alert.severity.rank)
    entries = [
        Entry(
            severity=alert.severity,
            severity_word=frame.severity[alert.severity],
            headline=headline(alert, frame),
            source=_source(alert.sources[0], frame) if alert.sources else None,
        )
        for alert in shown
    ]
    left = total - len(entries)
    return replace(
        message,
        headline=several.format(total) if total > 1 else one,
        note=note,
        entries=tuple(entries),
        more=frame.more.format(left) if left > 0 else "",
    )


# ---------------------------------------------------------------------------------------------------------- facts


def _fact(fact: Fact, frame: Frame, alert: Alert, *, changed: bool) -> FactTold:
    here = _here(alert)  # the headline names it, so its facts need not
    about = []
    if fact.attribution and fact.attribution.who:
        about.append(frame.according_to.format(clean(fact.attribution.who, NAME_LIMIT)))
    if fact.quote and fact.language and fact.language.split("-")[0] != frame.language:
        about.append(frame.quoted_in.format(_language_name(fact.language, frame.language)))
    return FactTold(
        what=_told(fact if changed else replace(fact, was=None, was_certainty=None), frame, here=here),
        changed=changed,
        proof=clean(fact.quote, QUOTE_LIMIT),
        by="; ".join(about),
    )


def _told(fact: Fact, frame: Frame, *, here: str | None) -> str:
    """Say a fact with its certainty, and in brackets what it was before and what is said against it."""
    what, sure = _what(fact, frame, here=here), frame.certainty[fact.certainty]
    if fact.type == BURST and fact.volume is not None:
        grown = 0 < fact.volume.before < fact.volume.count  # we counted ourselves: that is sure, and needs no word
        return what + (f" ({frame.was.format(fact.volume.before)})" if grown else "")
    said = frame.sure.format(what, sure) if fact.type == DEATHS else f"{what}, {sure}"
    beside = []
    if fact.was is not None and fact.was != fact.toll:
        before = _toll(fact.was, frame)
        if fact.was_certainty not in {None, fact.certainty}:
            before += f", {frame.certainty[fact.was_certainty]}" if fact.was_certainty else ""
        beside.append(frame.was.format(before))
    elif fact.was_certainty is not None and fact.was_certainty is not fact.certainty:
        beside.append(frame.was.format(frame.certainty[fact.was_certainty]))
    if fact.claimed is not None:
        claimed = f"{_toll(fact.claimed.toll, frame)}, {frame.certainty[fact.claimed.certainty]}"
        beside.append(frame.claimed.format(claimed))
    if fact.disputed:
        beside.append(frame.disputed)
    if fact.withdrawn:
        beside.append(frame.withdrawn)
    return said + (f" ({'; '.join(beside)})" if beside else "")


def _what(fact: Fact, frame: Frame, *, here: str | None) -> str:
    there = country_name(fact.country, frame.language) if fact.country and fact.country != here else ""
    if fact.type == DEATHS:
        noun = frame.dead[0 if fact.toll is not None and fact.toll == Toll(min=1, max=1) else 1]
        told = f"{_toll(fact.toll, frame)} {noun}"
        return f"{there}: {told}" if there else told
    if fact.type == FOREIGN_TROOPS:
        senders = ", ".join(_sender(sender, fact, frame) for sender in fact.senders[:SENDERS_SHOWN])
        to = country_name(fact.country, frame.language) if fact.country else ""
        return frame.troops + (f": {senders}" if senders else "") + (f" → {to}" if to else "")
    if fact.type == BURST and fact.volume is not None:
        told = _burst(fact.volume, frame)
    elif fact.type == GOVERNMENT_DISMISSAL:
        told = frame.dismissal.get(fact.kind, frame.dismissal[None])
    else:
        told = clean(fact.type.replace("_", " "), NAME_LIMIT).capitalize()
    return f"{told}: {there}" if there else told


def _burst(volume: Volume, frame: Frame) -> str:
    topic = frame.topic.get(volume.topic) or clean(volume.topic.replace("_", " "), NAME_LIMIT)
    return frame.burst.format(topic=topic, count=volume.count, hours=volume.window_s // 3600, usual=volume.usual)


def _toll(toll: Toll | None, frame: Frame) -> str:
    match toll:
        case None | Toll(min=None, max=None):
            return frame.nobody_knows
        case Toll(min=low, max=None):
            return frame.at_least.format(low)
        case Toll(min=None, max=high):
            return frame.up_to.format(high)
        case Toll(min=low, max=high) if low == high:
            return frame.about.format(low) if toll.approx else str(low)
        case Toll(min=0, max=high):
            return frame.up_to.format(high)
        case _:
            return frame.between.format(toll.min, toll.max)


def _sender(sender: Sender, fact: Fact, frame: Frame) -> str:
    if sender.alliance:
        name = frame.alliance.get(sender.code, clean(sender.code, NAME_LIMIT))
    else:
        name = country_name(sender.code, frame.language)
    return name if sender.certainty is fact.certainty else f"{name} ({frame.certainty[sender.certainty]})"


def _here(alert: Alert) -> str | None:
    """Return where it happens: the first of `alert.countries`, unless that is only a state that sends soldiers."""
    first = alert.countries[0] if alert.countries else None
    senders = {sender.code for fact in alert.facts for sender in fact.senders if not sender.alliance}
    return None if first in senders and all(fact.country != first for fact in alert.facts) else first


def _where(alert: Alert, frame: Frame) -> str:
    here = _here(alert)
    names = [country_name(here, frame.language)] if here else []
    places = [clean(place, NAME_LIMIT) for place in alert.places[:PLACES_SHOWN] if place not in names]
    place = ", ".join(places + names)
    happening = frame.happening.get(alert.happening or "", "")
    if not happening or not place:
        return place or happening
    if frame.language == "en" and not places and here in _WITH_ARTICLE:
        place = f"the {place}"
    return frame.in_place.format(happening=happening, place=place)


def _source(source: SourceRef, frame: Frame) -> SourceTold:
    return SourceTold(
        owner=clean(source.owner, NAME_LIMIT) or "–",
        tier=frame.tier[source.tier],
        title=clean(source.title, QUOTE_LIMIT),
        url=safe_url(source.url),
    )


@lru_cache(maxsize=256)
def _language_name(code: str, language: str) -> str:
    names = Locale.parse(language).languages
    return str(names.get(code) or names.get(code.split("-", maxsplit=1)[0]) or clean(code, NAME_LIMIT))
