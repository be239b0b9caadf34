"""Output of the commands: tables on stdout; messages and errors on stderr."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from app.problems import ServiceError
from app.spreadsheets import guard_text
from app.store.db import DatabaseUnreachable
from models.errors import ForecastError, InputError
from models.json_types import JsonMapping


@contextmanager
def report_errors() -> Iterator[None]:
    """Print an error that the user can correct in one line, and exit with status 1; others keep their traceback."""
    try:
        yield
    except InputError as error:
        for fault in error.faults[:-1]:
            print_message(f"error: {fault}")
        more = error.total - len(error.faults)
        exit_with_error(f"{error.faults[-1]}" + (f" (and {more} more)" if more else ""))
    except DatabaseUnreachable as error:
        exit_with_error(f"{error} ({error.reason})")
    except (ServiceError, ForecastError) as error:
        exit_with_error(str(error))
    except OSError as error:
        exit_with_error(f"{error.strerror or error}: {error.filename}; check the path and its permissions")


def exit_with_error(message: str) -> NoReturn:
    """Print an error and exit with status 1."""
    print_message(f"error: {message}")
    sys.exit(1)


def print_message(message: str) -> None:
    """Print a line on stderr."""
    print(message, file=sys.stderr, flush=True)


def print_table(columns: Sequence[str], rows: Sequence[JsonMapping], output: str) -> None:
    """Print rows on stdout, as CSV with a header or, if ``output`` is ``json``, as a JSON list.

    In CSV, text that a spreadsheet would run as a formula has an apostrophe before it.
    """
    if output == "json":
        print(json.dumps(list(rows), allow_nan=False, default=str))
        return
    writer = csv.DictWriter(sys.stdout, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: guard_text(cell) if isinstance(cell, str) else cell for name, cell in row.items()})


def format_skill(skill: float | None) -> str:
    """Return a skill in percent, as 12.5 %; one that rounds to 0 has no sign."""
    return "unknown" if skill is None else f"{100 * skill:z.1f} %"
