"""Arrow streams in, and writers of forecasts (JSON lines, Arrow, Parquet, CSV); ``app.tables`` reads other tables.

Row numbers start at 1.
"""

from app.formats.arrow import panel_from_arrow
from app.formats.arrow_columns import load_arrow
from app.formats.forecast_rows import series_rows, table_columns, warning_of
from app.formats.forecast_streams import STREAMS, ArrowStream, LineStream, Stream, forecast_to_arrow
from app.formats.media_types import ARROW, LINES, MEDIA_TYPES
from app.formats.name_values import parse_pairs

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
    "series_rows",
    "table_columns",
    "warning_of",
]
