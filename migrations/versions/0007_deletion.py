"""Archived and deleted versions, archived models, deleted jobs, and moves that delete an alias."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

moment = sa.DateTime(timezone=True)
ADDED = {
    "models": ("archived_at", "archived_by"),
    "versions": ("archived_at", "archived_by", "deleted_at", "deleted_by"),
    "jobs": ("deleted_at", "deleted_by"),
}


def upgrade() -> None:
    for table, names in ADDED.items():
        for name in names:
            op.add_column(table, sa.Column(name, moment if name.endswith("_at") else sa.String(), nullable=True))
    with op.batch_alter_table("alias_moves") as moves:
        moves.alter_column("to_version", existing_type=sa.Integer(), nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM alias_moves WHERE to_version IS NULL")
    with op.batch_alter_table("alias_moves") as moves:
        moves.alter_column("to_version", existing_type=sa.Integer(), nullable=False)
    for table, names in ADDED.items():
        for name in names:
            op.drop_column(table, name)
