"""Options of the reading of a table: the roles of its columns, the writing of its numbers and times, and repairs."""

from dataclasses import dataclass
from typing import Literal

from models.data.frequency_choice import FreqChoice

EVERY_COLUMN = "*"  # as the only target: each column of numbers is a series
OnDuplicate = Literal["error", "first", "last", "sum", "mean"]
OnUnparsable = Literal["error", "missing"]
TimeUnit = Literal["s", "ms", "us", "ns", "excel", "step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """How to read a table. What is left out is recognised from the content of the columns, then from their names.

    ``id``: columns whose texts together name a series. ``time``: the column of timestamps. ``target``: columns of
    values, or ``*`` for every column of numbers; with more than one, each is a series of its own. ``zone``: the IANA
    time zone of timestamps without an offset. ``time_unit``: the unit of timestamps that are numbers; ``step`` counts
    steps of ``freq``. ``day_first``: whether 1/2/2026 is the first of February. ``decimal``: the decimal sign.
    ``sheet``: the name of a sheet of a workbook.
    """

    freq: FreqChoice = None
    id: tuple[str, ...] = ()
    time: str | None = None
    target: tuple[str, ...] = ()
    zone: str | None = None
    time_unit: TimeUnit | None = None
    day_first: bool | None = None
    decimal: Literal[".", ","] | None = None
    sheet: str | None = None
    on_duplicate: OnDuplicate = "error"
    on_unparsable: OnUnparsable = "error"
