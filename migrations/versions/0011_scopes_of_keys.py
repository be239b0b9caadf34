"""More scopes of API keys, and the time of their last use."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

OLD_SCOPES = "scope IN ('read', 'write')"
SCOPES = "scope IN ('forecast', 'read', 'write', 'admin', 'operator')"


def upgrade() -> None:
    with op.batch_alter_table("api_keys") as keys:
        keys.add_column(sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
        keys.drop_constraint(op.f("ck_api_keys_scope"), type_="check")
        keys.create_check_constraint(op.f("ck_api_keys_scope"), SCOPES)
    op.create_index("ix_api_keys_tenant_id_id", "api_keys", ["tenant_id", "id"])


def downgrade() -> None:
    # Earlier releases know no scope as narrow as 'forecast': such keys end.
    op.execute("UPDATE api_keys SET scope = 'write' WHERE scope IN ('admin', 'operator')")
    op.execute("UPDATE api_keys SET scope = 'read', revoked_at = created_at WHERE scope = 'forecast'")
    op.drop_index("ix_api_keys_tenant_id_id", table_name="api_keys")
    with op.batch_alter_table("api_keys") as keys:
        keys.drop_constraint(op.f("ck_api_keys_scope"), type_="check")
        keys.create_check_constraint(op.f("ck_api_keys_scope"), OLD_SCOPES)
        keys.drop_column("last_used_at")
