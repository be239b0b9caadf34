"""Add the missing points and the covariate names of a revision."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# As in app/store/tables.py at the time; a migration never imports what may change later.
json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    # The defaults are true of every revision that there is: before, neither could be.
    op.add_column("revisions", sa.Column("missing_total", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("revisions", sa.Column("covariates", json, nullable=False, server_default=sa.text("'[]'")))


def downgrade() -> None:
    op.drop_column("revisions", "covariates")
    op.drop_column("revisions", "missing_total")
