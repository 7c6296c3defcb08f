from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tocsin.errors import RecordUnreadable
from tocsin.records import IncidentState, Severity
from tocsin.store.incidents import AlertRow, IncidentRow, Judged
from tocsin.testing import DAY, HOUR, NOON, a_store

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from tocsin.store.tx import Tx


def incident(
    name: str,
    *,
    country: str | None = "EE",
    state: IncidentState = IncidentState.OPEN,
    severity: Severity = Severity.MODERATE,
    at: datetime = NOON,
) -> IncidentRow:
    return IncidentRow(
        id=name,
        state=state,
        country=country,
        happening=None,
        severity=severity,
        opened_at=NOON,
        last_seen=at,
        revision=1,
        articles=1,
        headline=f"about {name}",
    )


def alert(name: str, *, incident: str = "i", at: datetime = NOON, article: str = "a") -> AlertRow:
    return AlertRow(
        id=name,
        incident=incident,
        revision=1,
        step="new",
        severity=Severity.SEVERE,
        seen_at=at,
        late=False,
        article=article,
        headline="3 dead",
        body=b"{}",
    )


def test_an_incident_comes_back_as_it_was_put(tx: Tx) -> None:
    tx.incidents.put(incident("i"), body=b"old", face=b"old face")
    tx.incidents.put(incident("i", state=IncidentState.QUIET), body=b"new")

    assert tx.incidents.get("i") == incident("i", state=IncidentState.QUIET)
    assert tx.incidents.body("i") == b"new"
    assert tx.incidents.faces_by_country("EE", since=NOON) == [("i", b"old face")]
    assert tx.incidents.get("j") is None
    with pytest.raises(RecordUnreadable, match="'j'"):
        tx.incidents.body("j")


def test_incidents_are_found_by_country_and_key_the_latest_first(tx: Tx) -> None:
    for name, country, hours in (("a", "EE", 1), ("b", "EE", 2), ("c", "LV", 3), ("d", "EE", -1)):
        tx.incidents.put(incident(name, country=country, at=NOON + hours * HOUR), body=b"", face=name.encode())
        tx.incidents.add_keys(name, ["p:narva", f"p:{name}"])

    assert [name for name, _ in tx.incidents.faces_by_country("EE", since=NOON)] == ["b", "a"]
    assert [name for name, _ in tx.incidents.faces_by_country("EE", since=NOON, limit=1)] == ["b"]
    assert [name for name, _ in tx.incidents.faces_by_key(["p:narva"], since=NOON)] == ["c", "b", "a"]
    assert [name for name, _ in tx.incidents.faces_by_key(["p:a", "p:c"], since=NOON)] == ["c", "a"]
    tx.incidents.forget_keys("c")
    assert [name for name, _ in tx.incidents.faces_by_key(["p:a", "p:c"], since=NOON)] == ["a"]
    assert tx.incidents.faces_by_key([], since=NOON) == []


def test_the_gravest_open_incident_stands_first(tx: Tx) -> None:
    tx.incidents.put(incident("a", severity=Severity.MINOR, at=NOON + HOUR), body=b"", face=b"")
    tx.incidents.put(incident("b", severity=Severity.EXTREME), body=b"", face=b"")
    tx.incidents.put(incident("c", severity=Severity.MINOR, at=NOON + DAY), body=b"", face=b"")
    tx.incidents.put(incident("d", state=IncidentState.CLOSED, severity=Severity.EXTREME), body=b"", face=b"")

    assert [row.id for row in tx.incidents.standing()] == ["b", "c", "a"]
    assert [row.id for row in tx.incidents.standing(limit=1, offset=1)] == ["c"]
    assert [row.id for row in tx.incidents.standing(severity=Severity.SEVERE)] == ["b"]
    assert [row.id for row in tx.incidents.by_prefix("d")] == ["d"]
    assert (tx.incidents.count(), tx.incidents.count(IncidentState.CLOSED)) == (4, 1)


