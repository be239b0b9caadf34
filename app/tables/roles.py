"""Roles of the columns of a table: id, time, target and covariates, by content first and by name second."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from app.formats.columns import UNNAMED, Coded, Timestamps
from app.formats.errors import refusal
from app.tables.number_text import is_missing, looks_like_numbers
from app.tables.options import EVERY_COLUMN, TableOptions
from app.tables.raw_table import Flags, RawColumn, RawTable, codes_of, is_whole
from app.tables.time_number import may_be_times
from app.tables.time_text import layout_of
from models.data.validation import MAX_COVARIATES
from models.errors import excerpt
from models.types import Ints

SAMPLE_TEXTS = 200


def _vocabulary(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


# Words in the names of columns, in English, German, Spanish, Italian and French.
TIME_WORDS = _vocabulary(
    "ds date datetime timestamp time day week month quarter year period hour t ts index step",
    "datum zeit tag woche monat jahr fecha hora dia mes ano data ora giorno mese anno jour mois annee heure",
)
TARGET_WORDS = _vocabulary(
    "y value values target sales demand quantity qty units count amount volume visits turnover revenue load",
    "wert menge umsatz absatz valor ventas cantidad valore vendite valeur ventes quantite",
)
ID_WORDS = _vocabulary(
    "unique_id id ids series item sku product store shop region key name ticker symbol meter sensor device station",
    "artikel filiale produkt producto tienda articolo negozio produit magasin",
)


@dataclass(frozen=True, slots=True)
class Roles:
    """Columns of each role; without an ``id`` the table is one series, or one for each target."""

    id: tuple[str, ...]
    time: str
    target: tuple[str, ...]
    covariates: tuple[str, ...]
    ignored: tuple[str, ...]


def choose_roles(table: RawTable, options: TableOptions, times_of: Callable[[str], Ints]) -> Roles:
    """Return the roles of the columns of ``table``.

    ``times_of`` returns the codes of the timestamps in a column, equal where the times are equal.

    Raises:
        InputError: ``no_such_column``, ``missing_column``, or ``ambiguous_column`` with the candidates.
    """
    names = [name for name in table.columns if name and not UNNAMED.fullmatch(name)]
    given = [*options.id, *([options.time] if options.time else []), *options.target]
    unknown = next((name for name in given if name not in (*names, EVERY_COLUMN)), None)
    if unknown is not None:
        message = f"the table has no column {excerpt(unknown)}"
        raise refusal("no_such_column", message, f"it has {_list(names)}", field=unknown)
    time = options.time or _time(table, names, [*options.id, *options.target])
    others = [name for name in names if name != time]
    ids = options.id or _id(table, [name for name in others if name not in options.target], times_of(time))
    values = [name for name in others if name not in ids]
    target = _target(table, values, options.target)
    rest = [name for name in values if name not in target]
    if len(rest) > MAX_COVARIATES:
        message = f"{len(rest)} columns besides the id, the time and the target would be covariates"
        hint = f"send at most {MAX_COVARIATES}, or target=* if each column is a series"
        raise refusal("too_many_covariates", message, hint)
    used = tuple(name for name in rest if not isinstance(table.columns[name], Timestamps) and not _is_time(table, name))
    return Roles(tuple(ids), time, target, used, tuple(name for name in rest if name not in used))


def _time(table: RawTable, names: Sequence[str], taken: Sequence[str]) -> str:
    if "ds" in names:
        return "ds"
    candidates = [name for name in names if name not in taken and _is_time(table, name)]
    return _only(candidates, TIME_WORDS, "time", names, "of times")


def _is_time(table: RawTable, name: str) -> bool:
    column = table.columns[name]
    if isinstance(column, Timestamps):
        return True
    if isinstance(column, Coded):
        texts = [text for text in column.texts[:SAMPLE_TEXTS] if not is_missing(text)]
        layout = layout_of(texts)
        return layout is not None and (layout.name != "year" or _words(name) & TIME_WORDS != set())
    if isinstance(column, Flags):
        return False
    # Numbers that may be timestamps may as well be amounts: the name decides.
    counts = is_whole(column) and len(column) > 1 and bool((np.diff(column) != 0).any())
    return bool(_words(name) & TIME_WORDS) and (may_be_times(column) or counts)


def _id(table: RawTable, names: Sequence[str], times: Ints) -> tuple[str, ...]:
    if "unique_id" in names:
        return ("unique_id",)
    rows = np.flatnonzero(times >= 0)
    candidates = [name for name in names if name != "y" and not _is_time(table, name) and _may_name(table, name)]
    if len(np.unique(times[rows])) == len(rows):  # each time occurs once: it is one series
        named = [name for name in candidates if _words(name) & ID_WORDS and isinstance(table.columns[name], Coded)]
        return tuple(named) if len(named) == 1 else ()
    single = [name for name in candidates if _identify(table, [name], times)]
    same = [name for name in single if _same_rows(table, single[0], name)]
    if len(same) == len(single) > 0:
        return (single[0],)
    if single:
        return (_only(single, ID_WORDS, "id", names, "that name series"),)
    return _several(table, candidates, times) or tuple(name for name in candidates if _words(name) & ID_WORDS)[:1]


def _may_name(table: RawTable, name: str) -> bool:
    """Return whether a column may name series: texts that are not numbers, or whole numbers with the name of an id."""
    column = table.columns[name]
    if isinstance(column, Coded):
        return not looks_like_numbers(column.texts[:SAMPLE_TEXTS]) or bool(_words(name) & ID_WORDS)
    return isinstance(column, np.ndarray) and bool(_words(name) & ID_WORDS) and is_whole(column)


def _several(table: RawTable, names: Sequence[str], times: Ints) -> tuple[str, ...]:
    """Return the fewest of the columns that together tell rows of one time apart; none if all of them do not."""
    kept = list(names)
    if not kept or not _identify(table, kept, times):
        return ()
    for name in reversed(names):
        without = [other for other in kept if other != name]
        if without and _identify(table, without, times):
            kept = without
    return tuple(kept)


def _identify(table: RawTable, names: Sequence[str], times: Ints) -> bool:
    """Return whether no two rows have the same time and the same cells in the columns ``names``."""
    codes = times
    for name in names:
        column = codes_of(table.columns[name])
        codes = np.unique(codes * (column.max() + 2) + column + 1, return_inverse=True)[1]
    known = times >= 0
    return len(np.unique(codes[known])) == int(known.sum())


def _same_rows(table: RawTable, one: str, other: str) -> bool:
    """Return whether two columns divide the rows into the same groups."""
    first, second = codes_of(table.columns[one]), codes_of(table.columns[other])
    pairs = len(np.unique(first * (second.max() + 2) + second))
    return pairs == len(np.unique(first)) == len(np.unique(second))


def _target(table: RawTable, names: Sequence[str], given: tuple[str, ...]) -> tuple[str, ...]:
    numeric = [name for name in names if _is_numeric(table.columns[name])]
    if given == (EVERY_COLUMN,):
        if not numeric:
            raise refusal("missing_column", "no column has numbers", f"the table has {_list(names)}", field="target")
        return tuple(numeric)
    if given:
        return given
    return ("y",) if "y" in names else (_only(numeric, TARGET_WORDS, "target", names, "of values"),)


def _is_numeric(column: RawColumn) -> bool:
    if isinstance(column, Coded):
        return looks_like_numbers(column.texts[:SAMPLE_TEXTS])
    return isinstance(column, np.ndarray)


def _only(candidates: Sequence[str], words: frozenset[str], role: str, names: Sequence[str], what: str) -> str:
    """Return the only candidate, or the only one whose name has one of ``words``."""
    if not candidates:
        message = f"no column {what} was found among {_list(names)}"
        raise refusal("missing_column", message, f"name it with {role}=COLUMN", field=role)
    named = [name for name in candidates if _words(name) & words]
    if len(candidates) == 1 or len(named) == 1:
        return (named or candidates)[0] if len(candidates) > 1 else candidates[0]
    more = "; send target=* if each of them is a series" if role == "target" else ""
    message = f"{len(candidates)} columns may be the one {what}: {_list(candidates)}"
    raise refusal("ambiguous_column", message, f"send {role}=COLUMN with one of them{more}", field=role)


def _words(name: str) -> set[str]:
    """Return the name in lower case and its words."""
    lower = name.strip().lower()
    words = "".join(sign if sign.isalnum() else " " for sign in lower).split()
    return {lower, "_".join(words), *words}


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(excerpt, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
