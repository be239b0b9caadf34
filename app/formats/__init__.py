"""Readers of tables (CSV, Parquet, JSON, Arrow) and writers of forecasts (JSON lines, Arrow, Parquet, CSV).

A column besides ``unique_id``, ``ds`` and ``y`` is a covariate if it holds numbers, booleans or text. Columns of other
types (timestamps, lists) and columns without a name are ignored. Row numbers start at 1 and do not count the header.
"""

from app.formats.arrow import panel_from_arrow
from app.formats.arrow_columns import load_arrow
from app.formats.forecast_rows import series_rows, table_columns, warning_of
from app.formats.forecast_streams import STREAMS, ArrowStream, LineStream, Stream, forecast_to_arrow
from app.formats.media_types import ARROW, LINES, MEDIA_TYPES
from app.formats.name_values import parse_pairs
from app.formats.readers import read_file, read_panel

__all__ = [
    "ARROW",
    "LINES",
    "MEDIA_TYPES",
    "STREAMS",
    "ArrowStream",
    "LineStream",
    "Stream",
    "forecast_to_arrow",
    "load_arrow",
    "panel_from_arrow",
    "parse_pairs",
    "read_file",
    "read_panel",
    "series_rows",
    "table_columns",
    "warning_of",
]
