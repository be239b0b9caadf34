"""The functions that do the jobs of each kind, found by the names that the table of kinds gives."""

from collections.abc import Iterable, Mapping
from importlib import import_module

from app.planning.job_kind import JobKind
from app.planning.kinds import KINDS
from app.work.job_context import JobFunction


def load_job_functions(kinds: Iterable[JobKind] = KINDS.values()) -> Mapping[str, JobFunction]:
    """Return the function for each of ``kinds``. Importing them imports TensorFlow, which takes seconds."""
    found = {}
    for kind in kinds:
        module, _, name = kind.work.partition(":")
        found[kind.name] = getattr(import_module(module), name)
    return found
