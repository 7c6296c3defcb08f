"""Who changed what, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection


class AccessRepository:
    """The audit log."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
