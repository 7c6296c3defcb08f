"""All tables of the first version.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tocsin.store.schema import Instant, Number, Sealed, Text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_audit",
        sa.Column("number", Number, autoincrement=True, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", Text, nullable=False),
        sa.Column("action", Text, nullable=False),
        sa.Column("target", Text, nullable=False),
        sa.Column("detail", Text, nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "access_sessions",
        sa.Column("id", Text, nullable=False),
        sa.Column("token", Text, nullable=False),
        sa.Column("token_hash", Text, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("access_sessions_expiry", "access_sessions", ["expires_at"], unique=False)
    op.create_table(
        "alerts",
        sa.Column("id", Text, nullable=False),
        sa.Column("incident", Text, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("step", Text, nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("article", Text, nullable=False),
        sa.Column("headline", Text, nullable=False),
        sa.Column("body", Sealed(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("alerts_article", "alerts", ["article"], unique=False)
    op.create_index("alerts_incident", "alerts", ["incident", "revision"], unique=False)
    op.create_index("alerts_seen", "alerts", ["seen_at", "id"], unique=False)
    op.create_table(
        "articles",
        sa.Column("id", Text, nullable=False),
        sa.Column("feed", Text, nullable=False),
        sa.Column("guid", Text, nullable=True),
        sa.Column("url_key", Text, nullable=True),
        sa.Column("content", Text, nullable=False),
        sa.Column("previous", Text, nullable=True),
        sa.Column("revision", Text, nullable=False),
        sa.Column("revisions", sa.Integer(), nullable=False),
        sa.Column("url", Text, nullable=False),
        sa.Column("title", Text, nullable=False),
        sa.Column("words", Text, nullable=False),
        sa.Column("published_at", Instant(), nullable=True),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.Column("backfill", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("articles_feed_seen", "articles", ["feed", "seen_at"], unique=False)
    op.create_index("articles_guid", "articles", ["guid"], unique=False)
    op.create_index("articles_seen", "articles", ["seen_at"], unique=False)
    op.create_index("articles_url", "articles", ["url"], unique=False)
    op.create_index("articles_url_key", "articles", ["url_key"], unique=False)
    op.create_table(
        "dead_letters",
        sa.Column("id", Text, nullable=False),
        sa.Column("stage", Text, nullable=False),
        sa.Column("topic", Text, nullable=False),
        sa.Column("record_id", Text, nullable=False),
        sa.Column("reason", Text, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("dead_letters_at", "dead_letters", ["at"], unique=False)
    op.create_table(
        "feeds",
        sa.Column("id", Text, nullable=False),
        sa.Column("url", Text, nullable=False),
        sa.Column("host", Text, nullable=False),
        sa.Column("origin", Text, nullable=False),
        sa.Column("owner", Text, nullable=False),
        sa.Column("tier", Text, nullable=False),
        sa.Column("language", Text, nullable=True),
        sa.Column("country", Text, nullable=True),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("next_due", Instant(), nullable=False),
        sa.Column("planned_at", Instant(), nullable=True),
        sa.Column("polled_at", Instant(), nullable=True),
        sa.Column("first_ok_at", Instant(), nullable=True),
        sa.Column("last_ok_at", Instant(), nullable=True),
        sa.Column("last_new_at", Instant(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_error", Text, nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_entries", sa.Integer(), nullable=True),
        sa.Column("last_new", sa.Integer(), nullable=True),
        sa.Column("gone", sa.Boolean(), nullable=False),
        sa.Column("gaps", sa.Integer(), nullable=False),
        sa.Column("etag", Text, nullable=True),
        sa.Column("last_modified", Text, nullable=True),
        sa.Column("body_hash", Text, nullable=True),
        sa.Column("rate_per_h", sa.Float(), nullable=True),
        sa.Column("hint_s", sa.Float(), nullable=True),
        sa.Column("guids_churn", sa.Boolean(), nullable=False),
        sa.Column("moving_to", Text, nullable=True),
        sa.Column("moving_seen", sa.Integer(), nullable=False),
        sa.Column("moved_to", Text, nullable=True),
        sa.Column("window", Sealed(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("feeds_due", "feeds", ["next_due"], unique=False)
    op.create_index("feeds_host", "feeds", ["host"], unique=False)
    op.create_table(
        "incident_articles",
        sa.Column("article", Text, nullable=False),
        sa.Column("incident", Text, nullable=False),
        sa.PrimaryKeyConstraint("article", "incident"),
    )
    op.create_index("incident_articles_incident", "incident_articles", ["incident"], unique=False)
    op.create_table(
        "incident_keys",
        sa.Column("key", Text, nullable=False),
        sa.Column("incident", Text, nullable=False),
        sa.PrimaryKeyConstraint("key", "incident"),
    )
    op.create_index("incident_keys_incident", "incident_keys", ["incident"], unique=False)
    op.create_table(
        "incidents",
        sa.Column("id", Text, nullable=False),
        sa.Column("state", Text, nullable=False),
        sa.Column("country", Text, nullable=True),
        sa.Column("happening", Text, nullable=True),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.Column("last_seen", Instant(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("articles", sa.Integer(), nullable=False),
        sa.Column("headline", Text, nullable=False),
        sa.Column("face", Sealed(), nullable=False),
        sa.Column("body", Sealed(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("incidents_country", "incidents", ["country", "last_seen"], unique=False)
    op.create_index("incidents_standing", "incidents", ["state", "severity", "last_seen"], unique=False)
    op.create_table(
        "judged_articles",
        sa.Column("article", Text, nullable=False),
        sa.Column("revision", Text, nullable=False),
        sa.Column("readings", Text, nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.Column("verdict", Text, nullable=False),
        sa.PrimaryKeyConstraint("article"),
    )
    op.create_index("judged_articles_seen", "judged_articles", ["seen_at"], unique=False)
    op.create_table(
        "notifier_alerts",
        sa.Column("id", Text, nullable=False),
        sa.Column("incident", Text, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("void", sa.Boolean(), nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.Column("value", Sealed(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("notifier_alerts_incident", "notifier_alerts", ["incident", "revision"], unique=False)
    op.create_index("notifier_alerts_seen", "notifier_alerts", ["seen_at"], unique=False)
    op.create_table(
        "notifier_held",
        sa.Column("seq", Number, autoincrement=True, nullable=False),
        sa.Column("receiver", Text, nullable=False),
        sa.Column("purpose", Text, nullable=False),
        sa.Column("incident", Text, nullable=False),
        sa.Column("alert", Text, nullable=False),
        sa.Column("subscriptions", Text, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("receiver", "purpose", "incident", "alert"),
    )
    op.create_index("notifier_held_incident", "notifier_held", ["incident"], unique=False)
    op.create_table(
        "notifier_outbox",
        sa.Column("seq", Number, autoincrement=True, nullable=False),
        sa.Column("key", Text, nullable=False),
        sa.Column("receiver", Text, nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("alerts", Text, nullable=False),
        sa.Column("incident", Text, nullable=True),
        sa.Column("thread", Text, nullable=True),
        sa.Column("subscription", Text, nullable=False),
        sa.Column("language", Text, nullable=False),
        sa.Column("cause", Text, nullable=False),
        sa.Column("state", Text, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try", Instant(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.Column("remote", Text, nullable=True),
        sa.Column("reason", Text, nullable=False),
        sa.Column("accepted", Text, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("key"),
    )
    op.create_index(
        "notifier_outbox_charged", "notifier_outbox", ["receiver", "subscription", "created_at"], unique=False
    )
    op.create_index("notifier_outbox_finished", "notifier_outbox", ["state", "finished_at"], unique=False)
    op.create_index("notifier_outbox_lane", "notifier_outbox", ["receiver", "state"], unique=False)
    op.create_index("notifier_outbox_order", "notifier_outbox", ["receiver", "incident", "state", "seq"], unique=False)
    op.create_table(
        "notifier_told",
        sa.Column("incident", Text, nullable=False),
        sa.Column("receiver", Text, nullable=False),
        sa.Column("thread", Text, nullable=True),
        sa.Column("subscription", Text, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("incident", "receiver"),
    )
    op.create_index("notifier_told_at", "notifier_told", ["at"], unique=False)
    op.create_table(
        "notifier_verdicts",
        sa.Column("alert", Text, nullable=False),
        sa.Column("receiver", Text, nullable=False),
        sa.Column("subscription", Text, nullable=False),
        sa.Column("verdict", Text, nullable=False),
        sa.PrimaryKeyConstraint("alert", "receiver", "subscription"),
    )
    op.create_table(
        "overlay",
        sa.Column("kind", Text, nullable=False),
        sa.Column("id", Text, nullable=False),
        sa.Column("value", Text, nullable=False),
        sa.Column("actor", Text, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id"),
    )
    op.create_table(
        "store_counters",
        sa.Column("name", Text, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "stream_cursors",
        sa.Column("consumer_group", Text, nullable=False),
        sa.Column("topic", Text, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempted", sa.BigInteger(), server_default="-1", nullable=False),
        sa.PrimaryKeyConstraint("consumer_group", "topic", "partition"),
    )
    op.create_table(
        "stream_records",
        sa.Column("position", Number, autoincrement=True, nullable=False),
        sa.Column("topic", Text, nullable=False),
        sa.Column("key", Text, nullable=False),
        sa.Column("record_id", Text, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
        sqlite_autoincrement=True,
    )
    op.create_index("stream_records_id", "stream_records", ["topic", "record_id"], unique=True)
    op.create_index("stream_records_order", "stream_records", ["topic", "position"], unique=False)
    op.create_table(
        "timers",
        sa.Column("room", Text, nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("key", Text, nullable=False),
        sa.Column("due", Instant(), nullable=False),
        sa.Column("payload", Text, nullable=False),
        sa.PrimaryKeyConstraint("room", "kind", "key"),
    )
    op.create_index("timers_due", "timers", ["room", "due"], unique=False)


def downgrade() -> None:
    op.drop_index("timers_due", table_name="timers")
    op.drop_table("timers")
    op.drop_index("stream_records_order", table_name="stream_records")
    op.drop_index("stream_records_id", table_name="stream_records")
    op.drop_table("stream_records")
    op.drop_table("stream_cursors")
    op.drop_table("store_counters")
    op.drop_table("overlay")
    op.drop_table("notifier_verdicts")
    op.drop_index("notifier_told_at", table_name="notifier_told")
    op.drop_table("notifier_told")
    op.drop_index("notifier_outbox_order", table_name="notifier_outbox")
    op.drop_index("notifier_outbox_lane", table_name="notifier_outbox")
    op.drop_index("notifier_outbox_finished", table_name="notifier_outbox")
    op.drop_index("notifier_outbox_charged", table_name="notifier_outbox")
    op.drop_table("notifier_outbox")
    op.drop_index("notifier_held_incident", table_name="notifier_held")
    op.drop_table("notifier_held")
    op.drop_index("notifier_alerts_seen", table_name="notifier_alerts")
    op.drop_index("notifier_alerts_incident", table_name="notifier_alerts")
    op.drop_table("notifier_alerts")
    op.drop_index("judged_articles_seen", table_name="judged_articles")
    op.drop_table("judged_articles")
    op.drop_index("incidents_standing", table_name="incidents")
    op.drop_index("incidents_country", table_name="incidents")
    op.drop_table("incidents")
    op.drop_index("incident_keys_incident", table_name="incident_keys")
    op.drop_table("incident_keys")
    op.drop_index("incident_articles_incident", table_name="incident_articles")
    op.drop_table("incident_articles")
    op.drop_index("feeds_host", table_name="feeds")
    op.drop_index("feeds_due", table_name="feeds")
    op.drop_table("feeds")
    op.drop_index("dead_letters_at", table_name="dead_letters")
    op.drop_table("dead_letters")
    op.drop_index("articles_url_key", table_name="articles")
    op.drop_index("articles_url", table_name="articles")
    op.drop_index("articles_seen", table_name="articles")
    op.drop_index("articles_guid", table_name="articles")
    op.drop_index("articles_feed_seen", table_name="articles")
    op.drop_table("articles")
    op.drop_index("alerts_seen", table_name="alerts")
    op.drop_index("alerts_incident", table_name="alerts")
    op.drop_index("alerts_article", table_name="alerts")
    op.drop_table("alerts")
    op.drop_index("access_sessions_expiry", table_name="access_sessions")
    op.drop_table("access_sessions")
    op.drop_table("access_audit")
