"""Comparison of a new version with the present champion, on windows that neither was trained on and on older ones.

A version that was refitted after its backtest was trained on most windows of the next backtest. So the two are compared
by their MASE on the windows that neither was trained on, together with the MASE of seasonal naive and the confidence of
the difference. They are compared on the windows of the champion's own backtest too: a version that was trained on bad
data may win on the newest windows, which are as bad, but forgets the older ones. On the same data no window is new to
the champion; then the skill that each had in its own backtest is compared. ``models.evaluation.promotion`` decides by
this evidence.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from app.planning.backtest import check_version
from app.planning.training_payload import TrainPayload
from app.problems import CorruptBundle
from app.store.outcomes import Ruling
from app.store.tasks import VersionFacts
from app.work.job_context import JobContext
from models.data.panel import Panel
from models.engines.onnx import OnnxEngine
from models.errors import BundleError, InputError, ModelBroken
from models.evaluation.backtest import Predict, baseline_errors, window_errors
from models.evaluation.origins import MAX_WINDOWS, BacktestPlan, Origins, origins_of, plan_for, span_of
from models.evaluation.promotion import Evidence, FormerErrors, decide
from models.evaluation.scoring import WindowErrors
from models.evaluation.significance import confidence
from models.forecasting import bundle
from models.forecasting.forecaster import Member, make_runnable, predict
from models.types import Floats, Ints

logger = logging.getLogger(__name__)

MIN_COMPARED = 10  # windows; the mean error of fewer is too uncertain
MAX_FORMER = 2_000  # windows of the champion's backtest


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Challenger:
    """The new version before its refit, and its ``skill`` on the ``origins`` of its backtest.

    ``known`` (N,): the number of points of each series that the parent of a warm start was trained on; 0 without one.
    ``held_out``: points at the end of each series that the version was not trained on.
    """

    members: Sequence[Member]
    skill: float | None
    origins: Origins
    known: Ints
    held_out: int


def compare(context: JobContext, challenger: Challenger) -> Evidence:
    """Return the evidence of ``challenger`` and of the champion of the job's model.

    Raises:
        ModelBroken: the forecasts of ``challenger`` are not finite.
    """
    champion = context.load_champion()
    if champion is None:
        return Evidence()
    try:
        members = bundle.from_bytes(context.load_bundle(champion.id)).members
    except (CorruptBundle, BundleError) as error:
        return _unusable(champion.number, error)
    try:
        check_version(members, challenger.origins.panel, f"{champion.model}@{champion.number}")
    except InputError:  # another frequency or other covariates: the two cannot be compared
        return Evidence(champion=champion.number)
    try:
        newest = _on_newest(context, champion, _predictor(members), challenger)
        former = _on_former(context, champion, _predictor(members), challenger)
    except _ChampionBroken as error:
        return _unusable(champion.number, error)
    return replace(newest, former=former, other_dataset=is_of_another_dataset(context, champion))


def known_to(context: JobContext, version: VersionFacts, panel: Panel) -> Ints:
    """Return the number of points of each series of ``panel``, the job's own, that ``version`` was trained on, (N,).

    It is 0 if the version was trained on another data set, or was imported.
    """
    if version.revision_id is None or version.dataset_id != context.job.dataset_id:
        return np.zeros(len(panel), dtype=np.int64)
    trained_on = context.series_lengths(version.revision_id)
    held_out = 0
    if not (version.report.refit or version.report.warm_started_from):
        held_out = plan_for(trained_on, version.spec.horizon, version.spec.season).held_out
    return np.maximum(0, trained_on.points_in(panel) - held_out)


def is_of_another_dataset(context: JobContext, version: VersionFacts) -> bool:
    """Return whether ``version`` was trained on another data set than that of the job; False if it was imported."""
    return version.dataset_id is not None and version.dataset_id != context.job.dataset_id


def former_origins(context: JobContext, champion: VersionFacts, panel: Panel) -> Origins | None:
    """Return the windows of the champion's own backtest, as far as its series are in ``panel``, the job's own.

    None if the champion was imported, was trained on another data set, or no series is long enough.
    """
    if champion.revision_id is None or is_of_another_dataset(context, champion):
        return None
    points = context.series_lengths(champion.revision_id).points_in(panel)
    if not points.any():
        return None
    # The present panel has the covariates and categories of both versions.
    former = panel.head(points)
    spec = champion.spec
    try:
        return origins_of(former, plan_for(former, spec.horizon, spec.season), spec.season)
    except InputError:
        return None


def rule(evidence: Evidence, payload: TrainPayload) -> Ruling:
    """Return the verdict of the gate; a verdict by comparison is valid only for the compared champion."""
    verdict = decide(payload.gate, evidence, payload.promote)
    return Ruling(
        verdict=verdict.outcome,
        reason=verdict.reason,
        policy={"promote": payload.promote, **payload.gate.to_json()},
        numbers=verdict.numbers,
        compared=payload.promote == "if_better",
        champion=evidence.champion,
    )


def _on_newest(context: JobContext, champion: VersionFacts, theirs: Predict, challenger: Challenger) -> Evidence:
    """Return the evidence of the windows that neither was trained on."""
    panel = challenger.origins.panel
    known = np.maximum(challenger.known, known_to(context, champion, panel))
    origins, rows = _newest_windows(challenger, known)
    if len(rows) < MIN_COMPARED:
        # The backtests of both had the same windows only if they were on the same data.
        if (champion.revision_id, champion.report.horizon) != (context.job.revision_id, origins.horizon):
            return Evidence(champion=champion.number, windows=len(rows), required_windows=MIN_COMPARED)
        # After a warm start the skill of the backtest would count windows that the parent was trained on.
        ours = None if challenger.known.any() else challenger.skill
        return Evidence(champion=champion.number, measure="skill", theirs=champion.skill, ours=ours)
    errors = [
        _champion_errors(theirs, origins, rows),
        window_errors(_predictor(challenger.members), origins, rows),
    ]
    their_mases, our_mases = (made.windows["mase"] for made in errors)
    return _evidence(champion.number, their_mases, our_mases, origins, rows)


def _newest_windows(challenger: Challenger, known: Ints) -> tuple[Origins, Ints]:
    """Return origins and the numbers of those windows that begin after the ``known`` points of their series, (B,).

    They are those of the challenger's backtest, or if these are too few, one window for each new point.
    """
    origins = challenger.origins
    rows = np.flatnonzero(origins.at >= known[origins.series])
    if len(rows) >= MIN_COMPARED or origins.stride == 1:
        return origins, rows
    count = min(challenger.held_out - origins.horizon + 1, MAX_WINDOWS)
    dense = origins_of(origins.panel, BacktestPlan(horizon=origins.horizon, origins=count, stride=1), origins.season)
    dense = replace(dense, limits=origins.limits)
    return dense, np.flatnonzero(dense.at >= known[dense.series])


def _on_former(
    context: JobContext, champion: VersionFacts, theirs: Predict, challenger: Challenger
) -> FormerErrors | None:
    """Return the errors of both on the windows of the champion's backtest; None if there are none to compare."""
    origins = former_origins(context, champion, challenger.origins.panel)
    if origins is None or champion.revision_id == context.job.revision_id:
        return None
    rows = origins.sample(MAX_FORMER)
    ours, own = (
        made.score()["mase"]
        for made in (
            window_errors(_predictor(challenger.members), origins, rows),
            _champion_errors(theirs, origins, rows),
        )
    )
    if ours is None or own is None:
        return None
    # A refitted champion was trained on these windows, and the new version may not be; in its backtest it was not yet.
    report = champion.report
    same = (report.horizon, report.season, report.windows) == (origins.horizon, origins.season, len(origins))
    scored = report.scores["model"]["mase"] if same else None
    return FormerErrors(ours=ours, theirs=max(own, scored or 0.0), span=span_of(origins, rows))


