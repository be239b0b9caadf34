INSERT INTO audit_events (id, at, actor, action, subject, detail, tenant_id, sequence, request_id, sha256)
VALUES (2, '2025-10-01 08:00:00.000000', 'a2345678', 'alias.moved', 'demand@champion', '{"reason": "better"}', 7, 1,
 '7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f',
 '035fcebdfc35bc4917cb3ad37c9b4108050b9f50d2cae56342c4beefb079c58d');
INSERT INTO audit_chains (tenant_id, length, sha256)
VALUES (7, 1, '035fcebdfc35bc4917cb3ad37c9b4108050b9f50d2cae56342c4beefb079c58d');
