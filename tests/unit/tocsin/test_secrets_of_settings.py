from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_every_secret_of_a_configuration_is_known_to_the_log(tmp_path: Path) -> None:
    (tmp_path / "feeds.yaml").write_text(
        'sources: {feeds: [{id: a, url: "https://a.example/f", headers: {X-Key: "${FEED_KEY}"}}]}\n'
    )
    (tmp_path / "receivers.yaml").write_text(
        "receivers:\n"
        '  s: {kind: slack, webhook_url: "https://hooks.example/services/${HOOK}"}\n'
        "  console: {kind: console}\n  log: {kind: file, path: alerts.jsonl}\n"
    )

    settings = load_settings(
        tmp_path, data_dir=tmp_path, environment={"FEED_KEY": "open-sesame-1", "HOOK": "t0p-s3cret"}
    )

    assert set(settings.secrets()) == {"open-sesame-1", "https://hooks.example/services/t0p-s3cret"}
    assert "open-sesame-1" not in repr(settings)
