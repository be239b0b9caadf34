"""Add the queue of jobs, attempts, events, checkpoints and artifacts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# As in app/store/tables at the time; a migration never imports what may change later.
moment = sa.DateTime(timezone=True)
json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "resources",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_resources")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("route", sa.String(), nullable=False),
        sa.Column("request_sha256", sa.String(), nullable=False),
        sa.Column("body", json, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_idempotency_keys_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency_keys")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_idempotency_keys_tenant_id_key")),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False)
    op.create_table(
        "artifacts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_artifacts_job_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_artifacts_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifacts")),
        sa.UniqueConstraint("job_id", "token", "name", name=op.f("uq_artifacts_job_id_token_name")),
    )
    op.create_table(
        "checkpoints",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_checkpoints_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "job_attempts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("waited_s", sa.Double(), nullable=False),
        sa.Column("ended_at", moment, nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_attempts_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_attempts")),
        sa.UniqueConstraint("job_id", "token", name=op.f("uq_job_attempts_job_id_token")),
    )
    op.create_table(
        "job_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("data", json, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_events_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_events")),
    )
    op.create_index("ix_job_events_job_id_id", "job_events", ["job_id", "id"], unique=False)
    op.create_table(
        "artifact_parts",
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["artifact_id"], ["artifacts.id"], name=op.f("fk_artifact_parts_artifact_id")),
        sa.PrimaryKeyConstraint("artifact_id", "number", name=op.f("pk_artifact_parts")),
    )
    op.add_column("jobs", sa.Column("resource", sa.String(), server_default="cpu", nullable=False))
    op.add_column("jobs", sa.Column("priority", sa.Integer(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("place", moment, nullable=True))
    op.add_column("jobs", sa.Column("run_at", moment, nullable=True))
    op.add_column("jobs", sa.Column("deadline_at", moment, nullable=True))
    op.add_column("jobs", sa.Column("dedup", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("holder", json, nullable=True))
    op.add_column("jobs", sa.Column("runner_sha256", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("result", json, nullable=True))
    op.add_column("jobs", sa.Column("schedule_id", sa.Integer(), nullable=True))
    op.add_column("jobs", sa.Column("parent_id", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("label", json, nullable=True))
    op.add_column("jobs", sa.Column("children_total", sa.Integer(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("children_at_once", sa.Integer(), nullable=True))
    op.create_index("ix_jobs_parent_id_state", "jobs", ["parent_id", "state"], unique=False)
    queue = ["state", "resource", "place", "id", "run_at"]
    op.create_index("ix_jobs_state_resource_place_id_run_at", "jobs", queue, unique=False)
    op.create_index("ix_jobs_state_deadline_at", "jobs", ["state", "deadline_at"], unique=False)
    op.drop_index("ix_jobs_state_created_at", table_name="jobs")
    op.create_index("ix_jobs_state_kind_created_at", "jobs", ["state", "kind", "created_at"], unique=False)
    op.create_index("ix_jobs_tenant_id_dedup", "jobs", ["tenant_id", "dedup"], unique=True)
    # Those that wait already keep their places.
    op.execute("UPDATE jobs SET place = created_at")


def downgrade() -> None:
    op.drop_index("ix_jobs_tenant_id_dedup", table_name="jobs")
    op.drop_index("ix_jobs_state_kind_created_at", table_name="jobs")
    op.create_index("ix_jobs_state_created_at", "jobs", ["state", "created_at"], unique=False)
    op.drop_index("ix_jobs_state_deadline_at", table_name="jobs")
    op.drop_index("ix_jobs_state_resource_place_id_run_at", table_name="jobs")
    op.drop_index("ix_jobs_parent_id_state", table_name="jobs")
    op.drop_column("jobs", "children_at_once")
    op.drop_column("jobs", "children_total")
    op.drop_column("jobs", "label")
    op.drop_column("jobs", "parent_id")
    op.drop_column("jobs", "schedule_id")
    op.drop_column("jobs", "result")
    op.drop_column("jobs", "runner_sha256")
    op.drop_column("jobs", "holder")
    op.drop_column("jobs", "dedup")
    op.drop_column("jobs", "deadline_at")
    op.drop_column("jobs", "run_at")
    op.drop_column("jobs", "place")
    op.drop_column("jobs", "priority")
    op.drop_column("jobs", "resource")
    op.drop_table("artifact_parts")
    op.drop_index("ix_job_events_job_id_id", table_name="job_events")
    op.drop_table("job_events")
    op.drop_table("job_attempts")
    op.drop_table("checkpoints")
    op.drop_table("artifacts")
    op.drop_index("ix_idempotency_keys_created_at", table_name="idempotency_keys")
    op.drop_table("idempotency_keys")
    op.drop_table("resources")
