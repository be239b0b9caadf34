"""Query parameters that tell how to read the table in a body."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Query

from app.schemas.base import NAME
from app.tables import TableOptions
from app.tables.options import OnDuplicate, OnUnparsable, TimeUnit

MAX_COLUMNS = 50
Column = Annotated[str, Query(max_length=128)]
Columns = list[Column]


@dataclass(frozen=True, kw_only=True)
class TableQuery:
    """Options of the reading of a table, as in ``TableOptions``."""

    id: Annotated[
        Columns | None,
        Query(max_length=MAX_COLUMNS, description="Column that names the series. Repeatable: the texts are joined."),
    ] = None
    time: Annotated[str | None, Query(max_length=128, description="Column of the timestamps.")] = None
    target: Annotated[
        Columns | None,
        Query(
            max_length=MAX_COLUMNS,
            description="Column of values. Repeatable: each is a series; `*` is every column of numbers.",
        ),
    ] = None
    zone: Annotated[str | None, Query(max_length=64, description="IANA time zone of timestamps without an offset.")] = (
        None
    )
    time_unit: Annotated[TimeUnit | None, Query(description="Unit of timestamps that are numbers.")] = None
    day_first: Annotated[bool | None, Query(description="Whether 1/2/2026 is the first of February.")] = None
    decimal: Annotated[Literal[".", ","] | None, Query(description="Decimal sign of the numbers.")] = None
    sheet: Annotated[str | None, Query(max_length=64, description="Sheet of a workbook.")] = None
    on_duplicate: Annotated[
        OnDuplicate, Query(description="How rows of one series and time are joined; `error` refuses them.")
    ] = "error"
    on_unparsable: Annotated[
        OnUnparsable, Query(description="Whether cells that are not numbers are missing; `error` refuses them.")
    ] = "error"

    def options(self, freq: str | None) -> TableOptions:
        """Return the options, for a table of the frequency ``freq``."""
        return TableOptions(
            freq=freq,
            id=tuple(self.id or ()),
            time=self.time,
            target=tuple(self.target or ()),
            zone=self.zone,
            time_unit=self.time_unit,
            day_first=self.day_first,
            decimal=self.decimal,
            sheet=self.sheet,
            on_duplicate=self.on_duplicate,
            on_unparsable=self.on_unparsable,
        )


@dataclass(frozen=True, kw_only=True)
class NewDatasetQuery(TableQuery):
    """Name and frequency of a new data set, and the options of its table."""

    name: Annotated[str, Query(pattern=NAME)]
    freq: Annotated[
        str | None, Query(max_length=20, description="Such as h, 15min, D, MS; read off the data if left out.")
    ] = None
