INSERT INTO tenants (id, name, created_at, suspended_at, deletion_began_at)
VALUES (8, 'globex', '2025-10-01 08:00:00.000000', '2025-10-02 08:00:00.000000', '2025-10-03 08:00:00.000000');
