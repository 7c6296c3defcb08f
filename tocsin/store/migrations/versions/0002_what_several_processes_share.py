"""What several processes share, and what is needed to replay a dead letter.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tocsin.store.schema import Instant, Text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


# PostgreSQL: what waits for the relay lives for a moment. To compress it, and to put it into a second table, costs
# three times as much as all the rest of writing it; and as rows come and go, they are cleared away early.
FLEETING = "toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE stream_records SET ({FLEETING})")
    op.create_table(
        "ingest_holds",
        sa.Column("host", Text, nullable=False),
        sa.Column("until", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("host"),
    )
    op.add_column("feeds", sa.Column("slot", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("feeds", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "leases",
        sa.Column("name", Text, nullable=False),
        sa.Column("holder", Text, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("expires", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "stream_consumed",
        sa.Column("consumer_group", Text, nullable=False),
        sa.Column("topic", Text, nullable=False),
        sa.Column("record_id", Text, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("consumer_group", "topic", "record_id"),
    )
    op.create_index("stream_consumed_at", "stream_consumed", ["at"], unique=False)
    op.create_table(
        "stream_seen",
        sa.Column("topic", Text, nullable=False),
        sa.Column("record_id", Text, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "record_id"),
    )
    op.create_index("stream_seen_at", "stream_seen", ["at"], unique=False)
    op.create_table(
        "stream_replays",
        sa.Column("id", Text, nullable=False),
        sa.Column("consumer_group", Text, nullable=False),
        sa.Column("topic", Text, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=True),
        sa.Column("offset", sa.BigInteger(), nullable=True),
        sa.Column("key", Text, nullable=False),
        sa.Column("record_id", Text, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("checksum", sa.BigInteger(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("asked_at", Instant(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("reason", Text, nullable=False),
        sa.Column("claimed_by", Text, nullable=True),
        sa.Column("claimed_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("stream_replays_group", "stream_replays", ["consumer_group", "at"], unique=False)
    for column in (
        sa.Column("key", Text, nullable=False, server_default=""),
        sa.Column("partition", sa.Integer(), nullable=True),
        sa.Column("offset", sa.BigInteger(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("times", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("traceback", Text, nullable=False, server_default=""),
        sa.Column("checksum", sa.BigInteger(), nullable=True),
    ):
        op.add_column("dead_letters", column)
    op.execute("UPDATE dead_letters SET size = length(value)")
    op.create_index("dead_letters_stage", "dead_letters", ["stage", "at", "size"], unique=False)


def downgrade() -> None:
    op.drop_index("dead_letters_stage", table_name="dead_letters")
    for name in ("checksum", "traceback", "times", "size", "offset", "partition", "key"):
        op.drop_column("dead_letters", name)
    op.drop_index("stream_replays_group", table_name="stream_replays")
    op.drop_table("stream_replays")
    op.drop_index("stream_seen_at", table_name="stream_seen")
    op.drop_table("stream_seen")
    op.drop_index("stream_consumed_at", table_name="stream_consumed")
    op.drop_table("stream_consumed")
    op.drop_table("leases")
    op.drop_column("feeds", "attempts")
    op.drop_column("feeds", "slot")
    op.drop_table("ingest_holds")
    if op.get_bind().dialect.name == "postgresql":
        names = ", ".join(setting.split(" = ")[0] for setting in FLEETING.split(", "))
        op.execute(f"ALTER TABLE stream_records RESET ({names})")
