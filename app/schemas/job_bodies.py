"""Fields that the request bodies of several kinds of job have in common; the bodies are in ``app.planning``."""

from typing import Annotated, Literal

from pydantic import Field

from app.schemas.base import VERSION_NAME, Body, Name, Number
from app.schemas.decisions import GatePolicy

VersionName = Annotated[str, Field(pattern=VERSION_NAME, description="NAME@NUMBER or NAME@ALIAS.")]
Baselines = Annotated[list[Literal["theta", "ets"]], Field(max_length=2, fail_fast=True)]
BudgetS = Annotated[float, Field(ge=1, le=86_400)]
Horizon = Annotated[int, Field(ge=1, le=5_000)]


class JobBody(Body):
    """Fields of every job request: its priority, the resource that it occupies, and its deadline."""

    priority: Annotated[int, Field(ge=-10, le=10)] = Field(
        0, description="Higher goes first; each step equals ten minutes of waiting."
    )
    resource: Literal["cpu", "gpu"] = Field("cpu", description="Resource of which the job occupies one slot.")
    deadline_s: Annotated[float, Field(gt=0, le=31_536_000)] | None = Field(
        None, description="The job fails with 'timeout' after so many seconds."
    )


class PromotionBody(JobBody):
    """Fields of a job request that trains a version: the rule by which the version becomes champion."""

    promote: Literal["if_better", "always", "never"] = Field(
        "if_better", description="When the alias 'champion' moves to the new version."
    )
    gate: GatePolicy = Field(
        GatePolicy(), description="Meaning of 'if_better'; 'always' and 'never' ignore all of it but 'audit'."
    )
    force: bool = Field(
        False,
        description="Let the version replace a champion that was trained on another data set, if it is better, and "
        "train and promote it although new rows differ from the past.",
    )


class DatasetJobBody(JobBody):
    """Fields of a job request on a data set; ``revision`` is the newest if it is left out."""

    dataset: Name
    revision: Number | None = None
