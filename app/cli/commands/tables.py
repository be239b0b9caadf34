"""Tables by their names on the command line: files, bundled samples and stored data sets."""

import re
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from app.cli.grammar import TableSource
from app.store import datasets, panels
from app.store.db import Database
from app.tables import TableOptions, TablePanel, TableReading, read_file
from models.data.frequency_choice import FreqChoice
from models.errors import Fault, InputError, excerpt

SAMPLES = Path(__file__).parents[2] / "samples"
NAMES = tuple(name for name in TableOptions.__dataclass_fields__ if name != "freq")
LISTS = frozenset({"id", "target"})  # options with several values


def load_table(database: Database, tenant_id: int, source: TableSource, freq: FreqChoice, max_rows: int) -> TablePanel:
    """Return the table that ``source`` names: the path of a file, ``sample:NAME`` or ``dataset:NAME``.

    Raises:
        NotFound, InputError: there is none, or it cannot be used.
    """
    kind, colon, name = source.data.partition(":")
    if colon and kind == "dataset":
        with database.read() as session:
            panel = panels.load(session, tenant_id, datasets.revision(session, tenant_id, name))
        return TablePanel(panel, TableReading())
    path = sample_file(name) if colon and kind == "sample" else Path(source.data)
    options = replace(table_options(source.options), freq=freq)
    try:
        return read_file(path, options, max_rows)
    except InputError as error:
        raise InputError([_as_option(fault) for fault in error.faults], error.total) from error


def _as_option(fault: Fault) -> Fault:
    """Return ``fault`` with the remedy as an option of the command line, where it is one of a request."""
    named = rf"\b(send )?(?=({'|'.join(NAMES)})=)"
    hint = re.sub(named, "give --table ", fault.hint, count=1)
    return replace(fault, hint=hint.replace("freq=", "--freq "))


def table_options(pairs: list[str]) -> TableOptions:
    """Return the options in NAME=VALUE texts; ``id`` and ``target`` may be repeated.

    Raises:
        InputError: a text is not of that form, or an option does not exist or has no such value.
    """
    values: dict[str, object] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign:
            raise InputError.of("bad_option", f"{excerpt(pair)} is not NAME=VALUE", "write --table time=COLUMN")
        values[name] = (*values.get(name, ()), value) if name in LISTS else value  # type: ignore[misc]
    unknown = values.keys() - set(NAMES)
    if unknown:
        message = f"--table has no option {excerpt(min(unknown))}"
        raise InputError.of("bad_option", message, f"the options are {', '.join(NAMES)}")
    try:
        return TypeAdapter(TableOptions).validate_python(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise InputError.of("bad_option", f"--table {first['loc'][0]}: {first['msg']}", "correct the value") from error


def sample_file(name: str) -> Path:
    """Return the file of a bundled data set. Raise InputError if there is none of that name."""
    files = {path.stem: path for path in SAMPLES.glob("*.parquet")}
    if name not in files:
        hint = f"the samples are {', '.join(sorted(files))}"
        raise InputError.of("no_such_sample", f"no sample of the name {name!r}", hint)
    return files[name]
