"""Errors for tables that cannot be read."""

from typing import Any

from models.data.panel import COLUMNS, Panel
from models.data.validation import MAX_COVARIATES
from models.errors import Fault, InputError

MAX_COLUMNS = len(COLUMNS) + MAX_COVARIATES


def refusal(code: str, message: str, hint: str, **where: Any) -> InputError:
    """Return the error for the fault ``code`` at ``where`` (unique_id, row, field)."""
    return InputError([Fault(code=code, message=message, hint=hint, **where)])


def too_many(max_rows: int, rows: str = "rows") -> InputError:
    """Return the error for a table with more than ``max_rows`` rows."""
    hint = "send fewer, or raise FORECASTLE_MAX_ROWS"
    return refusal("too_many_rows", f"there are more than {max_rows} {rows}", hint)


def check_size(panel: Panel, max_rows: int) -> Panel:
    """Return the panel if it has at most ``max_rows`` points.

    Raises:
        InputError: it has more points; gaps within series count as points.
    """
    if len(panel.y) > max_rows:
        raise too_many(max_rows, "rows, gaps within series included")
    return panel
