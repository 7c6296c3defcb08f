from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from ingest.settings import PollingSettings, SourcesSettings
from tocsin.records import Tier


def test_defaults_fill_in_what_a_feed_does_not_say() -> None:
    sources = SourcesSettings.model_validate(
        {
            "defaults": {"tier": "regional", "language": "de"},
            "feeds": [
                {"id": "one", "url": "https://n.example/a~b.xml"},
                {
                    "id": "two",
                    "url": "http://n.example/",
                    "tier": "wire",
                    "language": "fr",
                    "owner": "AFP",
                    "every": "10m",
                },
            ],
        }
    )

    one, two = sources.all()

    assert (one.source.owner, one.source.tier, one.language, one.every) == ("one", Tier.REGIONAL, "de", None)
    assert (two.source.owner, two.source.tier, two.language) == ("AFP", Tier.WIRE, "fr")
    assert two.every == timedelta(minutes=10)
    assert one.url == "https://n.example/a~b.xml"


@pytest.mark.parametrize(
    "feed",
    [
        {"id": "A b", "url": "https://n.example/"},
        {"id": "a", "url": "n.example/feed"},
        {"id": "a", "url": "ftp://n.example/"},
        {"id": "a", "url": "https://n.example/", "country": "no"},
        {"id": "a", "url": "https://n.example/", "evry": "1m"},
        {"id": "a", "url": "https://n.example/", "headers": {"Cookie": "x"}},
        {"id": "a", "url": "https://n.example/", "headers": {"X Key": "x"}},
        {"id": "a", "url": "https://n.example/", "headers": {"X-Key": "x\r\nHost: y"}},
    ],
)
def test_a_mistake_is_refused(feed: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SourcesSettings.model_validate({"feeds": [feed]})


def test_an_id_stands_only_once() -> None:
    feed = {"id": "a", "url": "https://n.example/"}

    with pytest.raises(ValidationError, match="stands here twice"):
        SourcesSettings.model_validate({"feeds": [feed, feed]})


def test_secrets_are_not_shown() -> None:
    sources = SourcesSettings.model_validate(
        {"feeds": [{"id": "a", "url": "https://n.example/", "headers": {"X-Key": "s3cret"}}]}
    )

    assert "s3cret" not in repr(sources) + repr(sources.all())


def test_a_floor_above_the_ceiling_is_refused() -> None:
    with pytest.raises(ValidationError, match="above the ceiling"):
        PollingSettings.model_validate({"floor": "2h", "ceiling": "1h"})
