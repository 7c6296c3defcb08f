"""How many articles told of what, and the bursts that this came to.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from tocsin.store.schema import Instant, Sealed, Text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "burst_series",
        sa.Column("country", Text, nullable=False),
        sa.Column("topic", Text, nullable=False),
        sa.Column("quarter", sa.BigInteger(), nullable=False),
        sa.Column("counts", Sealed(), nullable=False),
        sa.PrimaryKeyConstraint("country", "topic"),
    )
    op.create_index("burst_series_quarter", "burst_series", ["quarter"], unique=False)
    op.create_table(
        "burst_articles",
        sa.Column("country", Text, nullable=False),
        sa.Column("topic", Text, nullable=False),
        sa.Column("article", Text, nullable=False),
        sa.Column("story", Text, nullable=False),
        sa.Column("quarter", sa.BigInteger(), nullable=False),
        sa.Column("owner", Text, nullable=False),
        sa.Column("counts", sa.Boolean(), nullable=False),
        sa.Column("source", Sealed(), nullable=False),
        sa.PrimaryKeyConstraint("country", "topic", "article"),
    )
    op.create_index("burst_articles_article", "burst_articles", ["article"], unique=False)
    op.create_index("burst_articles_story", "burst_articles", ["story"], unique=False)
    op.create_index("burst_articles_quarter", "burst_articles", ["country", "topic", "quarter"], unique=False)
    op.create_table(
        "bursts",
        sa.Column("id", Text, nullable=False),
        sa.Column("country", Text, nullable=False),
        sa.Column("topic", Text, nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("last_hot", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("revision", Text, nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("bursts_topic", "bursts", ["country", "topic", "last_hot"], unique=False)
    op.create_index("bursts_seen", "bursts", ["seen_at"], unique=False)


def downgrade() -> None:
    for index in ("bursts_seen", "bursts_topic"):
        op.drop_index(index, table_name="bursts")
    op.drop_table("bursts")
    for index in ("burst_articles_quarter", "burst_articles_story", "burst_articles_article"):
        op.drop_index(index, table_name="burst_articles")
    op.drop_table("burst_articles")
    op.drop_index("burst_series_quarter", table_name="burst_series")
    op.drop_table("burst_series")
