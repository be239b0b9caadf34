INSERT INTO decisions (id, model_id, version_id, schedule_id, verdict, reason, policy, numbers, decided_by, decided_at, tenant_id)
VALUES (2, 2, NULL, 9, 'kept', 'the new rows differ from the past', '{}', '{}', 'gate', '2025-07-03 08:01:00.000000', 7);
