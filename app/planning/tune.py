"""Job kind ``tune``: search for the best spec of a model, and train it."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.planning.job_kind import PlanContext, RequestedKind
from app.planning.train import AutoRequest, TrainRequest, plan_training
from app.planning.training_payload import training_details
from app.schemas.base import Name
from app.schemas.job_bodies import Baselines, BudgetS, DatasetJobBody, PromotionBody
from app.schemas.specs import PartialSpec, PartialTraining
from app.store.jobs import NewJob


class TuneRequest(DatasetJobBody, PromotionBody):
    """Search for the spec with the smallest error on origins before those of the backtest, and train it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"kind": "tune", "model": "electricity", "dataset": "electricity-hourly", "trials": 20}]
        }
    )

    kind: Literal["tune"]
    model: Name
    recipe: Name = "default"
    spec: PartialSpec = Field({}, max_length=50, description="Fields that the search may not change.")
    training: PartialTraining = Field({}, max_length=50)
    budget_s: BudgetS = Field(3_600, description="Seconds for the search and for the training of its result.")
    trials: Annotated[int, Field(ge=1, le=500)] | None = Field(
        None, description="Number of candidates: the named ones first, then random ones."
    )
    register_best: bool = Field(True, alias="register", description="Train the best spec and register it as a version.")
    baselines: Baselines | None = Field(
        None,
        description="Also scored, if statsforecast is installed. If left out: Theta and ETS from 200 s of budget on.",
    )
    refit: bool = True


def plan(context: PlanContext, request: TuneRequest) -> NewJob:
    """Return the job of ``request``: that of a training job with a search of so many trials.

    Raises:
        NotFound: no such data set or revision.
        SpecError, InputError: a field cannot work alone, with another or with the data.
    """
    data = context.data(request.dataset, request.revision)
    training = TrainRequest(
        model=request.model,
        dataset=request.dataset,
        recipe=request.recipe,
        spec=request.spec,
        training=request.training,
        promote=request.promote,
        gate=request.gate,
        auto=AutoRequest(budget_s=request.budget_s),
        baselines=request.baselines,
        refit=request.refit,
    )
    payload = plan_training(training, data.panel)
    assert payload.auto is not None
    auto = replace(payload.auto, trials=request.trials)
    payload = replace(payload, auto=auto, register=request.register_best)
    return context.new_job(request, request.model, data.revision, payload)


KIND = RequestedKind(name="tune", request=TuneRequest, plan=plan, work="app.work.train:train", details=training_details)
