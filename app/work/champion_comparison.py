"""Comparison of a new version with the present champion, on windows that neither was trained on.

A version that was refitted after its backtest was trained on most windows of the next backtest. So the two are compared
by their MASE on the windows that neither was trained on, together with the MASE of seasonal naive and the confidence of
the difference. If there are too few such windows, the skill that each had in its own backtest is compared.
``models.evaluation.promotion`` decides by this evidence.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
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
from models.evaluation.backtest import baseline_errors, window_errors
from models.evaluation.origins import Origins, plan_for
from models.evaluation.promotion import Evidence, decide
from models.evaluation.significance import confidence
from models.forecasting import bundle
from models.forecasting.forecaster import Member, make_runnable, predict
from models.types import Floats, Ints

logger = logging.getLogger(__name__)

MIN_COMPARED = 10  # windows; the mean error of fewer is too uncertain


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Challenger:
    """The new version before its refit, and its ``skill`` on the ``origins`` of its backtest.

    ``known`` (N,): the number of points of each series that the parent of a warm start was trained on; 0 without one.
    """

    members: Sequence[Member]
    skill: float | None
    origins: Origins
    known: Ints


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
    origins = challenger.origins
    try:
        check_version(members, origins.panel, f"{champion.model}@{champion.number}")
    except InputError:  # another frequency or other covariates: the two cannot be compared
        return Evidence(champion=champion.number)
    known = np.maximum(challenger.known, known_to(context, champion, origins.panel))
    rows = np.flatnonzero(origins.at >= known[origins.series])
    if len(rows) < MIN_COMPARED:
        # After a warm start the skill of the backtest would count windows that the parent was trained on.
        ours = None if challenger.known.any() else challenger.skill
        return Evidence(champion=champion.number, measure="skill", theirs=champion.skill, ours=ours)
    try:
        errors = _window_mases(members, origins, rows)
    except ModelBroken as error:
        return _unusable(champion.number, error)
    return _evidence(champion.number, errors, _window_mases(challenger.members, origins, rows), origins, rows)


def known_to(context: JobContext, version: VersionFacts, panel: Panel) -> Ints:
    """Return the number of points of each series of ``panel``, the job's own, that ``version`` was trained on, (N,).

    It is 0 if the version was trained on another data set, or was imported.
    """
    if version.revision_id is None or version.dataset_id != context.job.dataset_id:
        return np.zeros(len(panel), dtype=np.int64)
    trained_on = context.load_panel(version.revision_id)
    held_out = 0
    if not (version.report.refit or version.report.warm_started_from):
        held_out = plan_for(trained_on, version.spec.horizon, version.spec.season).held_out
    points = dict(zip(trained_on.ids, (trained_on.observed_lengths - held_out).tolist(), strict=True))
    return np.array([max(0, points.get(name, 0)) for name in panel.ids], dtype=np.int64)


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
    )


def _window_mases(members: Sequence[Member], origins: Origins, rows: Ints) -> Floats:
    """Return the MASE of each window of ``rows``, (B,)."""
    return window_errors(partial(predict, make_runnable(members, OnnxEngine)), origins, rows).windows["mase"]


def _unusable(number: int, error: Exception) -> Evidence:
    """Log that the champion cannot forecast, and return evidence of that; the job goes on."""
    logger.warning("the champion cannot forecast", extra={"version": number, "reason": str(error)})
    return Evidence(champion=number, usable=False)
