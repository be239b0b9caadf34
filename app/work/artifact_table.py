"""Tables that a job leaves as artifacts."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.formats.table_writer import FORMATS, TableWriter
from app.work.job_context import JobContext


@contextmanager
def artifact_table(context: JobContext, name: str, extension: str, utc: bool) -> Iterator[TableWriter]:
    """Open the artifact NAME.EXTENSION, ``csv`` or ``parquet``, for rows; it is complete at the end of the block.

    ``utc``: its times are in UTC, else without a time zone.
    """
    with context.open_artifact(f"{name}.{extension}", FORMATS[extension]) as file:
        writer = TableWriter(file, extension, utc)
        yield writer
        writer.end()
