"""Suspension and deletion of tenants; ids of tenants, data sets and versions are never reused."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

NEVER_REUSED = ("tenants", "datasets", "versions")


def upgrade() -> None:
    op.add_column("tenants", sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("tenants", sa.Column("deletion_began_at", sa.DateTime(timezone=True), nullable=True))
    _rebuild(autoincrement=True)


def downgrade() -> None:
    _rebuild(autoincrement=False)
    op.drop_column("tenants", "deletion_began_at")
    op.drop_column("tenants", "suspended_at")


def _rebuild(autoincrement: bool) -> None:
    # SQLite gives the id of the last row to the next one after its deletion, unless the table is made otherwise.
    if op.get_bind().dialect.name == "sqlite":
        for table in NEVER_REUSED:
            with op.batch_alter_table(
                table, recreate="always", table_kwargs={"sqlite_autoincrement": autoincrement}
            ):
                pass
