from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tocsin.demo.feeds import FeedServer
from tocsin.demo.player import folder_of
from tocsin.demo.service import Place, write_config
from tocsin.demo.sinks import SLACK_PATH, Sinks
from tocsin.demo.story import bundled
from tocsin.errors import Stop
from tocsin.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_the_configuration_that_the_demo_writes_is_one_that_the_service_takes(tmp_path: Path) -> None:
    story, place = bundled(), Place(folder=tmp_path)
    feeds = FeedServer(base_url="http://127.0.0.1:1", answers=Counter())
    listening = Sinks(slack_url=f"http://127.0.0.1:2{SLACK_PATH}", smtp_host="127.0.0.1", smtp_port=3, refused=[])

    write_config(place, story, feeds, listening, web_port=4)
    settings = load_settings(place.config, data_dir=place.data)

    polled = settings.sources.all()
    assert [(feed.id, feed.url, feed.every) for feed in polled] == [
        (outlet.id, f"http://127.0.0.1:1{outlet.path}", timedelta(seconds=1)) for outlet in story.outlets
    ]
    assert [feed.source.tier for feed in polled] == [outlet.tier for outlet in story.outlets]
    assert all(feed.allow_private for feed in polled)
    assert sorted(settings.notifier.receivers) == ["log", "mail", "slack"]


def test_a_temporary_folder_goes_with_the_demo() -> None:
    with folder_of(None) as place:
        (place.folder / "service.log").write_text("something")

    assert not place.folder.exists()


def test_a_folder_that_was_asked_for_stays(tmp_path: Path) -> None:
    with folder_of(tmp_path / "demo") as place:
        (place.folder / "service.log").write_text("something")

    assert (tmp_path / "demo" / "service.log").exists()


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("an earlier demo")

    with pytest.raises(Stop, match="is not empty"), folder_of(tmp_path):
        pass
