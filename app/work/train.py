"""A training job: read the data, fit, check, score, and register -- the last in one transaction.

Importing this module imports TensorFlow; only the process that runs a job does.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.problems import CorruptBundle
from app.store import datasets, jobs, panels, registry
from app.store.db import Database
from app.store.tables import Job
from models import bundle
from models.backtest import Evaluation, Origins, Plan, evaluate, origins_of, plan_for
from models.calendar import parse_freq
from models.engines.keras import KerasEngine
from models.engines.onnx import OnnxEngine
from models.engines.parity import check_parity
from models.errors import BundleError, Cancelled
from models.forecaster import Forecaster
from models.panel import Panel
from models.spec import Spec, Training
from models.training import Progress, fit

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 0.5
SHARE_OF_FIT = 0.95  # of the whole job, as the progress counts it; the rest is the backtest and the checks


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that the new one must beat, and the MASE of both on the same windows; None where it has none."""

    number: int
    mase: float | None
    rival: float | None
    readable: bool = True


def train(database: Database, job: Job) -> None:
    """Run ``job`` to its end: one new version of its model, or an error.

    Raises:
        InputError, Diverged, EngineMismatch: the job cannot be done.
        Cancelled: its cancellation was asked for.
        Fenced: another worker has taken it over.
    """
    spec, training = Spec.from_json(job.request["spec"]), Training.from_json(job.request["training"])
    with database.read() as session:
        revision = datasets.revision_by_id(session, job.tenant_id, job.revision_id)
        panel = panels.load(session, job.tenant_id, revision)
    reporter = Reporter(database, job)
    plan = plan_for(panel, spec.horizon, spec.season)
    weights = fit(spec, training, panel.cut(plan.held_out), reporter.fitting, reporter.should_stop)
    reporter.phase("backtest", SHARE_OF_FIT)
    engine = OnnxEngine(spec, weights)
    difference = check_parity(spec, KerasEngine(spec, weights), engine)
    evaluation = evaluate(spec, engine, origins_of(panel, plan, max(spec.context, spec.season), spec.season))
    made = Forecaster(spec, weights, evaluation.calibration)
    report = {**evaluation.report, "engines_differ_by": difference}
    champion = compare(database, job, made, panel, plan)
    _register(database, job, _Made(made, report, evaluation, panel.fingerprint(), champion))


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    forecaster: Forecaster
    report: dict[str, Any]
    evaluation: Evaluation
    data_sha256: str
    champion: Champion | None


def compare(database: Database, job: Job, rival: Forecaster, panel: Panel, plan: Plan) -> Champion | None:
    """The model's champion, compared with ``rival``; None where there is no champion."""
    with database.read() as session:
        version = registry.champion(session, job.tenant_id, job.model)
        if version is None:
            return None
        try:
            theirs = bundle.from_bytes(registry.bundle(session, job.tenant_id, version.id))
        except (CorruptBundle, BundleError) as error:
            # No reason to fail: the new version is what replaces it.
            logger.warning("the champion cannot be read", extra={"version": version.number, "reason": str(error)})
            return Champion(version.number, None, None, readable=False)
    width = max(rival.spec.context, rival.spec.season, theirs.spec.context)
    long_enough = (panel.lengths >= width + plan.held_out).any()
    if parse_freq(theirs.spec.freq) != panel.freq or not long_enough:
        return Champion(version.number, None, None)
    origins = origins_of(panel, plan, width, rival.spec.season)
    return Champion(version.number, _mase(theirs, origins), _mase(rival, origins))


def _mase(forecaster: Forecaster, origins: Origins) -> float | None:
    engine = OnnxEngine(forecaster.spec, forecaster.weights)
    mase: float | None = evaluate(forecaster.spec, engine, origins).report["scores"]["model"]["mase"]
    return mase


def verdict(champion: Champion | None, promote: str) -> tuple[bool, str]:
    """Whether the new version becomes champion, and the reason to be kept."""
    if promote != "if_better":
        return promote == "always", f"the job says to promote {promote}"
    if champion is None:
        return True, "the first version"
    if not champion.readable:
        return True, f"version {champion.number} cannot be read any more"
    if champion.mase is None:
        return False, f"version {champion.number} cannot be compared on these data; move the alias by hand if you want"
    if champion.rival is None:
        return False, "no MASE: the series do not vary"
    better = champion.rival < champion.mase
    both = f"MASE {champion.rival:.4g} is {'below' if better else 'not below'} the {champion.mase:.4g}"
    return better, f"{both} of version {champion.number} on the same windows"


def _register(database: Database, job: Job, made: _Made) -> None:
    """Version, alias and the job's end become visible together or not at all."""
    data = bundle.to_bytes(made.forecaster)
    promoted, reason = verdict(made.champion, job.request["promote"])
    with database.write() as session:
        champion = registry.champion(session, job.tenant_id, job.model)
        compared = None if made.champion is None else made.champion.number
        if job.request["promote"] == "if_better" and (None if champion is None else champion.number) != compared:
            promoted, reason = False, "the alias moved while this version was trained; compare the two, then move it"
        version = registry.add_version(
            session,
            job.tenant_id,
            registry.NewVersion(
                model=job.model,
                bundle=data,
                spec=made.forecaster.spec.to_json(),
                scores={**made.report, "promoted": promoted, "promotion": reason},
                skill=made.evaluation.skill,
                revision_id=job.revision_id,
                data_sha256=made.data_sha256,
                job_id=job.id,
                created_by=job.created_by,
            ),
        )
        if promoted:
            move = registry.Move(
                model=job.model, alias=registry.CHAMPION, number=version.number, reason=reason, moved_by=job.id
            )
            registry.move_alias(session, job.tenant_id, move)
        jobs.report(session, job.id, job.token, {"phase": "done", "share": 1.0, "eta_s": 0.0})
        jobs.finish(session, job.id, job.token, version.id)


class Reporter:
    """Writes progress into the job's row, at most twice a second, and learns there whether to stop."""

    def __init__(self, database: Database, job: Job, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._job, self._clock = database, job, clock
        self._started_s, self._reported_s = clock(), -REPORT_EVERY_S
        self._stop = False

    def fitting(self, progress: Progress) -> None:
        """Report an epoch's progress; ``share`` of the fit, ``eta_s`` from the time taken so far."""
        now_s = self._clock()
        if now_s - self._reported_s < REPORT_EVERY_S and progress.share < 1:
            return
        left_s = (now_s - self._started_s) * (1 - progress.share) / progress.share
        self._write(
            {
                "phase": "fit",
                "epoch": progress.epoch,
                "epochs": progress.epochs,
                "loss": progress.loss,
                "validation_loss": progress.validation_loss,
                "share": SHARE_OF_FIT * progress.share,
                "eta_s": round(left_s, 1),
            }
        )

    def phase(self, name: str, share: float) -> None:
        """Report the beginning of a phase.

        Raises:
            Cancelled: the job's cancellation was asked for.
        """
        self._write({"phase": name, "share": share, "eta_s": None})
        if self._stop:
            raise Cancelled("the job's cancellation was asked for")

    def should_stop(self) -> bool:
        """Whether the job's cancellation was asked for, as of the last report."""
        return self._stop

    def _write(self, progress: dict[str, Any]) -> None:
        self._reported_s = self._clock()
        with self._database.write() as session:
            self._stop = jobs.report(session, self._job.id, self._job.token, progress)
