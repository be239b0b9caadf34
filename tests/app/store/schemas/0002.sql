INSERT INTO datasets (id, name, freq, created_at, tenant_id) VALUES (4, 'copy', 'D', '2025-02-02 08:00:00.000000', 7);
INSERT INTO revisions (id, dataset_id, number, sha256, rows_added, rows_total, series_total, missing_total, covariates, first_ds, last_ds, chunk, created_by, created_at, tenant_id)
VALUES (6, 4, 1, '', 80, 80, 2, 0, '[]', '2024-01-01', '2024-02-09', '', 'k2345678', '2025-02-02 08:00:00.000000', 7);
