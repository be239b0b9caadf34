INSERT INTO datasets (id, name, freq, created_at, tenant_id) VALUES (5, 'umsatz', 'D', '2025-12-02 08:00:00.000000', 7);
INSERT INTO revisions (id, dataset_id, number, sha256, rows_added, rows_total, series_total, missing_total, covariates, first_ds, last_ds, chunk, created_by, created_at, tenant_id, reading)
VALUES (7, 5, 1, '', 80, 80, 2, 0, '[]', '2024-01-01', '2024-02-09', '', 'k2345678', '2025-12-02 08:00:00.000000', 7,
 '{"options": {"id": ["Filiale"], "time": "Tag", "target": ["Umsatz"]}, "ignored": [], "written": {"delimiter": ";"}, "repairs": {"sorted_rows": 3}}');
