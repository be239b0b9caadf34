"""Job kind ``train``: train a new version of a model, or one for each group of series."""

from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from app.planning.groups import model_name, split_by
from app.planning.job_kind import PlanContext, RequestedKind, StoredData, StoredVersion
from app.planning.training_payload import AutoSearch, TrainPayload, training_details
from app.schemas.base import VERSION_NAME, Body, Name, Number
from app.schemas.job_bodies import Baselines, BudgetS, PromotionBody
from app.schemas.specs import PartialMember, PartialSpec, PartialTraining
from app.store.jobs import NewJob
from models.data.panel import Panel
from models.errors import MAX_FAULTS, Fault, InputError, SpecError, excerpt
from models.evaluation.promotion import Policy
from models.network.spec import Spec, Training
from models.training.budget import check_budget
from models.training.feasibility import check, warm_start_specs
from models.training.member_plan import MemberPlan
from models.training.recipes import RECIPES, suggest, suggest_training
from models.types import JsonMapping, JsonObject

# Theta and ETS take about 10 s, a twentieth of it.
MIN_BUDGET_WITH_BASELINES_S = 200.0
STATISTICAL = ("theta", "ets")
SHARED = ("freq", "season", "horizon")  # fields that all members of a forecaster have in common


class AutoRequest(Body):
    """Search for the best values of the fields not given, on origins before those of the backtest."""

    budget_s: Annotated[
        BudgetS,
        Field(description="Seconds for the search, the training of its result and the backtest. Too few are refused."),
    ]


