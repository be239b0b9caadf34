"""What must not be lost, in one database (SQLite or PostgreSQL): keys, data sets, jobs, models.

Every function takes a ``Session`` and joins the caller's transaction, which ``Database.read()`` or ``.write()`` opens
at the edge of a use case. What belongs to a user is filtered by ``tenant_id`` here, never by the caller.
"""
