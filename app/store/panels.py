"""Data sets as panels: the content of a revision, and the revision that a write adds."""

import numpy as np
from sqlalchemy.orm import Session

from app.store import datasets
from app.store.tables import Revision
from models.data.concat import concat, extend
from models.data.panel import Panel
from models.data.validation import fault_at, format_time
from models.errors import Findings
from models.json_types import JsonObject


def load(session: Session, tenant_id: int, revision: Revision) -> Panel:
    """Return the whole content of a data set at ``revision``."""
    return load_after(session, tenant_id, revision, 0)


def load_after(session: Session, tenant_id: int, revision: Revision, after: int) -> Panel:
    """Return the rows of the revisions after number ``after`` (at least one) up to ``revision``."""
    return concat(datasets.chunks(session, tenant_id, revision.dataset_id, revision.number, after))


def new_revision(rows: Panel, before: Panel | None = None, reading: JsonObject | None = None) -> datasets.NewRevision:
    """Return the revision that appends ``rows`` to ``before``, or that begins a data set with them.

    ``reading`` records how the table of the rows was read.

    Raises:
        InputError: the rows do not continue the series, or a series has no value.
    """
    whole = rows if before is None else extend(before, rows)
    _check_observed(whole)
    ends = [whole.timestamp(i, length - 1) for i, length in enumerate(whole.lengths)]
    return datasets.NewRevision(
        sha256=whole.fingerprint(),
        rows_added=int(np.count_nonzero(~np.isnan(rows.y))),
        rows_total=len(whole.y),
        series_total=len(whole),
        missing_total=int(whole.missing.sum()),
        covariates=list(whole.covariates),
        first_ds=format_time(min(whole.starts)) + "Z" * whole.utc,
        last_ds=format_time(max(ends)) + "Z" * whole.utc,
        chunk=rows.to_bytes(),
        reading=reading or {},
    )


def _check_observed(panel: Panel) -> None:
    found = Findings()
    hint = "give it at least one value, or leave it out"
    found.add(
        np.flatnonzero(panel.observed_lengths == 0).tolist(),
        lambda i: fault_at("no_values", "no row of the series has a value", hint, unique_id=panel.ids[i], field="y"),
    )
    found.check()
