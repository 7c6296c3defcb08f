"""What every room relies on without saying so."""

from __future__ import annotations

import re
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

from tocsin.settings import shipped

ROOMS = ("tocsin", "ingest", "detectors", "bursts", "incidents", "notifier", "web")


def test_the_configuration_is_data_and_holds_no_python() -> None:
    files = [path for path in shipped().rglob("*") if path.is_file()]

    assert files
    assert [path.name for path in files if path.suffix in {".py", ".pyc", ".pyi", ".so"}] == []


@pytest.mark.parametrize("room", ROOMS)
def test_no_other_distribution_owns_a_package_of_ours(room: str) -> None:
    # An editable installation tells no packages at all; then only ours may be missing here.
    owners = {re.sub(r"[-_.]+", "-", name).lower() for name in packages_distributions().get(room, [])}

    assert owners <= {"tocsin"}


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_is_imported_from_where_the_others_are(room: str) -> None:
    home, here = find_spec("tocsin"), find_spec(room)

    assert home is not None
    assert here is not None
    assert Path(str(here.origin)).parent.parent == Path(str(home.origin)).parent.parent
