"""Groups of series: the series of a panel that have the same value of a static covariate."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import numpy as np

from models.data.chunks import split_at
from models.data.panel import Panel
from models.data.validation import fault_at
from models.errors import Fault, Findings, InputError, excerpt

MAX_GROUPS = 10_000
MAX_NAME_LENGTH = 128
UNIQUE_ID = "unique_id"  # as column: each series is a group of its own


@dataclass(frozen=True, slots=True)
class SeriesGroup:
    """The series of which the static covariate ``column`` is ``value``; of ``unique_id``, the one series ``value``."""

    column: str
    value: str | float

    def select(self, panel: Panel) -> Panel:
        """Return the series of ``panel`` that belong to the group.

        Raises:
            InputError: there are none.
        """
        if self.column == UNIQUE_ID:
            return panel.select([str(self.value)])
        texts = panel.categories.get(self.column)
        latest = panel.latest(self.column).tolist()
        values = latest if texts is None else [None if np.isnan(code) else texts[int(code)] for code in latest]
        found = [name for name, value in zip(panel.ids, values, strict=True) if value == self.value]
        if not found:
            message = f"no series has {self.column} = {excerpt(self.value)}"
            raise InputError.of("unknown_group", message, "group the newest data again", field="by")
        return panel.select(found)


def split_by(panel: Panel, column: str) -> Iterator[tuple[SeriesGroup, Panel]]:
    """Yield each group into which ``column`` divides the series of ``panel``, with the panel of its series.

    Raises:
        InputError: no such covariate, one that changes within a series or is missing for one, or too many groups.
    """
    values = list(panel.ids) if column == UNIQUE_ID else _values_by_series(panel, column)
    groups: dict[SeriesGroup, list[str]] = {}
    for name, value in zip(panel.ids, values, strict=True):
        groups.setdefault(SeriesGroup(column, value), []).append(name)
    if len(groups) > MAX_GROUPS:
        message = f"{excerpt(column)} makes {len(groups)} groups"
        hint = f"group by a column that makes at most {MAX_GROUPS}"
        raise InputError.of("too_many_groups", message, hint, field="by")
    ordered = panel.select([name for names in groups.values() for name in names])
    yield from zip(groups, split_at(ordered, map(len, groups.values())), strict=True)


def model_name(model: str, value: str | float) -> str:
    """Return the name of the model of the group with ``value``: the same at each call, different for each group."""
    text = value if isinstance(value, str) else f"{value:.15g}"
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text)
    name = f"{model}-{plain}"
    if plain == text and len(name) <= MAX_NAME_LENGTH:
        return name
    digest = sha256(f"{model}/{text}".encode()).hexdigest()[:8]
    return f"{name[: MAX_NAME_LENGTH - len(digest) - 1]}-{digest}"


def _values_by_series(panel: Panel, column: str) -> list[str | float]:
    """Return the value of the static covariate ``column`` for each series."""
    if column not in panel.covariates:
        columns = ", ".join([UNIQUE_ID, *panel.covariates])
        message = f"there is no column {excerpt(column)}"
        raise InputError.of("missing_covariate", message, f"use one of {columns}", field="by")
    values, latest = panel.covariates[column], panel.latest(column)
    differs = ~np.isnan(values) & (values != np.repeat(latest, panel.lengths))
    changes = np.logical_or.reduceat(differs, panel.indptr[:-1])
    findings = Findings()
    for code, rows in {"not_static": changes, "no_group": np.isnan(latest)}.items():
        findings.add(np.flatnonzero(rows).tolist(), partial(_group_fault, panel, column, code))
    findings.check()
    texts = panel.categories.get(column)
    return latest.tolist() if texts is None else [texts[int(code)] for code in latest]


def _group_fault(panel: Panel, column: str, code: str, i: int) -> Fault:
    reason = {"not_static": "changes within the series", "no_group": "is missing for the series"}[code]
    hint = "group by a column that is given for each series and stays the same"
    return fault_at(code, f"{excerpt(column)} {reason}", hint, unique_id=panel.ids[i], field="by")
