"""Routes of the HTTP API: one file for each resource, named as in the URL; ``http`` has their common parts.

A route needs its router in ``app.main`` and a row in the access table, ``app.edge.access``.
"""
