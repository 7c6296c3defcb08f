"""Alembic's entry: runs on the connection that `tocsin.store.migrate` hands over, or offline never."""

from __future__ import annotations

from alembic import context

from tocsin.store.everything import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # BEGIN and COMMIT are those of `tocsin.store.migrate`
    user_module_prefix="",
)
context.run_migrations()
