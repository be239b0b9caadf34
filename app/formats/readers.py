"""Reader of a table of any supported media type."""

from collections.abc import Collection
from pathlib import Path

from app.formats.arrow import panel_from_arrow
from app.formats.csv_json import panel_from_csv, panel_from_json
from app.formats.errors import check_size, refusal
from app.formats.media_types import MEDIA_TYPES
from app.formats.parquet import panel_from_parquet
from app.problems import UnsupportedMedia
from models.data.frequency_choice import FreqChoice
from models.data.panel import Panel
from models.errors import excerpt


def read_panel(data: bytes, media_type: str, freq: FreqChoice, max_rows: int, texts: Collection[str] = ()) -> Panel:
    """Return the panel in ``data``; ``texts`` names covariates that are text even if their CSV cells look like numbers.

    Raises:
        UnsupportedMedia: ``media_type`` is not a value of ``MEDIA_TYPES``.
        InputError: the bytes are not of that type; also every fault that ``models.data.panel.panel_from_columns``
            raises.
    """
    kind = media_type.split(";", maxsplit=1)[0].strip().lower()
    if kind == MEDIA_TYPES[".csv"]:
        return check_size(panel_from_csv(data, freq, max_rows, texts), max_rows)
    if kind in READERS:
        return check_size(READERS[kind](data, freq, max_rows), max_rows)
    raise UnsupportedMedia(f"got Content-Type {excerpt(kind)}; send one of {', '.join(MEDIA_TYPES.values())}")


def read_file(path: Path, freq: FreqChoice, max_rows: int) -> Panel:
    """Return the panel in a file; the file name extension determines the type.

    Raises:
        InputError: the file does not exist, its extension is unknown, or ``read_panel`` refuses its content.
    """
    if path.suffix.lower() not in MEDIA_TYPES:
        hint = f"its name must end in {', '.join(MEDIA_TYPES)}"
        raise refusal("unknown_file_type", f"{path.name} is not a table", hint)
    if not path.is_file():
        raise refusal("no_such_file", f"there is no file {path}", "check the path")
    return read_panel(path.read_bytes(), MEDIA_TYPES[path.suffix.lower()], freq, max_rows)


READERS = {
    MEDIA_TYPES[".parquet"]: panel_from_parquet,
    MEDIA_TYPES[".json"]: panel_from_json,
    MEDIA_TYPES[".arrows"]: panel_from_arrow,
}