def test_alerts_are_paged_from_the_newest(tx: Tx) -> None:
    for number in range(5):
        tx.incidents.add_alert(alert(f"a{number}", at=NOON + (number // 2) * HOUR, article=f"x{number % 2}"))

    first = tx.incidents.alerts(limit=3)
    rest = tx.incidents.alerts(limit=3, before=(first[-1].seen_at, first[-1].id))

    assert [one.id for one in (*first, *rest)] == ["a4", "a3", "a2", "a1", "a0"]
    assert [one.id for one in tx.incidents.alerts(article="x1")] == ["a3", "a1"]
    assert tx.incidents.alerts(incident="j") == []
    assert tx.incidents.alerts(severity=Severity.EXTREME) == []
    assert [one.id for one in tx.incidents.alerts_by_prefix("a", limit=2)] == ["a0", "a1"]
    assert tx.incidents.alerts_by_prefix("%") == []
    assert tx.incidents.alert("a1") == alert("a1", article="x1")


def test_what_an_incident_that_is_not_over_needs_is_kept_however_old(tx: Tx) -> None:
    for name, state in (("o", IncidentState.OPEN), ("q", IncidentState.QUIET), ("c", IncidentState.CLOSED)):
        tx.incidents.put(incident(name, state=state, at=NOON + 9 * DAY), body=b"", face=b"")
        tx.incidents.add_alert(alert(f"a{name}", incident=name, at=NOON))
        tx.incidents.place_article(f"x{name}", name)
        tx.incidents.note_judged(Judged(article=f"x{name}", revision="", readings=(), seen_at=NOON, verdict=""))

    gone = tx.incidents.trim(NOON + DAY)

    assert gone == 2
    assert [name for name in "oqc" if tx.incidents.alert(f"a{name}")] == ["o", "q"]
    assert [name for name in "oqc" if tx.incidents.judged(f"x{name}")] == ["o", "q"]


def test_an_alert_is_kept_once(tx: Tx) -> None:
    assert tx.incidents.add_alert(alert("a"))
    assert not tx.incidents.add_alert(alert("a"))


def test_an_article_finds_its_incidents_again(tx: Tx) -> None:
    tx.incidents.place_article("x", "i")
    tx.incidents.place_article("x", "i")
    tx.incidents.place_article("x", "j")
    readings = tuple(f"r{number}" for number in range(10))
    judged = Judged(article="x", revision="1", readings=readings, seen_at=NOON, verdict="new")
    tx.incidents.note_judged(judged)

    assert tx.incidents.of_article("x") == ("i", "j")
    assert tx.incidents.articles_of("i") == ("x",)
    found = tx.incidents.judged("x")
    assert found is not None
    assert found.readings == readings[:8]
    assert tx.incidents.judged("y") is None


def test_trimming_leaves_what_is_open_and_what_is_young(tx: Tx) -> None:
    for name, state, at in (
        ("old", IncidentState.CLOSED, NOON - DAY),
        ("open", IncidentState.OPEN, NOON - DAY),
        ("young", IncidentState.CLOSED, NOON),
    ):
        tx.incidents.put(incident(name, state=state, at=at), body=b"", face=b"")
        tx.incidents.place_article(f"of {name}", name)
        tx.incidents.add_alert(alert(name, incident=name, at=at))

    rounds = 0
    while tx.incidents.trim(NOON, most=1):
        rounds += 1

    assert rounds == 1
    assert {row.id for row in tx.incidents.standing(states=list(IncidentState))} == {"open", "young"}
    assert tx.incidents.of_article("of old") == ()
    assert tx.incidents.of_article("of open") == ("open",)


async def test_incidents_are_in_the_store_after_it_was_opened_again(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        await store.write(lambda tx: tx.incidents.put(incident("i"), body=b"body", face=b"face"))

    async with a_store(tmp_path) as store:
        assert await store.read(lambda tx: tx.incidents.body("i")) == b"body"
