"""Data sets as panels: what a revision holds, and what a write adds."""

import numpy as np
from sqlalchemy.orm import Session

from app.store import datasets
from app.store.tables import Revision
from models.data.concat import concat, extend
from models.data.panel import Panel
from models.data.validation import fault_at, format_time
from models.errors import Findings


def load(session: Session, tenant_id: int, revision: Revision) -> Panel:
    """The whole content of a data set at ``revision``."""
    return newer(session, tenant_id, revision, 0)


def newer(session: Session, tenant_id: int, revision: Revision, after: int) -> Panel:
    """What the revisions after number ``after`` (at least one) say up to ``revision``."""
    return concat(datasets.chunks(session, tenant_id, revision.dataset_id, revision.number, after))


def new_revision(rows: Panel, before: Panel | None = None) -> datasets.NewRevision:
    """The write that adds ``rows`` to what was there ``before``.

    Raises:
        InputError: the rows do not go on where the series ended; a series of which no value is known.
    """
    whole = rows if before is None else extend(before, rows)
    _check_observed(whole)
    ends = [whole.timestamp(i, length - 1) for i, length in enumerate(whole.lengths)]
    return datasets.NewRevision(
        sha256=whole.fingerprint(),
        rows_added=len(rows.y),
        rows_total=len(whole.y),
        series_total=len(whole),
        missing_total=int(whole.missing.sum()),
        covariates=list(whole.covariates),
        first_ds=format_time(min(whole.starts)) + "Z" * whole.utc,
        last_ds=format_time(max(ends)) + "Z" * whole.utc,
        chunk=rows.to_bytes(),
    )


def _check_observed(panel: Panel) -> None:
    found = Findings()
    hint = "give it at least one value, or leave it out"
    found.add(
        np.flatnonzero(panel.observed_lengths == 0).tolist(),
        lambda i: fault_at("no_values", "no row of the series has a value", hint, unique_id=panel.ids[i], field="y"),
    )
    found.check()
