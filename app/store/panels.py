"""Data sets as panels: what a revision holds, and what a write adds."""

import numpy as np
from sqlalchemy.orm import Session

from app.store import datasets
from app.store.tables import Revision
from models.panel import Panel, concat


def load(session: Session, tenant_id: int, revision: Revision) -> Panel:
    """The whole content of a data set at ``revision``."""
    return concat(datasets.chunks(session, tenant_id, revision.dataset_id, revision.number))


def new_revision(rows: Panel, before: Panel | None = None) -> datasets.NewRevision:
    """The write that adds ``rows`` to what was there ``before``.

    Raises:
        InputError: the rows do not go on where the series ended.
    """
    whole = rows if before is None else before.extend(rows)
    ends = [whole.times(i)[-1] for i in range(len(whole))]
    return datasets.NewRevision(
        sha256=whole.fingerprint(),
        rows_added=len(rows.y),
        rows_total=len(whole.y),
        series_total=len(whole),
        first_ds=_text(min(whole.starts), whole.utc),
        last_ds=_text(max(ends), whole.utc),
        chunk=rows.to_bytes(),
    )


def _text(moment: np.datetime64, utc: bool) -> str:
    return f"{np.datetime_as_string(moment, unit='s')}{'Z' * utc}"
