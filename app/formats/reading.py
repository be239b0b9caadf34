"""A table of any type that is read here, as a panel."""

from collections.abc import Collection
from pathlib import Path

from app.formats.arrow import panel_from_arrow
from app.formats.media import MEDIA_TYPES
from app.formats.parquet import panel_from_parquet
from app.formats.refusals import refusal, within
from app.formats.text import panel_from_csv, panel_from_json
from app.problems import UnsupportedMedia
from models.data.panel import Panel
from models.errors import excerpt


def read_panel(data: bytes, media_type: str, freq: str | None, max_rows: int, texts: Collection[str] = ()) -> Panel:
    """The panel in ``data``; ``texts`` names covariates that are text though CSV may show them as numbers.

    Raises:
        UnsupportedMedia: ``media_type`` is none of ``MEDIA_TYPES``' values.
        InputError: see ``models.data.panel.panel_from_columns``; and for bytes that are not of the type named.
    """
    kind = media_type.split(";", maxsplit=1)[0].strip().lower()
    if kind == MEDIA_TYPES[".csv"]:
        return within(panel_from_csv(data, freq, max_rows, texts), max_rows)
    if kind in _READERS:
        return within(_READERS[kind](data, freq, max_rows), max_rows)
    raise UnsupportedMedia(f"got Content-Type {excerpt(kind)}; send one of {', '.join(MEDIA_TYPES.values())}")


def read_file(path: Path, freq: str | None, max_rows: int) -> Panel:
    """The panel in a file, its type told by its ending.

    Raises:
        InputError: as ``read_panel``, and where there is no such file or its ending is unknown.
    """
    if path.suffix.lower() not in MEDIA_TYPES:
        hint = f"its name must end in {', '.join(MEDIA_TYPES)}"
        raise refusal("unknown_file_type", f"{path.name} is no table", hint)
    if not path.is_file():
        raise refusal("no_such_file", f"there is no file {path}", "check the path")
    return read_panel(path.read_bytes(), MEDIA_TYPES[path.suffix.lower()], freq, max_rows)


_READERS = {
    MEDIA_TYPES[".parquet"]: panel_from_parquet,
    MEDIA_TYPES[".json"]: panel_from_json,
    MEDIA_TYPES[".arrows"]: panel_from_arrow,
}
