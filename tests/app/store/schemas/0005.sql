INSERT INTO served_forecasts (id, version_id, dataset_id, series, start_us, horizon, said, scale, stretch, shadow, beside, seen, points, done, served_at, tenant_id)
VALUES (1, 4, 3, 's0', 1707523200000000, 2, 'numbers', 1.5, '{"80": 1.25}', FALSE, 4, 1, 0, FALSE, '2025-04-01 08:00:00.000000', 7);
INSERT INTO realised (id, version_id, day, shadow, beside, horizon, block, band, forecasts, points, scaled, signed, expected, judged_80, covered_80, judged_95, covered_95, tenant_id)
VALUES (1, 4, '2025-04-02', FALSE, 0, 2, 9881, 0, 1, 2, 1.75, -0.5, 1.5, 2, 1, 2, 2, 7);
INSERT INTO adapted_intervals (id, version_id, moments, state, stretch, changed_at, tenant_id)
VALUES (1, 4, 17, '{"80": [0.1, 0.2]}', '[1.0, 1.25]', '2025-04-02 08:00:00.000000', 7);
