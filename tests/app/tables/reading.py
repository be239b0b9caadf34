"""Tables as panels, for tests that look only at the panel."""

from app.tables import TableOptions, read_table
from models.data.frequency_choice import FreqChoice
from models.data.panel import Panel


def read_panel(
    data: bytes, media_type: str, freq: FreqChoice = None, max_rows: int = 1_000, **options: object
) -> Panel:
    """The panel of a table."""
    return read_table(data, media_type, TableOptions(freq=freq, **options), max_rows).panel  # type: ignore[arg-type]
