"""Decisions about jobs that trained nothing have no version."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("decisions") as decisions:
        decisions.alter_column("version_id", existing_type=sa.Integer(), nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM decisions WHERE version_id IS NULL")
    with op.batch_alter_table("decisions") as decisions:
        decisions.alter_column("version_id", existing_type=sa.Integer(), nullable=False)
