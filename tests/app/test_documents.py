"""Stored JSON documents that answers repeat, and the schemas that describe them in OpenAPI."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from functools import partial
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from app.planning.backtest import BacktestPayload
from app.planning.forecast import ForecastPayload, payload_details
from app.planning.job_kind import PinnedVersion
from app.planning.train import GroupsPayload
from app.planning.training_payload import AutoSearch
from app.schemas.decisions import GateAnswer
from app.schemas.jobs import AutoAnswer, BacktestResultAnswer, OrderAnswer
from app.schemas.models import VersionAnswer
from app.schemas.reports import EvidenceAnswer, ScoresAnswer, SearchAnswer, TrialAnswer
from app.schemas.specs import SpecAnswer, TrainingAnswer
from app.work.training_run import describe_run
from models.engines.onnx import OnnxEngine
from models.evaluation.backtest import evaluate
from models.evaluation.origins import origins_of, plan_for
from models.evaluation.promotion import Evidence, Policy
from models.forecasting.forecaster import make_runnable, predict
from models.network.spec import Spec, Training
from models.training.report import VersionReport
from models.training.search import Trial
from tests.fakes import report, seasonal_naive, spec_of
from tests.models.samples import panel_of


def describes(schema: type[BaseModel], document: Mapping[str, Any]) -> bool:
    """Whether ``schema`` has every field of ``document``, at every depth, and accepts the values."""
    return schema.model_validate(document).model_dump(exclude_unset=True, mode="json", by_alias=True) == document


def plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(("schema", "kind"), [(SpecAnswer, Spec), (TrainingAnswer, Training), (TrialAnswer, Trial)])
def test_a_schema_has_the_fields_and_defaults_of_the_dataclass(schema: type[BaseModel], kind: type) -> None:
    own = {field.name: field.default for field in fields(kind)}
    described = schema.model_fields
    assert list(described) == list(own)
    for name, default in own.items():
        assert described[name].is_required() == (default is MISSING)
        assert default is MISSING or described[name].default == plain(default)


def test_the_schema_of_scores_has_the_fields_of_a_version_report() -> None:
    assert list(ScoresAnswer.model_fields) == [field.name for field in fields(VersionReport)]


def test_a_spec_and_its_training_are_described() -> None:
    spec = spec_of(past_covariates=("kind",), categories=(("kind", ("a", "b")),), holidays="DE")
    assert describes(SpecAnswer, spec.to_json())
    assert describes(TrainingAnswer, Training(seed=3).to_json())
    assert describes(SpecAnswer, {"freq": "D", "season": 7, "context": 14, "horizon": 7})  # of an earlier release


def test_the_report_of_a_backtest_is_described() -> None:
    panel = panel_of(*(np.arange(40.0) + i for i in range(3)))
    networks = make_runnable(seasonal_naive(horizon=2).members, OnnxEngine)
    found = evaluate(partial(predict, networks), origins_of(panel, plan_for(panel, 2, 1), 1)).report
    members = [{"spec": spec_of().to_json(), "training": Training().to_json()}]
    trial = Trial(candidate="default", why="first", rung=0, epochs=2, seconds=0.5, error=None, failed="NaN")
    auto = {"budget_s": 60.0, "trials": [asdict(trial)]}
    made_by = describe_run(seconds=2.5).to_json()
    whole = VersionReport(
        **asdict(found), warm_started_from=None, members=members, auto=auto, carry=2, refit=True, made_by=made_by
    )
    assert describes(ScoresAnswer, whole.to_json())
    assert describes(SearchAnswer, auto)
    assert describes(BacktestResultAnswer, {**found.to_json(), "of": "demand@1", "windows_taught": 0})
    assert describes(ScoresAnswer, {k: v for k, v in report().to_json().items() if k != "warm_started_from"})


def test_a_report_keeps_its_fields_in_order_and_leaves_out_those_of_later_releases() -> None:
    written = report(carry=2).to_json()
    assert "steps" not in written
    assert VersionReport.from_json(written).to_json() == written
    assert list(VersionReport.from_json({**written, "unknown": 1}).to_json()) == list(written)
    with pytest.raises(TypeError):
        VersionReport.from_json({name: value for name, value in written.items() if name != "horizon"})


def test_a_version_without_a_backtest_has_a_report_without_skill() -> None:
    unscored = VersionReport.unscored(horizon=3, season=7)
    assert (unscored.skill, unscored.windows, unscored.scores["model"]["mase"]) == (None, 0, None)
    assert describes(ScoresAnswer, unscored.to_json())


def test_plans_of_jobs_are_described() -> None:
    pinned = PinnedVersion("demand@champion", 3, 17)
    batch = ForecastPayload(
        version=pinned, horizon=3, levels=(80,), format="csv", ids=("a",), ids_total=1, positions=(0,)
    )
    scored = BacktestPayload(version=None, horizon=3, season=7, baselines=("theta",), windows=None)
    groups = GroupsPayload(by="town", groups=2, left_out=("town Ulm: too short",))
    shown = [payload_details(batch.to_json()).order, scored.to_json(), groups.to_json()]
    assert all(describes(OrderAnswer, order) for order in shown)
    assert describes(AutoAnswer, AutoSearch(600.0, {"horizon": 4}).to_json())


def test_decisions_are_described() -> None:
    assert describes(EvidenceAnswer, Evidence(champion=1, ours=0.5, theirs=1.0, origins=3, windows=9).to_json())
    assert describes(GateAnswer, {"promote": "if_better", **Policy(confidence=0.9).to_json()})


def test_openapi_names_the_fields_of_stored_documents() -> None:
    app = FastAPI()
    app.get("/version", response_model=VersionAnswer)(lambda: None)
    described = app.openapi()["components"]["schemas"]
    assert described["VersionAnswer"]["properties"]["spec"]["$ref"].endswith("/SpecAnswer")
    assert list(described["SpecAnswer"]["properties"]) == [field.name for field in fields(Spec)]
    assert described["ScoresAnswer"]["properties"]["skill"]["anyOf"] == [{"type": "number"}, {"type": "null"}]


def test_a_stored_document_is_answered_as_it_is() -> None:
    values = {
        "spec": {"horizon": 3, "freq": "D"},  # another order, and few fields
        "scores": {"skill": 0.5, "of_a_later_release": [1, 2.0]},
        **dict.fromkeys(("sha256", "model", "data_sha256", "job_id", "dataset", "created_by"), "x"),
        **dict.fromkeys(("version", "size_bytes", "revision"), 1),
        "origin": "job",
        "skill": 0.5,
        "created_at": "2026-01-01T00:00:00Z",
    }
    answer = VersionAnswer.model_validate(values).model_dump_json()
    assert '"spec":{"horizon":3,"freq":"D"},"scores":{"skill":0.5,"of_a_later_release":[1,2.0]}' in answer
