"""A training job for each group of series: one parent, and a child for each."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any

import numpy as np

from app.planning.training import settled
from app.planning.training_payload import Group
from app.schemas import TrainRequest
from app.store.jobs import NewJob
from models.data.chunks import cut_at
from models.data.panel import Panel
from models.data.validation import fault_at
from models.errors import MAX_FAULTS, Fault, Findings, InputError, excerpt

MAX_GROUPS = 10_000
LONGEST_NAME = 128

Make = Callable[[str, dict[str, Any]], NewJob]  # of a model and an order


def family(asked: TrainRequest, panel: Panel, make: Make) -> NewJob:
    """The parent of a job for each group of ``asked.by``, each settled on its own series.

    Raises:
        SpecError, InputError: no such column, one that does not group series, or groups that cannot be trained.
    """
    assert asked.by is not None
    children, unfit = [], list[Fault]()
    groups = groups_of(panel, asked.by)
    together = panel.select([name for ids in groups.values() for name in ids])
    for group, part in zip(groups, cut_at(together, map(len, groups.values())), strict=True):
        try:
            order = replace(settled(asked, part, None), only=group)
        except InputError as error:
            where = f"{group.column} {excerpt(group.value)}"
            unfit += [replace(fault, message=f"{where}: {fault.message}") for fault in error.faults]
            continue
        child = make(name_of(asked.model, group.value), order.to_json())
        children.append(replace(child, label={group.column: group.value}))
    if unfit and (not asked.skip_unfit or not children):
        raise InputError(unfit, len(unfit))
    left_out = [fault.message for fault in unfit]
    parent = make(asked.model, {"by": asked.by, "groups": len(children), "left_out": left_out[:MAX_FAULTS]})
    return replace(parent, children=tuple(children), children_at_once=asked.children_at_once)


def groups_of(panel: Panel, column: str) -> dict[Group, list[str]]:
    """The groups into which ``column`` divides the series of ``panel``, each with the names of its series.

    Raises:
        InputError: no such covariate, one that changes within a series or is not known of it, or too many groups.
    """
    values = list(panel.ids) if column == "unique_id" else _values(panel, column)
    groups: dict[Group, list[str]] = {}
    for name, value in zip(panel.ids, values, strict=True):
        groups.setdefault(Group(column, value), []).append(name)
    if len(groups) > MAX_GROUPS:
        message = f"{excerpt(column)} makes {len(groups)} groups"
        hint = f"group by a column that makes at most {MAX_GROUPS}"
        raise InputError([Fault(code="too_many_groups", field="by", message=message, hint=hint)])
    return groups


def name_of(model: str, value: str | float) -> str:
    """The name of a group's model: always the same, and another for each group."""
    text = value if isinstance(value, str) else f"{value:.15g}"
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text)
    name = f"{model}-{plain}"
    if plain == text and len(name) <= LONGEST_NAME:
        return name
    mark = sha256(f"{model}/{text}".encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - len(mark) - 1]}-{mark}"


def _values(panel: Panel, column: str) -> list[str | float]:
    """What the static covariate ``column`` is of each series."""
    if column not in panel.covariates:
        there = ", ".join(["unique_id", *panel.covariates])
        message = f"there is no column {excerpt(column)}"
        raise InputError([Fault(code="missing_covariate", field="by", message=message, hint=f"use one of {there}")])
    values, latest = panel.covariates[column], panel.latest(column)
    changes = ~np.isnan(values) & (values != np.repeat(latest, panel.lengths))
    moving = np.logical_or.reduceat(changes, panel.indptr[:-1])
    found = Findings()
    for code, rows in {"not_static": moving, "no_group": np.isnan(latest)}.items():
        found.add(np.flatnonzero(rows).tolist(), partial(_fault, panel, column, code))
    found.check()
    texts = panel.categories.get(column)
    return latest.tolist() if texts is None else [texts[int(code)] for code in latest]


def _fault(panel: Panel, column: str, code: str, i: int) -> Fault:
    what = {"not_static": "changes within the series", "no_group": "is not known of the series"}[code]
    hint = "group by a column that is known of each series and stays the same"
    return fault_at(code, f"{excerpt(column)} {what}", hint, unique_id=panel.ids[i], field="by")
