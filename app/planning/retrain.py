"""Job kind ``retrain``: train the champion of a model again, on the newest data."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import ConfigDict, Field

from app.planning.job_kind import PlanContext, RequestedKind, StoredVersion
from app.planning.train import TrainRequest, plan_training
from app.planning.training_payload import TrainPayload, training_details
from app.problems import NotFound
from app.schemas.base import Name
from app.schemas.job_bodies import PromotionBody
from app.store import datasets, jobs, registry
from app.store.jobs import NewJob
from models.data.panel import Panel
from models.errors import InputError, excerpt
from models.evaluation.promotion import Policy
from models.forecasting.forecaster import Forecaster
from models.network.strategies import STRATEGIES
from models.training.feasibility import check
from models.training.member_plan import MemberPlan
from models.training.recipes import fields_again, suggest, suggest_training
from models.training.report import VersionReport
from models.types import JsonMapping, JsonObject


class RetrainRequest(PromotionBody):
    """Train the champion's spec again, on the newest revision of its data set."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "retrain", "model": "electricity"}]})

    kind: Literal["retrain"]
    model: Name
    dataset: Name | None = Field(None, description="Data set to train on; the champion's if left out.")
    warm_start: bool = Field(False, description="Start from the champion's weights, if it has any.")


def plan(context: PlanContext, request: RetrainRequest) -> NewJob:
    """Return the job of ``request``: the job that trained the champion, planned again on the newest data.

    Raises:
        NotFound: no such model or data set, or the model has no champion.
        InputError: the champion was imported and the request names no data set.
        SpecError, InputError: the champion's spec cannot work on the newest data.
    """
    session, tenant_id, model = context.session, context.principal.tenant_id, request.model
    champion = registry.champion(session, tenant_id, model)
    if champion is None:
        registry.get_model(session, tenant_id, model)
        raise NotFound(f"model {excerpt(model)} has no champion to train again; move the alias, or train one")
    parent = context.version(f"{model}@{champion.number}")
    data = context.data(request.dataset or _dataset_of(context, parent), None)
    if champion.origin == "job" and champion.job_id is not None:
        before = TrainPayload.from_json(jobs.get(session, tenant_id, champion.job_id).request)
    else:
        before = _payload_of_import(parent.forecaster, data.panel)
    panel = data.panel if before.group is None else before.group.select(data.panel)
    # Seasonal naive as champion has no weights to start from; it is trained again without a warm start.
    if request.warm_start and any(STRATEGIES[member.spec.strategy].learns for member in parent.forecaster.members):
        same: JsonObject = {field: getattr(request, field) for field in PromotionBody.model_fields}
        same |= {"dataset": data.revision.dataset.name, "refit": before.refit, "baselines": list(before.baselines)}
        payload = plan_training(TrainRequest(model=model, **same), panel, parent)
    else:
        payload = plan_again(before, VersionReport.from_json(champion.scores).members, panel)
    gate = Policy(**request.gate.model_dump())
    payload = replace(payload, promote=request.promote, gate=gate, group=before.group, force=request.force)
    return context.new_job(request, model, data.revision, payload)


def _dataset_of(context: PlanContext, version: StoredVersion) -> str:
    """Return the name of the data set that ``version`` was trained on. Raise InputError if it was imported."""
    revision_id, name = version.row.revision_id, version.pinned.name
    if revision_id is None:
        message = f"{name} was imported, so the data set that it was trained on is not known"
        raise InputError.of("bad_field", message, "name the data set to train it on", field="dataset")
    return datasets.revision_by_id(context.session, context.principal.tenant_id, revision_id).dataset.name


def _payload_of_import(forecaster: Forecaster, panel: Panel) -> TrainPayload:
    """Return a payload for an imported forecaster: the specs of its networks, trained as suggested for ``panel``.

    Raises:
        SpecError: the forecaster has another frequency than ``panel``.
    """
    learned = [member.spec for member in forecaster.members if STRATEGIES[member.spec.strategy].learns]
    specs = [suggest(panel, fields_again(spec, panel)) for spec in learned or [forecaster.spec]]
    return TrainPayload(members=tuple(MemberPlan(spec, suggest_training(panel, spec, {})) for spec in specs))


def plan_again(payload: TrainPayload, members: Sequence[JsonMapping] | None, panel: Panel) -> TrainPayload:
    """Return ``payload`` with its members planned for the data ``panel``, without search and warm start.

    ``members``: the JSON values of the members that were trained, which differ from the payload's after a search. The
    values of covariates that are text are those of ``panel``.

    Raises:
        SpecError, InputError: a member cannot work on ``panel``.
    """
    trained = tuple(map(MemberPlan.from_json, members or ())) or payload.members
    again = []
    for member in trained:
        fields = {name: value for name, value in fields_again(member.spec, panel).items() if name != "categories"}
        again.append(MemberPlan(suggest(panel, fields), member.training))
    check(panel, again)
    return replace(payload, members=tuple(again), auto=None, warm_start=None, register=True)


KIND = RequestedKind(
    name="retrain", request=RetrainRequest, plan=plan, work="app.work.train:train", details=training_details
)
