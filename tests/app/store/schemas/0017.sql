INSERT INTO usage_days (tenant_id, day, requests, series, points, job_s, stored_bytes)
VALUES (7, '2025-10-01', 1200, 300, 86400, 61.5, 1048576);
