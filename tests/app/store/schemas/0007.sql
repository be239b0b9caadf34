INSERT INTO models (id, name, created_at, archived_at, archived_by, tenant_id)
VALUES (3, 'old', '2025-01-03 08:01:00.000000', '2025-06-01 08:00:00.000000', 'k2345678', 7);
INSERT INTO versions (id, model_id, number, bundle, sha256, size_bytes, spec, scores, origin, created_by, created_at, archived_at, archived_by, deleted_at, deleted_by, tenant_id)
VALUES (7, 3, 1, '', 'ba78', 3, '{"freq": "D", "season": 3, "context": 9, "horizon": 2, "cell": "gru", "strategy": "direct", "units": 4, "depth": 2}', '{"horizon": 2, "season": 3, "origins": 0, "windows": 0, "series_left_out": 0, "scores": {"model": {"mase": null, "smape": null, "rmse": null, "mse": null}, "seasonal_naive": {"mase": null, "smape": null, "rmse": null, "mse": null}}, "skill": null, "coverage": {"80": null, "95": null}, "warm_started_from": null}', 'import', 'k2345678', '2025-05-01 08:01:00.000000', '2025-06-01 08:00:00.000000', 'k2345678', '2025-06-02 08:00:00.000000', 'k2345678', 7);
INSERT INTO alias_moves (id, model_id, alias, from_version, to_version, reason, moved_by, moved_at, tenant_id)
VALUES (2, 3, 'champion', 1, NULL, 'deleted', 'k2345678', '2025-06-01 08:00:00.000000', 7);
INSERT INTO jobs (id, kind, request, state, attempt, max_attempts, token, cancel_requested, progress, created_by, created_at, deleted_at, deleted_by, tenant_id)
VALUES ('j6', 'train', '{}', 'cancelled', 0, 3, 0, TRUE, '{}', 'k2345678', '2025-05-01 08:00:00.000000', '2025-06-01 08:00:00.000000', 'k2345678', 7);
