"""The table of job kinds. The body of POST /v1/jobs and the worker's table of functions follow from it."""

from collections.abc import Mapping
from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Discriminator, Tag

from app.planning import backtest, bundle_import, forecast, retrain, train, tune
from app.planning.job_kind import JobKind, RequestedKind
from app.schemas.job_bodies import JobBody

DEFAULT_KIND = "train"  # of a request that names none

KINDS: Mapping[str, JobKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (train.KIND, backtest.KIND, forecast.KIND, tune.KIND, retrain.KIND, bundle_import.KIND)
    }
)
REQUESTED: Mapping[str, RequestedKind[Any]] = MappingProxyType(
    {kind.name: kind for kind in KINDS.values() if isinstance(kind, RequestedKind)}
)


def kind_name(request: Any) -> str | None:
    """Return the kind that a request names, as JSON values or as a model; None if it is not text."""
    name = request.get("kind", DEFAULT_KIND) if isinstance(request, dict) else getattr(request, "kind", None)
    return name if isinstance(name, str) else None


def request_type(kinds: Mapping[str, RequestedKind[Any]]) -> Any:
    """Return the type of the body of POST /v1/jobs: the union of the requests of ``kinds``, by their field ``kind``."""
    return Annotated[
        reduce(or_, (Annotated[kind.request, Tag(kind.name)] for kind in kinds.values())),
        Discriminator(
            kind_name,
            custom_error_type="unknown_kind",
            custom_error_message=f"no such kind of job; use one of {', '.join(kinds)}",
        ),
    ]


if TYPE_CHECKING:  # type checkers do not evaluate the table
    JobRequest = JobBody
else:
    JobRequest = request_type(REQUESTED)
