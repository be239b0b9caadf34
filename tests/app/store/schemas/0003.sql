INSERT INTO resources (name, slots) VALUES ('gpu', 2);
INSERT INTO idempotency_keys (id, key, route, request_sha256, body, created_at, tenant_id)
VALUES (1, 'order-1', 'POST /v1/jobs', '5a1e5', '{"id": "j1"}', '2025-02-03 08:00:00.000000', 7);
INSERT INTO jobs (id, kind, model, revision_id, request, state, attempt, max_attempts, token, worker, lease_until, cancel_requested, progress, error, version_id, created_by, created_at, started_at, finished_at, tenant_id, resource, priority, place, run_at, deadline_at, dedup, holder, runner_sha256, result, schedule_id, parent_id, label, children_total, children_at_once)
VALUES ('j4', 'train', 'demand', 5, '{"by": "town"}', 'running', 1, 3, 1, 'w1', '2025-02-03 09:00:00.000000', FALSE, '{}', NULL, NULL, 'k2345678', '2025-02-03 08:00:00.000000', '2025-02-03 08:00:01.000000', NULL, 7, 'gpu', 5, '2025-02-03 07:10:00.000000', '2025-02-03 08:00:00.000000', '2025-02-04 08:00:00.000000', 'nightly', '{"pid": 17}', '5a1e5', '{"of": 1}', 9, 'j3', '{"town": "Ulm"}', 1, 2);
INSERT INTO job_attempts (id, job_id, number, token, worker, started_at, waited_s, ended_at, outcome, message)
VALUES (1, 'j4', 1, 1, 'w1', '2025-02-03 08:00:01.000000', 0.5, NULL, NULL, NULL),
       (2, 'j1', 1, 1, 'w1', '2025-01-03 08:00:01.250000', 0.1, '2025-01-03 08:01:00.000000', 'succeeded', 'done');
INSERT INTO job_events (id, job_id, kind, data, at) VALUES (1, 'j4', 'state', '{"state": "running"}', '2025-02-03 08:00:01.000000');
INSERT INTO checkpoints (job_id, token, size_bytes, sha256, data, at)
VALUES ('j4', 1, 10, '47320987f9a49d5b00119b960f247a956773f57543982b8bfcb6da5bb3afd9ef', 'checkpoint', '2025-02-03 08:00:02.000000');
INSERT INTO artifacts (id, job_id, token, name, media_type, size_bytes, sha256, created_at, tenant_id)
VALUES (1, 'j1', 1, 'forecast.csv', 'text/csv', 12, 'd1a7bb2ff270f39b30e0c9c807dbf207f0b1a138682ff50e4647b94f1017ce26', '2025-01-03 08:00:59.000000', 7);
INSERT INTO artifact_parts (artifact_id, number, data) VALUES (1, 1, 'unique_id,'), (1, 2, 'ds');
