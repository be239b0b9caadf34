"""Media types of tables and forecasts."""

ARROW = "application/vnd.apache.arrow.stream"
LINES = "application/x-ndjson"
# By file name extension.
MEDIA_TYPES = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".ndjson": LINES,
    ".arrows": ARROW,
    ".arrow": "application/vnd.apache.arrow.file",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
