"""Revisions of data sets."""

from datetime import datetime

from pydantic import Field

from app.schemas.base import Answer


class ReadingAnswer(Answer):
    """How the table of a write was read; empty lists and objects for writes of releases before 0.2."""

    id: list[str] = Field(description="Columns whose texts together name a series; without one, the target names it.")
    time: str | None = Field(description="Column of the timestamps.")
    target: list[str] = Field(description="Columns of values; each is a series if there are several.")
    ignored: list[str] = Field(description="Columns that were not read, such as further timestamps.")
    written: dict[str, str] = Field(description="Encoding, delimiter, sheet, and the layout of the timestamps.")
    repairs: dict[str, int] = Field(
        description="Repaired rows or cells: sorted_rows, joined_rows (on_duplicate), unparsable_cells (on_unparsable)."
    )


class RevisionAnswer(Answer):
    """A data set after one write; ``sha256`` is of its whole content, in which missing rows between others count."""

    dataset: str
    freq: str
    revision: int
    sha256: str
    rows_added: int = Field(description="Rows of this write that have a value.")
    rows_total: int = Field(description="Rows of all series, with missing rows and rows without a value.")
    series_total: int
    missing_total: int = Field(description="Points without a value before the last one of their series; never imputed.")
    covariates: list[str] = Field(description="The columns besides unique_id, ds and y.")
    first_ds: str
    last_ds: str
    reading: ReadingAnswer
    created_by: str
    created_at: datetime
