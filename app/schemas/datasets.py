"""Revisions of data sets."""

from datetime import datetime

from pydantic import Field

from app.schemas.base import Answer


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
    created_by: str
    created_at: datetime
