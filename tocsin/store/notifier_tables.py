"""The notifier's tables: the outbox, who was told of what, what is held back for a moment, and what routing said."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, Table, UniqueConstraint

from tocsin.store.schema import Instant, Number, Sealed, Text, metadata

alerts = Table(
    "notifier_alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("incident", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("void", Boolean, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("value", Sealed, nullable=False),
    Index("notifier_alerts_incident", "incident", "revision"),
    Index("notifier_alerts_seen", "seen_at"),
)

outbox = Table(
    "notifier_outbox",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False, unique=True),
    Column("receiver", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("alerts", Text, nullable=False),
    Column("incident", Text),
    Column("thread", Text),
    Column("subscription", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("remote", Text),
    Column("reason", Text, nullable=False),
    Column("accepted", Text, nullable=False),
    Index("notifier_outbox_lane", "receiver", "state"),  # and so, with the row id behind it, in order
    Index("notifier_outbox_order", "receiver", "incident", "state", "seq"),
    Index("notifier_outbox_charged", "receiver", "subscription", "created_at"),
    Index("notifier_outbox_finished", "state", "finished_at"),
)

told = Table(
    "notifier_told",
    metadata,
    Column("incident", Text, primary_key=True),
    Column("receiver", Text, primary_key=True),
    Column("thread", Text),
    Column("subscription", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Index("notifier_told_at", "at"),
)

held = Table(
    "notifier_held",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=True),
    Column("receiver", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("incident", Text, nullable=False),
    Column("alert", Text, nullable=False),
    Column("subscriptions", Text, nullable=False),
    UniqueConstraint("receiver", "purpose", "incident", "alert"),
    Index("notifier_held_incident", "incident"),
)

verdicts = Table(
    "notifier_verdicts",
    metadata,
    Column("alert", Text, primary_key=True),
    Column("receiver", Text, primary_key=True),
    Column("subscription", Text, primary_key=True),
    Column("verdict", Text, nullable=False),
)
