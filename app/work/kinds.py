"""The functions that do the jobs of each kind, found by the names that the table of kinds gives."""

from collections.abc import Mapping
from importlib import import_module

from app.planning import bundle_import
from app.planning.kinds import KINDS
from app.work.job_context import JobFunction


def load_job_functions() -> Mapping[str, JobFunction]:
    """Return the function for each kind of job. Importing them imports TensorFlow, which takes seconds."""
    found = {}
    paths = {kind.name: kind.work for kind in KINDS.values()} | {bundle_import.KIND: bundle_import.WORK}
    for kind, path in paths.items():
        module, _, name = path.partition(":")
        found[kind] = getattr(import_module(module), name)
    return found
