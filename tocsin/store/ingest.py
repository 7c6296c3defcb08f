"""Being written."""

from sqlalchemy import Connection


class IngestRepository:
    """Being written."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
