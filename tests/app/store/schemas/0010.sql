INSERT INTO audit_events (id, at, actor, action, subject, detail, tenant_id)
VALUES (1, '2025-08-01 08:00:00.000000', 'cli', 'key.created', 'k2345678', '{"name": "wall", "expires_at": null}', 7);
