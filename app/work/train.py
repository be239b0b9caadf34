"""A training job: from data to a forecaster, and the verdict on it.

Importing this module imports TensorFlow; only the process that runs a job does.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.planning.training_payload import Order
from app.store.outcomes import Candidate, Outcome, Ruling
from app.work.champion_comparison import Rival, compare, known_to, ruling
from app.work.checkpoints import open_checkpoint
from app.work.job_context import JobContext
from app.work.progress import time_is_up
from app.work.progress_reporter import PhaseShares, ProgressReporter
from app.work.tune import search
from models.data.panel import Panel
from models.evaluation.origins import plan_for
from models.forecasting import bundle
from models.network.strategies import STRATEGIES
from models.training.member_plan import MemberPlan
from models.training.pipeline import TrainingHooks, TrainingResult, train_pipeline
from models.types import Ints, Weights

STATISTICAL_S = 20.0  # for Theta and ETS in the backtest, which could take longer than all the rest


def train(context: JobContext) -> Outcome:
    """One new version of the job's model, or an error.

    Raises:
        InputError, Diverged, EngineMismatch, ModelBroken: the job cannot be done.
        Cancelled: its cancellation was asked for.
        Fenced: another worker has taken it over.
    """
    order = Order.from_json(context.job.request)
    panel = order.only_of(context.load_panel(context.job.data_id))
    reporter = ProgressReporter(
        context, PhaseShares(len(order.members), searches=order.auto is not None, refits=order.refit)
    )
    diary = open_checkpoint(context)
    plan = plan_for(panel, order.first.horizon, order.first.season)
    courses, report, result = _courses(context, order), _lineage(order), {}
    if order.auto is not None:
        found = search(order, panel.cut(plan.held_out), reporter, diary, context.parallel_map)
        courses, result = [found.course], {"trials": list(found.trials)}
        report |= {"auto": {"budget_s": order.auto.budget_s, **result}, "members": [found.wanted.to_json()]}
        if not order.register:
            return Outcome(result={**result, "best": found.wanted.to_json()})
    watch = TrainingHooks(
        on_phase=reporter.enter,
        on_progress=reporter.progress,
        should_stop=reporter.should_stop,
        is_due=reporter.judging_is_due,
        enough=time_is_up(STATISTICAL_S, reporter.clock),
        diary=diary,
    )
    made = train_pipeline(panel, plan, courses, refit=order.refit, statistical=order.baselines, watch=watch)
    known = _known_to_parent(context, order, panel)
    report["parent_knew_backtest"] = bool((known[made.origins.series] > made.origins.at).any())
    rival = Rival(members=made.backtested, skill=made.evaluation.skill, origins=made.origins, known=known)
    evidence = compare(context, rival)
    made.evaluation.report.update(report)
    return Outcome(result=result, version=_candidate(made, ruling(evidence, order)))


def _candidate(made: TrainingResult, ruled: Ruling) -> Candidate:
    return Candidate(
        bundle=bundle.to_bytes(made.forecaster),
        spec=made.forecaster.spec.to_json(),
        scores=made.evaluation.report,
        skill=made.evaluation.skill,
        data_sha256=made.origins.panel.fingerprint(),
        ruling=ruled,
    )


def _courses(context: JobContext, order: Order) -> list[MemberPlan]:
    """The members to be, each with the weights that it goes on from."""
    starts: Sequence[Weights | None] = [None for _ in order.members]
    if order.warm_start is not None:
        members = bundle.from_bytes(context.load_bundle(order.warm_start.version_id)).members
        starts = [member.weights for member in members if STRATEGIES[member.spec.strategy].learns]
    return [MemberPlan(spec, training, start) for (spec, training), start in zip(order.members, starts, strict=True)]


def _lineage(order: Order) -> dict[str, Any]:
    """Where a version comes from, for its report."""
    parent = order.warm_start
    name = None if parent is None else f"{parent.name.partition('@')[0]}@{parent.version}"
    return {"warm_started_from": name, "members": [member.to_json() for member in order.members]}


def _known_to_parent(context: JobContext, order: Order, panel: Panel) -> Ints:
    """How many points of each series the version knew from which training went on, (N,)."""
    if order.warm_start is None:
        return np.zeros(len(panel), dtype=np.int64)
    return known_to(context, context.load_version(order.warm_start.version_id), panel)
