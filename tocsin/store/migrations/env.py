"""Alembic's entry: runs on the connection that `tocsin.store.migrate` hands over, or offline never."""

from __future__ import annotations

from alembic import context

from tocsin.store.everything import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