class TrainRequest(PromotionBody):
    """Train a version of a model on a data set; fields that are left out follow from the data."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "train",
                    "model": "electricity",
                    "dataset": "electricity-hourly",
                    "spec": {"cell": "gru", "strategy": "direct", "horizon": 24},
                    "training": {"max_epochs": 12},
                }
            ]
        }
    )

    kind: Literal["train"] = "train"
    model: Name
    dataset: Name
    revision: Number | None = None
    recipe: Name = Field("default", description="Source of the fields that are neither given nor follow from the data.")
    spec: PartialSpec = Field({}, max_length=50, description="Fields of the spec; those left out follow from the data.")
    training: PartialTraining = Field({}, max_length=50, description="Training settings; those left out have defaults.")
    ensemble: Annotated[list[Annotated[PartialMember, Field(max_length=50)]], Field(fail_fast=True)] | None = Field(
        None,
        min_length=1,
        max_length=10,
        description="Train several members and forecast their mean: for each member, the fields of spec or training in "
        "which it differs.",
        examples=[[{}, {"seed": 1}, {"loss": "mse"}]],
    )
    warm_start_from: Annotated[str, Field(pattern=VERSION_NAME)] | None = Field(
        None,
        description="NAME@NUMBER or NAME@ALIAS: start from the weights of that version; fields of the spec that are "
        "left out are those of the version.",
        examples=["electricity@champion"],
    )
    auto: AutoRequest | None = None
    baselines: Baselines | None = Field(
        None,
        description="Also scored in the backtest, on some windows, if statsforecast is installed. If left out: Theta "
        "and ETS, but none in a search of less than 200 s; those that are named take about 10 s beside its budget.",
    )
    refit: bool = Field(
        True, description="After the backtest, train on the newest points too; the scores stay those of the backtest."
    )

    by: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        None,
        description="Train a model for each value of this static covariate, or for each series ('unique_id'): the job "
        "has a child for each, whose model is named MODEL-VALUE.",
    )
    children_at_once: Annotated[int, Field(ge=1, le=1_000)] | None = Field(
        None, description="Number of children that may be queued or running at the same time."
    )
    skip_unfit: bool = Field(False, description="Leave out groups that cannot be trained, instead of failing.")

    @model_validator(mode="after")
    def _for_groups(self) -> "TrainRequest":
        if self.by is not None and self.warm_start_from is not None:
            raise ValueError("give either 'by' or 'warm_start_from': each group would start from the same weights")
        if self.by is None and (self.children_at_once is not None or self.skip_unfit):
            raise ValueError("'children_at_once' and 'skip_unfit' are for groups: give 'by' as well")
        return self

    @model_validator(mode="after")
    def _one_way(self) -> "TrainRequest":
        ways = {"ensemble": self.ensemble, "warm_start_from": self.warm_start_from, "auto": self.auto}
        if sum(way is not None for way in ways.values()) > 1:
            raise ValueError(f"give at most one of {', '.join(ways)}")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsPayload:
    """Plan of a parent job: the column ``by`` that makes its ``groups``, and why groups were left out."""

    by: str
    groups: int
    left_out: tuple[str, ...]

    def to_json(self) -> JsonObject:
        """Return the payload as the column ``jobs.request`` stores it."""
        return {"by": self.by, "groups": self.groups, "left_out": list(self.left_out)}


def plan(context: PlanContext, request: TrainRequest) -> NewJob:
    """Return the job of ``request``, with a child for each group if it is by groups.

    Raises:
        NotFound: no such data set, revision or version.
        SpecError, InputError: a field cannot work alone, with another or with the data.
    """
    data = context.data(request.dataset, request.revision)
    if request.by is not None:
        return _plan_groups(context, request, data, request.by)
    parent = None if request.warm_start_from is None else context.version(request.warm_start_from)
    return context.new_job(request, request.model, data.revision, plan_training(request, data.panel, parent))


def plan_training(request: TrainRequest, panel: Panel, parent: StoredVersion | None = None) -> TrainPayload:
    """Return the payload of ``request`` on the data ``panel``; the fields left out follow from the data.

    ``parent``: the version whose weights are the initial ones.

    Raises:
        SpecError, InputError: a field cannot work alone, with another, with the data or with ``parent``.
    """
    recipe = request.recipe
    if recipe not in RECIPES:
        hint = f"use one of {', '.join(RECIPES)}"
        raise SpecError.of("bad_field", f"no recipe {excerpt(recipe)}", hint, field="recipe")
    if "freq" in request.spec:
        raise SpecError.of("bad_field", "the frequency is that of the data set", "leave it out", field="freq")
    if parent is None:
        members = [_suggest_member(request, panel, changes) for changes in request.ensemble or [{}]]
    else:
        specs = warm_start_specs(panel, request.spec, parent.forecaster, parent.pinned.name)
        members = [MemberPlan(spec, suggest_training(panel, spec, request.training, recipe)) for spec in specs]
    check(panel, members, searches=request.auto is not None)
    first = members[0].spec
    if request.auto is not None:
        check_budget(request.auto.budget_s, first, members[0].training)
    same = {name: getattr(first, name) for name in ("season", "horizon", "non_negative")}
    fixed = {**request.spec, **same}
    return TrainPayload(
        members=tuple(members),
        promote=request.promote,
        gate=Policy(**request.gate.model_dump()),
        warm_start=None if parent is None else parent.pinned,
        auto=None if request.auto is None else AutoSearch(request.auto.budget_s, fixed),
        baselines=_baselines(request),
        refit=request.refit,
        force=request.force,
    )


def _baselines(request: TrainRequest) -> tuple[str, ...]:
    """Return the statistical baselines that the request names; if it names none, all that its time allows."""
    if request.baselines is not None:
        return tuple(dict.fromkeys(request.baselines))
    is_short = request.auto is not None and request.auto.budget_s < MIN_BUDGET_WITH_BASELINES_S
    return () if is_short else STATISTICAL


def _suggest_member(request: TrainRequest, panel: Panel, changes: JsonMapping) -> MemberPlan:
    """Return the member with ``changes``, fields of spec and training, in place of the fields of the request."""
    known = {field.name: kind for kind in (Spec, Training) for field in fields(kind)}
    for name in changes:
        if name not in known:
            hint = f"the fields are {', '.join(name for name in known if name not in SHARED)}"
            raise SpecError.of("unknown_field", f"no field {excerpt(name)}", hint, field="ensemble")
        if name in SHARED:
            message = f"all members have the same {name}"
            raise SpecError.of("bad_field", message, "give it in 'spec'", field="ensemble")
    own = {kind: {name: v for name, v in changes.items() if known[name] is kind} for kind in (Spec, Training)}
    spec = suggest(panel, {**request.spec, **own[Spec]}, request.recipe)
    return MemberPlan(spec, suggest_training(panel, spec, {**request.training, **own[Training]}, request.recipe))


def _plan_groups(context: PlanContext, request: TrainRequest, data: StoredData, by: str) -> NewJob:
    """Return the parent of a training job for each group, each planned on the series of its group."""
    groups_found = list(split_by(data.panel, by))  # their panels share the arrays of the whole
    context.check_room(len(groups_found))  # before each is planned
    children, unfit = [], list[Fault]()
    for group, panel in groups_found:
        try:
            payload = replace(plan_training(request, panel), group=group)
        except InputError as error:
            prefix = f"{group.column} {excerpt(group.value)}"
            unfit += [replace(fault, message=f"{prefix}: {fault.message}") for fault in error.faults]
            continue
        child = context.new_job(request, model_name(request.model, group.value), data.revision, payload)
        children.append(replace(child, label={group.column: group.value}))
    if unfit and (not request.skip_unfit or not children):
        raise InputError(unfit, len(unfit))
    left_out = tuple(fault.message for fault in unfit[:MAX_FAULTS])
    groups = GroupsPayload(by=by, groups=len(children), left_out=left_out)
    parent = context.new_job(request, request.model, data.revision, groups)
    return replace(parent, children=tuple(children), children_at_once=request.children_at_once)


KIND = RequestedKind(
    name="train", request=TrainRequest, plan=plan, work="app.work.train:train", details=training_details
)
