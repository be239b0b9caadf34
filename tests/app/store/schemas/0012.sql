INSERT INTO quotas (tenant_id, name, value, changed_at)
VALUES (7, 'tenant_request_rate', '100/minute', '2025-09-15 08:00:00.000000');
