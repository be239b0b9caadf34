"""Backups: all rows of a database in one file, which is restored into an empty database of either kind."""
