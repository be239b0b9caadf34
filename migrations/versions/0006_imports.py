"""Jobs without data or a model, and versions that were imported: what neither has may be NULL."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ORIGINS = "origin IN ('job', 'import')"
LINEAGE = "origin <> 'job' OR (job_id IS NOT NULL AND revision_id IS NOT NULL AND data_sha256 IS NOT NULL)"


def upgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.alter_column("revision_id", existing_type=sa.Integer(), nullable=True)
        jobs.alter_column("model", existing_type=sa.String(), nullable=True)
    with op.batch_alter_table("versions") as versions:
        versions.alter_column("job_id", existing_type=sa.String(), nullable=True)
        versions.alter_column("revision_id", existing_type=sa.Integer(), nullable=True)
        versions.alter_column("data_sha256", existing_type=sa.String(), nullable=True)
        versions.add_column(sa.Column("origin", sa.String(), server_default="job", nullable=False))
        versions.create_check_constraint(op.f("ck_versions_origin"), ORIGINS)
        versions.create_check_constraint(op.f("ck_versions_lineage"), LINEAGE)


def downgrade() -> None:
    _delete_unrepresentable()
    with op.batch_alter_table("versions") as versions:
        versions.drop_constraint(op.f("ck_versions_lineage"), type_="check")
        versions.drop_constraint(op.f("ck_versions_origin"), type_="check")
        versions.drop_column("origin")
        versions.alter_column("data_sha256", existing_type=sa.String(), nullable=False)
        versions.alter_column("revision_id", existing_type=sa.Integer(), nullable=False)
        versions.alter_column("job_id", existing_type=sa.String(), nullable=False)
    with op.batch_alter_table("jobs") as jobs:
        jobs.alter_column("model", existing_type=sa.String(), nullable=False)
        jobs.alter_column("revision_id", existing_type=sa.Integer(), nullable=False)


def _delete_unrepresentable() -> None:
    """Delete the rows that the older schema has no room for, and the rows that point at them."""
    imported = "SELECT id FROM versions WHERE origin <> 'job'"
    for table in ("aliases", "decisions", "served_forecasts", "realised", "adapted_intervals"):
        op.execute(f"DELETE FROM {table} WHERE version_id IN ({imported})")  # noqa: S608 - constants of this file
    op.execute("DELETE FROM versions WHERE origin <> 'job'")
    bare = "SELECT id FROM jobs WHERE revision_id IS NULL OR model IS NULL"
    op.execute(
        f"DELETE FROM artifact_parts WHERE artifact_id IN (SELECT id FROM artifacts WHERE job_id IN ({bare}))"  # noqa: S608
    )
    for table in ("artifacts", "checkpoints", "job_attempts", "job_events"):
        op.execute(f"DELETE FROM {table} WHERE job_id IN ({bare})")  # noqa: S608
    op.execute("DELETE FROM jobs WHERE revision_id IS NULL OR model IS NULL")
