"""Job kinds ``train``, ``retrain`` and ``tune``: train a forecaster, score it, and decide whether it becomes champion.

Importing this module imports TensorFlow; only the process that runs a job does.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from time import monotonic

import numpy as np

from app.planning.training_payload import TrainPayload
from app.store.outcomes import Candidate, Outcome
from app.work.champion_comparison import Challenger, compare, known_to, rule
from app.work.checkpoints import open_checkpoint
from app.work.job_context import JobContext
from app.work.new_rows import audit_new_rows
from app.work.progress_reporter import PhaseShares, ProgressReporter
from app.work.refit import RefitGuard
from app.work.training_run import describe_run
from app.work.tune import search
from models.evaluation.data_audit import Audit
from models.evaluation.origins import plan_for
from models.evaluation.promotion import Evidence
from models.forecasting import bundle
from models.network.strategies import STRATEGIES
from models.training.member_plan import MemberPlan
from models.training.pipeline import TrainingHooks, train_pipeline
from models.training.report import VersionReport
from models.types import JsonObject


def train(context: JobContext) -> Outcome:
    """Return a new version of the job's model, with the verdict on its promotion.

    Raises:
        InputError, Diverged, EngineMismatch, ModelBroken: the job cannot be done.
        Cancelled: its cancellation was requested.
        Fenced: another worker has taken it over.
    """
    started_s = monotonic()
    payload = TrainPayload.from_json(context.job.request)
    panel = context.load_panel(context.job.data_id)
    if payload.group is not None:
        panel = payload.group.select(panel)
    audited = audit_new_rows(context, panel, payload) if payload.register else None
    if audited is not None and payload.gate.audit == "block" and audited.open and not payload.force:
        return _train_nothing(context, payload, audited)
    reporter = ProgressReporter(
        context, PhaseShares(len(payload.members), searches=payload.auto is not None, refits=payload.refit)
    )
    checkpoint = open_checkpoint(context)
    plan = plan_for(panel, payload.spec.horizon, payload.spec.season)
    members, result = _members(context, payload), JsonObject()
    described, auto = [member.to_json() for member in payload.members], None
    if payload.auto is not None:
        found = search(payload, panel.cut(plan.held_out), reporter, checkpoint, context.parallel_map)
        best, members, result = found.member.to_json(), [found.member], {"trials": list(found.trials)}
        described, auto = [best], {"budget_s": payload.auto.budget_s, **result}
        if not payload.register:
            return Outcome(result={**result, "best": best})
    guard = RefitGuard(context, panel)
    hooks = TrainingHooks(
        on_phase=reporter.enter,
        on_progress=reporter.progress,
        should_stop=reporter.should_stop,
        is_due=reporter.judging_is_due,
        checkpoint=checkpoint,
        keeps_refit=guard.keeps,
    )
    trained = train_pipeline(panel, plan, members, refit=payload.refit, statistical=payload.baselines, hooks=hooks)
    origins, evaluation, known = trained.origins, trained.evaluation, np.zeros(len(panel), dtype=np.int64)
    if payload.warm_start is not None:
        known = known_to(context, context.load_version(payload.warm_start.id), panel)
    challenger = Challenger(
        members=trained.backtested, skill=evaluation.skill, origins=origins, known=known, held_out=plan.held_out
    )
    evidence = replace(compare(context, challenger), audit=audited, refit=guard.check, forced=payload.force)
    report = VersionReport(
        **asdict(evaluation.report),
        **asdict(trained.facts),
        warm_started_from=None if payload.warm_start is None else payload.warm_start.reference,
        members=described,
        auto=auto,
        made_by=describe_run(monotonic() - started_s).to_json(),
        parent_knew_backtest=bool((known[origins.series] > origins.at).any()),
    )
    candidate = Candidate(
        bundle=bundle.to_bytes(trained.forecaster),
        spec=trained.forecaster.spec,
        report=report,
        skill=report.skill,
        data_sha256=origins.panel.fingerprint(),
        ruling=rule(evidence, payload),
    )
    return Outcome(result=result, version=candidate)


def _train_nothing(context: JobContext, payload: TrainPayload, audited: Audit) -> Outcome:
    """Return the outcome of a job whose policy forbids to train on rows that differ from the past."""
    context.log("nothing is trained: the new rows differ from the past")
    champion = context.load_champion()
    ruling = rule(Evidence(champion=None if champion is None else champion.number, audit=audited), payload)
    result: JsonObject = {"verdict": ruling.verdict, "reason": ruling.reason, "audit": audited.to_json()}
    return Outcome(result=result, ruling=ruling)


def _members(context: JobContext, payload: TrainPayload) -> Sequence[MemberPlan]:
    """Return the members to train, with the weights of the parent if there is a warm start."""
    if payload.warm_start is None:
        return payload.members
    parents = bundle.from_bytes(context.load_bundle(payload.warm_start.id)).members
    weights = [member.weights for member in parents if STRATEGIES[member.spec.strategy].learns]
    return [replace(m, initial_weights=start) for m, start in zip(payload.members, weights, strict=True)]
