"""Panels from long frames: pandas, polars, or dicts of columns; none of these libraries is imported."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np

from models.data.frequency_choice import FreqChoice
from models.data.panel import COLUMNS, Panel, panel_from_columns
from models.data.validation import Column, fault_at
from models.errors import InputError


def panel_from_frame(frame: Mapping[str, Any], freq: FreqChoice = None) -> Panel:
    """Return the panel of a long frame (pandas, polars, or a dict of columns) with the columns ``unique_id, ds, y``.

    Timestamps may be strings or datetimes. Every other column of numbers, booleans or text is a covariate; columns of
    datetimes are ignored.

    Raises:
        InputError: a fault of ``panel_from_columns``, or ``missing_column`` for one of the three columns.
    """
    for name in COLUMNS:
        if name not in frame:
            hint = "a long frame has one row for each series and time"
            raise InputError([fault_at("missing_column", f"the column '{name}' is missing", hint, field=name)])
    ds = np.asarray(frame["ds"])
    times = np.datetime_as_string(ds.astype("datetime64[us]")) if ds.dtype.kind == "M" else ds
    stamps = [t.isoformat() if isinstance(t, date) else t for t in times.tolist()]
    names = [str(n) if isinstance(n, int | np.integer) else n for n in np.asarray(frame["unique_id"], dtype=object)]
    others = {str(name): _column(frame[name]) for name in getattr(frame, "columns", frame) if name not in COLUMNS}
    kept = {n: c for n, c in others.items() if not isinstance(c, np.ndarray) or c.dtype.kind not in "mM"}
    return panel_from_columns(names, stamps, _column(frame["y"]), freq, kept)


def _column(values: Any) -> Column:
    # NumPy would convert the items of a mixed list to one type.
    return values if isinstance(values, list) else np.asarray(values)
