"""Tables by their names on the command line: files, bundled samples and stored data sets."""

from pathlib import Path

from app.formats import read_file
from app.store import datasets, panels
from app.store.db import Database
from models.data.frequency_choice import FreqChoice
from models.data.panel import Panel
from models.errors import InputError

SAMPLES = Path(__file__).parents[2] / "samples"


def load_panel(database: Database, tenant_id: int, data: str, freq: FreqChoice, max_rows: int) -> Panel:
    """Return the panel that ``data`` names: the path of a file, ``sample:NAME`` or ``dataset:NAME``.

    Raises:
        NotFound, InputError: there is none, or it cannot be used.
    """
    kind, colon, name = data.partition(":")
    if colon and kind == "dataset":
        with database.read() as session:
            return panels.load(session, tenant_id, datasets.revision(session, tenant_id, name))
    return read_file(sample_file(name) if colon and kind == "sample" else Path(data), freq, max_rows)


def sample_file(name: str) -> Path:
    """Return the file of a bundled data set. Raise InputError if there is none of that name."""
    files = {path.stem: path for path in SAMPLES.glob("*.parquet")}
    if name not in files:
        hint = f"the samples are {', '.join(sorted(files))}"
        raise InputError.of("no_such_sample", f"no sample of the name {name!r}", hint)
    return files[name]
