"""How a table is refused."""

from typing import Any

from models.data.panel import COLUMNS, Panel
from models.data.validation import MAX_COVARIATES
from models.errors import Fault, InputError

MAX_COLUMNS = len(COLUMNS) + MAX_COVARIATES


def refusal(code: str, message: str, hint: str, **where: Any) -> InputError:
    """The refusal for the fault ``code`` at ``where`` (unique_id, row, field)."""
    return InputError([Fault(code=code, message=message, hint=hint, **where)])


def too_many(max_rows: int, rows: str = "rows") -> InputError:
    """The refusal of a table that is too long."""
    hint = "send fewer, or raise FORECASTLE_MAX_ROWS"
    return refusal("too_many_rows", f"there are more than {max_rows} {rows}", hint)


def within(panel: Panel, max_rows: int) -> Panel:
    """The panel, once it is known to have at most ``max_rows`` points.

    Raises:
        InputError: it has more, with those that are missing between the rows that were sent.
    """
    if len(panel.y) > max_rows:
        raise too_many(max_rows, "rows, those that are missing between others included")
    return panel
