"""Indexes for claims by tenant, and for the bytes of a tenant's files."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

OLD_QUEUE = ["state", "resource", "place", "id", "run_at"]
QUEUE = ["state", "resource", "tenant_id", "place", "id", "run_at"]
STARTS = ["tenant_id", "resource", "started_at"]


def upgrade() -> None:
    op.create_index("ix_artifacts_tenant_id", "artifacts", ["tenant_id"])
    op.drop_index("ix_jobs_state_resource_place_id_run_at", table_name="jobs")
    op.create_index("ix_jobs_state_resource_tenant_id_place_id_run_at", "jobs", QUEUE)
    op.create_index("ix_jobs_tenant_id_resource_started_at", "jobs", STARTS)


def downgrade() -> None:
    op.drop_index("ix_jobs_tenant_id_resource_started_at", table_name="jobs")
    op.drop_index("ix_jobs_state_resource_tenant_id_place_id_run_at", table_name="jobs")
    op.create_index("ix_jobs_state_resource_place_id_run_at", "jobs", OLD_QUEUE)
    op.drop_index("ix_artifacts_tenant_id", table_name="artifacts")
