"""Common parts of routes: dependencies, pages of lists, idempotency, and routes that read their own body."""
