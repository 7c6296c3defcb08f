"""The demo's story read by the shipped detectors and judged by the incidents, without a process, a feed or a clock."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from detectors.engine import DetectorsConfig, prepare, read
from incidents.engine import absorb
from incidents.settings import IncidentsSettings
from tocsin.demo.story import Edition, Format, Outcome, bundled
from tocsin.records import Alert, Source
from tocsin.settings import shipped
from tocsin.testing import NOON, a_transaction, an_article

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tocsin.records import Article

SECONDS_A_MINUTE = 1 / 25  # as the demo plays it: a day of story in a minute
STORY = bundled()


def article_of(edition: Edition, *, supersedes: str | None) -> Article:
    """Return what ingest makes of *edition*; an RDF item has everything in its summary."""
    shown = NOON + timedelta(seconds=edition.at * SECONDS_A_MINUTE)
    published = NOON + timedelta(minutes=edition.at) if edition.is_backfill else shown
    is_rdf = edition.outlet.format is Format.RDF
    words = (edition.lead, *edition.body)
    return an_article(
        id=edition.article,
        supersedes=supersedes,
        feed=edition.outlet.id,
        source=Source(owner=edition.outlet.owner, tier=edition.outlet.tier),
        language=edition.outlet.language,
        url=edition.url,
        title=edition.title,
        summary=" ".join(words) if is_rdf else edition.lead,
        text="" if is_rdf else "\n".join(words),
        published_at=published,
        seen_at=NOON if edition.is_backfill else shown,
        backfill=edition.is_backfill,
    )


@pytest.fixture(scope="module")
def rung() -> Mapping[str, Sequence[Alert]]:
    """What each text of the story rings, in its order."""
    engine = prepare(DetectorsConfig.load(shipped()))
    alerts: dict[str, Sequence[Alert]] = {}
    latest: dict[str, str] = {}
    with a_transaction() as tx:
        for edition in STORY.editions:
            article = article_of(edition, supersedes=latest.get(edition.article))
            latest[edition.article] = article.revision
            alerts[edition.name] = absorb(tx, read(engine, article), settings=IncidentsSettings())
    return alerts


@pytest.mark.parametrize("edition", STORY.editions, ids=lambda edition: edition.name)
def test_each_text_causes_the_step_that_the_story_expects(
    rung: Mapping[str, Sequence[Alert]], edition: Edition
) -> None:
    expect = edition.expect

    told = [(alert.step.value, alert.late) for alert in rung[edition.name]]
    changed = {fact.type for alert in rung[edition.name] for fact in alert.facts if fact.changed}

    if expect.step in {Outcome.NONE, Outcome.SILENT}:
        assert told == []
    elif expect.step is Outcome.OPENING:
        assert told == [("new", True)]
    else:
        assert told == [(expect.step.value, False)]
        assert changed >= set(expect.types)


def test_each_incident_of_the_story_is_one_of_its_own(rung: Mapping[str, Sequence[Alert]]) -> None:
    incidents: dict[str, set[str]] = {}

    for edition in STORY.editions:
        for alert in rung[edition.name]:
            incidents.setdefault(edition.expect.incident or edition.name, set()).add(alert.incident)

    assert all(len(ids) == 1 for ids in incidents.values())
    assert len(set.union(*incidents.values())) == len(incidents) == 3
