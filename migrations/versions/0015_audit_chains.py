"""Chain the events of the audit log by SHA-256, each tenant's on its own, and give each the id of its request.

Events that are there already, or come from a process of the release before, join the chain with the next event.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_chains",
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_audit_chains")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_audit_chains_tenant_id")),
    )
    op.add_column("audit_events", sa.Column("request_id", sa.String(), nullable=True))
    op.add_column("audit_events", sa.Column("sequence", sa.Integer(), nullable=True))
    op.add_column("audit_events", sa.Column("sha256", sa.String(), nullable=True))
    op.create_index("ix_audit_events_tenant_id_sequence", "audit_events", ["tenant_id", "sequence"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_audit_events_tenant_id_sequence", "audit_events")
    op.drop_column("audit_events", "sha256")
    op.drop_column("audit_events", "sequence")
    op.drop_column("audit_events", "request_id")
    op.drop_table("audit_chains")
