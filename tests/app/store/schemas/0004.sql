INSERT INTO schedules (id, name, cron, zone, misfire, overlap, grace_s, jitter_s, paused, triggers, request, gate, watermark, due_at, next_at, rev, created_by, created_at, changed_at, tenant_id)
VALUES (9, 'nightly', '30 2 * * *', 'Europe/Paris', 'once', 'skip', 3600.0, 0.0, FALSE, '{"new_rows": 168}', '{"kind": "retrain", "model": "demand"}', '{"minimum_gain": 0.02}', '{"rows": 80}', '2099-01-01 01:30:00.000000', '2099-01-01 01:30:00.000000', 4, 'k2345678', '2025-03-01 08:00:00.000000', '2025-03-02 08:00:00.000000', 7);
INSERT INTO firings (id, schedule_id, due_at, fired_at, cause, outcome, detail, job_id)
VALUES (1, 9, '2025-03-02 01:30:00.000000', '2025-03-02 01:30:00.400000', 'cron', 'fired', '{}', 'j1');
INSERT INTO webhooks (id, name, url, events, secret, previous_secret, previous_until, disabled, created_by, created_at, tenant_id)
VALUES (1, 'desk', 'https://desk.example/hook', '["job.succeeded"]', 'whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0', 'whsec_b2xk', '2025-03-02 08:00:00.000000', 'by hand', 'k2345678', '2025-03-01 08:00:00.000000', 7);
INSERT INTO deliveries (id, webhook_id, message_id, event, payload, state, attempt, next_at, detail, created_at)
VALUES (8, 1, 'm1', 'job.succeeded', '{"job": "j1", "skill": 0.25}', 'pending', 12, '2099-01-01 00:00:00.000000', 'status 500', '2025-03-02 01:31:00.000000');
INSERT INTO pulses (id, name, at) VALUES (1, 'scheduler', '2025-03-02 01:30:00.000000');
INSERT INTO decisions (id, model_id, version_id, schedule_id, verdict, reason, policy, numbers, decided_by, decided_at, tenant_id)
VALUES (1, 2, 4, 9, 'promoted', 'the first version', '{}', '{"ours": 0.75}', 'gate', '2025-01-03 08:01:00.000000', 7);
