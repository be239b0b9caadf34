"""Add the sizes of revisions, and indexes for the bytes and versions of a tenant."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("revisions", sa.Column("size_bytes", sa.Integer(), server_default="0", nullable=False))
    op.execute("UPDATE revisions SET size_bytes = length(chunk)")
    op.create_index("ix_revisions_tenant_id_size_bytes", "revisions", ["tenant_id", "size_bytes"])
    columns = ["tenant_id", "deleted_at", "size_bytes"]
    op.create_index("ix_versions_tenant_id_deleted_at_size_bytes", "versions", columns)


def downgrade() -> None:
    op.drop_index("ix_versions_tenant_id_deleted_at_size_bytes", table_name="versions")
    op.drop_index("ix_revisions_tenant_id_size_bytes", table_name="revisions")
    op.drop_column("revisions", "size_bytes")
