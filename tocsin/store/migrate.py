"""Bring a database to the schema of this version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.store.schema import metadata

if TYPE_CHECKING:
    from sqlalchemy import Engine


def migrate(engine: Engine) -> None:
    """Create what is missing."""
    metadata.create_all(engine)
