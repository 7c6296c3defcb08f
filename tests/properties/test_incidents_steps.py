"""What must hold of steps and facts whatever is told, by whom and in which order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings, strategies as st

from incidents.claims import CopyOf, hear
from incidents.engine import absorb, told_at
from incidents.facts import known_of
from incidents.settings import IncidentsSettings
from incidents.state import Incident, from_bytes
from incidents.steps import changes, step
from incidents.tolls import band
from tocsin.records import (
    Alert,
    Attribution,
    Certainty,
    Detection,
    DismissalKind,
    IncidentState,
    Sender,
    Source,
    SourceRef,
    Speaker,
    Step,
    Tier,
    Toll,
)
from tocsin.testing import HOUR, MINUTE, NOON, a_detection, a_reading, a_transaction, an_article

if TYPE_CHECKING:
    from collections.abc import Sequence

    from incidents.state import Claim, Known
    from tocsin.records import Reading
    from tocsin.store.tx import Tx

SETTINGS = IncidentsSettings()
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
A_SOURCE = SourceRef(owner="Wire", tier=Tier.WIRE, url="", title="", language="en", published_at=NOON, seen_at=NOON)
OWNERS = {"Wire": Tier.WIRE, "Post": Tier.NATIONAL, "Courier": Tier.NATIONAL, "Blog": Tier.OTHER}


@st.composite
def detections(draw: st.DrawFn) -> Detection:
    kind = draw(st.sampled_from(["deaths", "foreign_troops", "government_dismissal"]))
    certainty = draw(st.sampled_from(Certainty))
    speaker = draw(st.sampled_from([None, Speaker.AUTHORITY, Speaker.WITNESS, Speaker.PARTY]))
    said = a_detection(
        type=kind,
        certainty=certainty,
        country="EE",
        happening="unrest",
        toll=None,
        denied=draw(st.integers(0, 9)) == 0,
        attribution=None if speaker is None else Attribution(speaker=speaker, who="somebody"),
    )
    if kind == "deaths":
        low = draw(st.integers(1, 60))
        most = draw(st.sampled_from([low, None, low + 3]))
        withdrawn = draw(st.sampled_from([None, None, None, low + 5]))
        return replace(
            said,
            toll=Toll(min=low, max=most, approx=draw(st.integers(0, 5)) == 0),
            withdrawn=None if withdrawn is None else Toll(min=withdrawn, max=withdrawn),
        )
    if kind == "foreign_troops":
        names = draw(st.sets(st.sampled_from(["RU", "KZ", "AM"]), max_size=2))
        return replace(said, senders=tuple(Sender(code=name, certainty=certainty) for name in sorted(names)))
    return replace(said, kind=draw(st.sampled_from(DismissalKind)))


@st.composite
def readings(draw: st.DrawFn, *, most: int = 10) -> list[Reading]:
    made: list[Reading] = []
    revisions: dict[str, int] = {}
    for number in range(draw(st.integers(1, most))):
        owner = draw(st.sampled_from(sorted(OWNERS)))
        name = f"{owner}-{draw(st.integers(0, 3))}"
        revision = revisions[name] = revisions.get(name, 0) + 1
        at = NOON + number * draw(st.sampled_from([MINUTE, 20 * MINUTE, HOUR]))
        article = an_article(
            id=name,
            revision=str(revision),
            supersedes=str(revision - 1) if revision > 1 else None,
            feed=owner,
            source=Source(owner=owner, tier=OWNERS[owner]),
            title=f"Unrest {number}",
            published_at=at,
            seen_at=max(at, made[-1].mention.seen_at + MINUTE) if made else at,
        )
        said = {one.type: one for one in draw(st.lists(detections(), max_size=3))}
        made.append(a_reading(*said.values(), article=article))
    return made


def play(tx: Tx, told: Sequence[Reading]) -> list[Alert]:
    return [alert for reading in told for alert in absorb(tx, reading, settings=SETTINGS)]


def bodies(tx: Tx) -> dict[str, bytes]:
    return {row.id: tx.incidents.body(row.id) for row in tx.incidents.standing(states=list(IncidentState))}


@FEW
@given(readings())
def test_a_replay_changes_nothing(told: list[Reading]) -> None:
    with a_transaction() as tx:
        first = play(tx, told)
        before = bodies(tx)

        again = play(tx, told)

        assert again == []
        assert bodies(tx) == before
        assert len({alert.id for alert in first}) == len(first)


@FEW
@given(readings())
def test_a_doubled_stream_rings_as_a_single_one(told: list[Reading]) -> None:
    doubled = [reading for reading in told for _ in range(2)]
    with a_transaction() as tx, a_transaction() as other:
        assert play(tx, told) == play(other, doubled)
        assert bodies(tx) == bodies(other)


@FEW
@given(readings())
def test_no_step_of_a_toll_rings_twice_without_a_correction_between(told: list[Reading]) -> None:
    with a_transaction() as tx:
        alerts = play(tx, told)

    rung: dict[tuple[str, Certainty], int] = {}
    for alert in alerts:
        for fact in alert.facts:
            if fact.type != "deaths" or not fact.changed or fact.toll is None:
                continue
            if alert.step is Step.CORRECTION or fact.withdrawn:
                rung = {key: value for key, value in rung.items() if key[0] != alert.incident}
                continue
            reached = max(
                band(fact.toll.min or 0) + 100 * fact.certainty.rank,
                0 if fact.claimed is None else band(fact.claimed.toll.min or 0) + 100 * fact.claimed.certainty.rank,
            )
            key = (alert.incident, fact.certainty)
            if alert.step is Step.ESCALATION and set(types_changed(alert)) == {"deaths"} and fact.claimed is None:
                assert reached > rung.get(key, -1)
            rung[key] = max(rung.get(key, -1), reached)


def types_changed(alert: Alert) -> list[str]:
    return [fact.type for fact in alert.facts if fact.changed]


@FEW
@given(readings())
def test_what_was_rung_is_known_or_corrected(told: list[Reading]) -> None:
    """A ring that no longer holds is followed by a correction: the last word on each type is what is known."""
    with a_transaction() as tx:
        alerts = play(tx, told)
        incidents = [from_bytes(body) for body in bodies(tx).values()]

    for incident in incidents:
        for known in incident.known:
            facts = [
                fact
                for alert in alerts
                if alert.incident == incident.id
                for fact in alert.facts
                if fact.type == known.type and fact.changed
            ]
            if not facts:
                assert known.withdrawn
                continue
            last = facts[-1]
            assert last.withdrawn == known.withdrawn
            if not known.withdrawn:
                assert last.certainty is known.certainty
                assert (last.toll.min if last.toll else None) == (known.toll.min if known.toll else None)


@FEW
@given(readings(), st.data())
def test_an_incident_whose_articles_all_take_their_words_back_is_cancelled(
    told: list[Reading], data: st.DataObject
) -> None:
    last = told[-1].mention.seen_at
    names = data.draw(st.permutations(sorted({reading.article for reading in told})))
    with a_transaction() as tx:
        rung = {alert.incident for alert in play(tx, told) if not alert.late}
        alerts: list[Alert] = []
        for name in names:
            reading = next(one for one in reversed(told) if one.article == name)
            emptied = replace(
                reading,
                revision="the end",
                supersedes=reading.revision,
                detections=(),
                mention=replace(reading.mention, seen_at=last + MINUTE),
            )
            alerts += absorb(tx, emptied, settings=SETTINGS)
        rows = {row.id: row for row in tx.incidents.standing(states=list(IncidentState))}

    assert all(rows[name].state is IncidentState.CANCELLED for name in rung)
    # Where two ways in which a government ended were told, taking one back leaves the other, which may be the graver.
    louder = [alert for alert in alerts if alert.step not in (Step.CORRECTION, Step.UPDATE)]
    assert all(types_changed(alert) == ["government_dismissal"] for alert in louder)


@st.composite
def claims(draw: st.DrawFn) -> list[Claim]:
    incident = Incident(id="i", opened_at=NOON, last_seen=NOON)
    for reading in draw(readings(most=8)):
        at = told_at(reading)
        heard = CopyOf(article=reading.article, source=A_SOURCE, words=frozenset())
        incident = hear(incident, reading.detections, reading=reading, heard=heard, told_at=at)
    return list(incident.claims)


@FEW
@given(claims(), st.data())
def test_the_order_of_arrival_does_not_change_what_is_known(told: list[Claim], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(told))

    assert known_of(shuffled, settle=HOUR) == known_of(told, settle=HOUR)


@FEW
@given(claims())
def test_nothing_new_is_no_step(told: list[Claim]) -> None:
    known = known_of(told, settle=HOUR)

    assert step(known, known) is None
    assert changes(known, known) == {}


@FEW
@given(claims(), claims())
def test_a_first_step_is_new_and_no_later_one_is(earlier: list[Claim], later: list[Claim]) -> None:
    before, after = known_of(earlier, settle=HOUR), known_of([*earlier, *later], settle=HOUR)

    first, second = step((), before), step(before, after)

    assert first in (Step.NEW, None)
    assert (first is None) == all(known.withdrawn for known in before)
    assert not before or second is not Step.NEW


def copies_of(alert_worthy: Reading, owners: Sequence[str]) -> list[Reading]:
    return [
        replace(
            alert_worthy,
            article=f"copy by {owner}",
            mention=replace(alert_worthy.mention, feed=owner, source=Source(owner=owner)),
        )
        for owner in owners
    ]


@FEW
@given(detections().filter(lambda one: not one.denied), st.permutations(["A", "B", "C", "D"]))
def test_copies_ring_once_in_whatever_order(said: Detection, owners: list[str]) -> None:
    original = a_reading(said, article=an_article(id="original", published_at=NOON - timedelta(minutes=5)))
    with a_transaction() as tx, a_transaction() as other:
        rung = play(tx, [original, *copies_of(original, owners)])
        sorted_rung = play(other, [original, *copies_of(original, sorted(owners))])
        known: list[tuple[Known, ...]] = [
            from_bytes(body).known for one in (tx, other) for body in bodies(one).values()
        ]

    assert [alert.step for alert in rung] == [Step.NEW]
    assert rung == sorted_rung
    assert known[0] == known[1]
