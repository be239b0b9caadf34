"""Long frames -- pandas, polars, or dicts of columns -- into panels; none of these libraries is imported."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np

from models.data.panel import COLUMNS, Panel, panel_from_columns
from models.data.validation import Column, fault_at
from models.errors import InputError


def panel_from_frame(frame: Mapping[str, Any], freq: str | None = None) -> Panel:
    """A panel of a long frame (pandas, polars, or a dict of columns) with the columns ``unique_id, ds, y``.

    Timestamps may be strings or datetimes. Every other column of numbers, true and false, or text is a covariate;
    columns of datetimes are left out.

    Raises:
        InputError: see ``panel_from_columns``; ``missing_column`` where one of the three is not there.
    """
    for name in COLUMNS:
        if name not in frame:
            hint = "a long frame has one row for each series and moment"
            raise InputError([fault_at("missing_column", f"the column '{name}' is missing", hint, field=name)])
    ds = np.asarray(frame["ds"])
    moments = np.datetime_as_string(ds.astype("datetime64[us]")) if ds.dtype.kind == "M" else ds
    stamps = [m.isoformat() if isinstance(m, date) else m for m in moments.tolist()]
    names = [str(n) if isinstance(n, int | np.integer) else n for n in np.asarray(frame["unique_id"], dtype=object)]
    others = {str(name): _column(frame[name]) for name in getattr(frame, "columns", frame) if name not in COLUMNS}
    kept = {n: c for n, c in others.items() if not isinstance(c, np.ndarray) or c.dtype.kind not in "mM"}
    return panel_from_columns(names, stamps, _column(frame["y"]), freq, kept)


def _column(values: Any) -> Column:
    # NumPy would make one kind of what is of several in a list.
    return values if isinstance(values, list) else np.asarray(values)
