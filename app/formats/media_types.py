"""Media types of tables and forecasts."""

ARROW = "application/vnd.apache.arrow.stream"
LINES = "application/x-ndjson"
# By file name extension.
MEDIA_TYPES = {
    ".csv": "text/csv",
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".arrows": ARROW,
}
