from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import given, settings, strategies as st

from tocsin.store.archive import FileArchive, Kept
from tocsin.testing import NOON

DAYS = st.integers(min_value=0, max_value=70).map(lambda days: NOON + timedelta(days=days))


@settings(max_examples=15, deadline=None)
@given(moments=st.lists(DAYS, max_size=12), most=st.integers(1, 5))
def test_pages_over_the_months_show_everything_once_and_in_order(moments: list[datetime], most: int) -> None:
    made = [Kept(kind="articles.v1", id=f"{number}", key=f"{number}", seen_at=at) for number, at in enumerate(moments)]
    shown: list[Kept] = []

    with tempfile.TemporaryDirectory() as folder:
        archive = FileArchive(Path(folder), size=10**9)
        archive.put([*made, Kept(kind="alerts.v1", id="other", key="other", seen_at=NOON)])
        while page := archive.latest(
            "articles.v1", limit=most, before=(shown[-1].seen_at, shown[-1].id) if shown else None
        ):
            shown += page

    assert [(each.seen_at, each.id) for each in shown] == sorted(
        ((each.seen_at, each.id) for each in made), reverse=True
    )
