"""Packs of rules that count only when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tocsin.errors import SettingsInvalid
from tocsin.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path


def a_configuration(folder: Path, packs: str) -> Path:
    folder.mkdir()
    (folder / "tocsin.yaml").write_text(f"tocsin:\n  packs: {packs}\n", "utf-8")
    return folder


def types(own: Path | None, data: Path, *, every_pack: bool = False) -> set[str]:
    return {rule.type for rule in load_settings(own, data_dir=data, every_pack=every_pack).detectors.rules}


def test_a_pack_counts_when_it_is_asked_for(tmp_path: Path) -> None:
    own = a_configuration(tmp_path / "own", "[unrest]")

    assert "curfew" not in types(None, tmp_path)
    assert {"curfew", "deaths"} <= types(own, tmp_path)


def test_what_is_tried_before_it_is_used_takes_every_pack(tmp_path: Path) -> None:
    assert "curfew" in types(None, tmp_path, every_pack=True)


def test_a_pack_of_ones_own_stands_beside_those_that_are_shipped_or_replaces_one(tmp_path: Path) -> None:
    own = a_configuration(tmp_path / "own", "[unrest, ours]")
    (own / "packs").mkdir()
    for name, type_ in (("unrest", "mine"), ("ours", "strike")):
        rule = f"rules:\n  - {{id: {type_}, type: {type_}, keywords: {{any: [x]}}}}\n"
        (own / "packs" / f"{name}.yaml").write_text(rule, "utf-8")

    assert {"mine", "strike", "deaths"} <= types(own, tmp_path)
    assert "curfew" not in types(own, tmp_path)


def test_a_pack_that_is_none_is_a_mistake_with_its_place(tmp_path: Path) -> None:
    own = a_configuration(tmp_path / "own", "[unrset]")

    with pytest.raises(SettingsInvalid) as caught:
        load_settings(own, data_dir=tmp_path)

    assert str(caught.value) == f"{own}/tocsin.yaml:2:11: no pack 'unrset', did you mean 'unrest'?"