class _ChampionBroken(Exception):
    """The forecasts of the champion are not finite."""


def _champion_errors(theirs: Predict, origins: Origins, rows: Ints) -> WindowErrors:
    try:
        return window_errors(theirs, origins, rows)
    except ModelBroken as error:
        raise _ChampionBroken(str(error)) from error


def _evidence(champion: int, theirs: Floats, ours: Floats, origins: Origins, rows: Ints) -> Evidence:
    """Return the evidence of the MASE of both on the windows ``rows``, (B,) each; NaN: a window without MASE."""
    defined, baseline = ~np.isnan(theirs), baseline_errors(origins, rows).windows["mase"]
    if not defined.any():
        return Evidence(champion=champion)
    origin, numbers = np.unique(origins.origin[rows[defined]], return_inverse=True)
    # Each origin counts by its windows, so that the mean over origins is the difference of the two mean errors.
    gains = np.bincount(numbers, (theirs - ours)[defined]) * (len(origin) / defined.sum())
    return Evidence(
        champion=champion,
        ours=float(ours[defined].mean()),
        theirs=float(theirs[defined].mean()),
        baseline=float(baseline[defined].mean()),
        confidence=confidence(gains, -(-origins.horizon // origins.stride)),
        origins=len(origin),
        windows=int(defined.sum()),
        newest=span_of(origins, rows[defined]),
    )


def _predictor(members: Sequence[Member]) -> Predict:
    return partial(predict, make_runnable(members, OnnxEngine))


def _unusable(number: int, error: Exception) -> Evidence:
    """Log that the champion cannot forecast, and return evidence of that; the job goes on."""
    logger.warning("the champion cannot forecast", extra={"version": number, "reason": str(error)})
    return Evidence(champion=number, usable=False)
