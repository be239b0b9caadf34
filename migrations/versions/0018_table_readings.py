"""Add the record of how the table of a revision was read."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# As in app/store/tables at the time; a migration never imports what may change later.
json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("revisions", sa.Column("reading", json, nullable=False, server_default=sa.text("'{}'")))


def downgrade() -> None:
    op.drop_column("revisions", "reading")
