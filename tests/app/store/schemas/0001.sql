INSERT INTO tenants (id, name, created_at) VALUES (7, 'acme', '2025-01-01 08:00:00.000000');
INSERT INTO api_keys (id, name, secret_sha256, scope, created_at, expires_at, revoked_at, tenant_id)
VALUES ('k2345678', 'wall', '5a1e5', 'read', '2025-01-01 08:00:00.000000', '2099-01-01 00:00:00.000000', '2025-02-01 00:00:00.000000', 7);
INSERT INTO datasets (id, name, freq, created_at, tenant_id) VALUES (3, 'sales', 'D', '2025-01-02 08:00:00.000000', 7);
INSERT INTO revisions (id, dataset_id, number, sha256, rows_added, rows_total, series_total, first_ds, last_ds, chunk, created_by, created_at, tenant_id)
VALUES (5, 3, 1, '', 80, 80, 2, '2024-01-01', '2024-02-09', '', 'k2345678', '2025-01-02 08:00:00.000000', 7);
INSERT INTO jobs (id, kind, model, revision_id, request, state, attempt, max_attempts, token, worker, lease_until, cancel_requested, progress, error, version_id, created_by, created_at, started_at, finished_at, tenant_id)
VALUES ('j1', 'train', 'demand', 5, '{"horizon": 2}', 'succeeded', 1, 3, 1, NULL, NULL, FALSE, '{"epoch": 4}', NULL, 4, 'k2345678', '2025-01-03 08:00:00.000000', '2025-01-03 08:00:01.250000', '2025-01-03 08:01:00.000000', 7),
       ('j2', 'train', 'demand', 5, '{"horizon": 2}', 'failed', 3, 3, 3, NULL, NULL, FALSE, '{}', '{"code": "diverged"}', NULL, 'k2345678', '2025-01-04 08:00:00.000000', '2025-01-04 08:00:01.000000', '2025-01-04 08:01:00.000000', 7),
       ('j3', 'train', 'demand', 5, '{"horizon": 2}', 'queued', 0, 3, 0, NULL, NULL, FALSE, '{}', NULL, NULL, 'k2345678', '2025-01-05 08:00:00.000000', NULL, NULL, 7);
INSERT INTO models (id, name, created_at, tenant_id) VALUES (2, 'demand', '2025-01-03 08:01:00.000000', 7);
INSERT INTO versions (id, model_id, number, bundle, sha256, size_bytes, spec, scores, skill, revision_id, data_sha256, job_id, created_by, created_at, tenant_id)
VALUES (4, 2, 1, '', '', 0, '{"freq": "D", "season": 3, "context": 9, "horizon": 2, "cell": "gru", "strategy": "direct", "units": 4, "depth": 2}', '{"horizon": 2, "season": 3, "origins": 4, "windows": 8, "series_left_out": 0, "scores": {"model": {"mase": 0.75, "smape": 4.5, "rmse": 2.0, "mse": 4.0}, "seasonal_naive": {"mase": 1.0, "smape": 4.5, "rmse": 2.0, "mse": 4.0}, "naive": {"mase": 1.0, "smape": 4.5, "rmse": 2.0, "mse": 4.0}}, "skill": 0.25, "coverage": {"80": 0.75, "95": null}, "engines_differ_by": 1e-07, "promoted": true, "promotion": "the first version"}', 0.123456789012345678, 5, '5a1e5', 'j1', 'k2345678', '2025-01-03 08:01:00.000000', 7);
INSERT INTO aliases (id, model_id, name, version_id, moved_at, tenant_id) VALUES (1, 2, 'champion', 4, '2025-01-03 08:01:00.000000', 7);
INSERT INTO alias_moves (id, model_id, alias, from_version, to_version, reason, moved_by, moved_at, tenant_id)
VALUES (1, 2, 'champion', NULL, 1, 'the first version; "Größe" ≥ 0', 'k2345678', '2025-01-03 08:01:00.000000', 7),
       (9, 2, 'champion', 1, 1, 'by hand', 'k2345678', '2025-01-03 08:02:00.000000', 7);
