"""Tables as people send them -- CSV, Parquet, JSON, Arrow -- into a panel, and forecasts into lines and Arrow.

Columns besides ``unique_id``, ``ds`` and ``y`` are covariates where they hold numbers, true and false, or text; others
(moments, lists) and those without a name are left out. Rows are counted from 1, the header not included.
"""

from app.formats.arrays import load_arrow
from app.formats.arrow import panel_from_arrow
from app.formats.media import ARROW, LINES, MEDIA_TYPES
from app.formats.pairs import parse_pairs
from app.formats.reading import read_file, read_panel
from app.formats.streams import STREAMS, ArrowStream, LineStream, Stream, forecast_to_arrow

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
]
