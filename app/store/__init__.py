"""Durable state in one database (SQLite or PostgreSQL): keys, data sets, jobs, models, schedules, webhooks, forecasts.

Every function takes a ``Session`` and joins the caller's transaction, which ``Database.read()`` or ``.write()`` opens
at the edge of a use case. Queries for rows of users filter by ``tenant_id`` here, not in the callers.
"""
