INSERT INTO jobs (id, kind, request, state, attempt, max_attempts, token, cancel_requested, progress, created_by, created_at, traceparent, tenant_id)
VALUES ('j9', 'train', '{}', 'cancelled', 0, 3, 0, TRUE, '{}', 'k2345678', '2025-11-01 08:00:00.000000', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', 7);
