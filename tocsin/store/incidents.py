"""Being written."""

from sqlalchemy import Connection


class IncidentRepository:
    """Being written."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
