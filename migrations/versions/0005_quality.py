"""Add served forecasts, their realised errors, and adapted intervals."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# As in app/store/tables at the time; a migration never imports what may change later.
moment = sa.DateTime(timezone=True)
json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "served_forecasts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("series", sa.String(), nullable=False),
        sa.Column("start_us", sa.BigInteger(), nullable=False),
        sa.Column("horizon", sa.Integer(), nullable=False),
        sa.Column("said", sa.LargeBinary(), nullable=False),
        sa.Column("scale", sa.Double(), nullable=True),
        sa.Column("stretch", json, nullable=False),
        sa.Column("shadow", sa.Boolean(), nullable=False),
        sa.Column("beside", sa.Integer(), nullable=True),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("served_at", moment, nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_served_forecasts_dataset_id")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_served_forecasts_tenant_id")),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name=op.f("fk_served_forecasts_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_served_forecasts")),
        sa.UniqueConstraint(
            "version_id",
            "dataset_id",
            "series",
            "start_us",
            "horizon",
            "shadow",
            name=op.f("uq_served_forecasts_version_id_dataset_id_series_start_us_horizon_shadow"),
        ),
    )
    op.create_index("ix_served_forecasts_dataset_id_done_seen", "served_forecasts", ["dataset_id", "done", "seen"])
    op.create_index("ix_served_forecasts_served_at", "served_forecasts", ["served_at"])
    op.create_table(
        "realised",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("shadow", sa.Boolean(), nullable=False),
        sa.Column("beside", sa.Integer(), nullable=False),
        sa.Column("horizon", sa.Integer(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("band", sa.Integer(), nullable=False),
        sa.Column("forecasts", sa.Integer(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("scaled", sa.Double(), nullable=False),
        sa.Column("signed", sa.Double(), nullable=False),
        sa.Column("expected", sa.Double(), nullable=False),
        sa.Column("judged_80", sa.Integer(), nullable=False),
        sa.Column("covered_80", sa.Integer(), nullable=False),
        sa.Column("judged_95", sa.Integer(), nullable=False),
        sa.Column("covered_95", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_realised_tenant_id")),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name=op.f("fk_realised_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_realised")),
        sa.UniqueConstraint(
            "version_id",
            "day",
            "shadow",
            "beside",
            "horizon",
            "block",
            "band",
            name=op.f("uq_realised_version_id_day_shadow_beside_horizon_block_band"),
        ),
    )
    op.create_index("ix_realised_day", "realised", ["day"])
    op.create_table(
        "adapted_intervals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("moments", sa.Integer(), nullable=False),
        sa.Column("state", json, nullable=False),
        sa.Column("stretch", json, nullable=False),
        sa.Column("changed_at", moment, nullable=False),
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_adapted_intervals_tenant_id")),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], name=op.f("fk_adapted_intervals_version_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adapted_intervals")),
        sa.UniqueConstraint("version_id", name=op.f("uq_adapted_intervals_version_id")),
    )


def downgrade() -> None:
    op.drop_table("adapted_intervals")
    op.drop_index("ix_realised_day", table_name="realised")
    op.drop_table("realised")
    op.drop_index("ix_served_forecasts_served_at", table_name="served_forecasts")
    op.drop_index("ix_served_forecasts_dataset_id_done_seen", table_name="served_forecasts")
    op.drop_table("served_forecasts")
