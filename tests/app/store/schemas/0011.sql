INSERT INTO api_keys (id, name, secret_sha256, scope, created_at, expires_at, revoked_at, last_used_at, tenant_id)
VALUES ('a2345678', 'desk', '5a1e5', 'admin', '2025-09-01 08:00:00.000000', NULL, NULL, '2025-09-02 08:00:00.000000', 7);
