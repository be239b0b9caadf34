"""Whether a new version becomes champion: compared with the present one where both forecast what they were not taught.

A version that was taught again after its own backtest knows most of the windows of the next one. What is compared is
MASE on the windows that neither knows, with seasonal naive's beside it and how sure the difference is; where there are
too few, the skill that each had in its own backtest. ``models.evaluation.promotion`` makes a verdict of it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from app.planning.training_payload import TrainPayload
from app.problems import CorruptBundle
from app.store.outcomes import Ruling
from app.store.tasks import VersionFacts
from app.work.job_context import JobContext
from models.data.calendar import parse_freq
from models.data.panel import Panel
from models.engines.onnx import OnnxEngine
from models.errors import BundleError, InputError, ModelBroken
from models.evaluation.backtest import baseline_errors, window_errors
from models.evaluation.origins import Origins, plan_for
from models.evaluation.promotion import Evidence, decide
from models.evaluation.significance import confidence
from models.forecasting import bundle
from models.forecasting.forecaster import Member, check_covariates, make_runnable, predict
from models.types import Floats, Ints

logger = logging.getLogger(__name__)

MIN_COMPARED = 10  # windows: fewer tell nothing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rival:
    """The new version, before it was taught the windows of ``origins``, and its ``skill`` there.

    ``known`` (N,): of each series the points that the version knew from which it went on; 0 where it began anew.
    """

    members: Sequence[Member]
    skill: float | None
    origins: Origins
    known: Ints


def compare(context: JobContext, rival: Rival) -> Evidence:
    """The model's champion beside ``rival``. Raise ModelBroken where it is ``rival`` that says nothing of use."""
    version = context.load_champion()
    if version is None:
        return Evidence()
    try:
        theirs = bundle.from_bytes(context.load_bundle(version.id)).members
    except (CorruptBundle, BundleError) as error:
        return _useless(version.number, error)
    origins = rival.origins
    if not _can_forecast(theirs, origins.panel):
        return Evidence(champion=version.number)
    known = np.maximum(rival.known, known_to(context, version, origins.panel))
    rows = np.flatnonzero(origins.at >= known[origins.series])
    if len(rows) < MIN_COMPARED:
        ours = None if rival.known.any() else rival.skill  # which would count what its parent knew already
        return Evidence(champion=version.number, measure="skill", theirs=version.skill, ours=ours)
    try:
        errors = _mases(theirs, origins, rows)
    except ModelBroken as error:
        return _useless(version.number, error)
    return _evidence(version.number, errors, _mases(rival.members, origins, rows), origins, rows)


def known_to(context: JobContext, version: VersionFacts, panel: Panel) -> Ints:
    """How many points of each series of ``panel``, the job's own, were taught to ``version``, (N,).

    Data of another data set count as unknown to the version, and so do all data to an imported version.
    """
    if version.revision_id is None or version.dataset_id != context.job.dataset_id:
        return np.zeros(len(panel), dtype=np.int64)
    taught = context.load_panel(version.revision_id)
    held_out = 0
    if not (version.report.refit or version.report.warm_started_from):
        held_out = plan_for(taught, version.spec.horizon, version.spec.season).held_out
    points = dict(zip(taught.ids, (taught.observed_lengths - held_out).tolist(), strict=True))
    return np.array([max(0, points.get(name, 0)) for name in panel.ids], dtype=np.int64)


def _evidence(champion: int, theirs: Floats, ours: Floats, origins: Origins, rows: Ints) -> Evidence:
    """What the MASE of both on the windows of number ``rows`` says, (B,) each, NaN where it cannot be said."""
    said, baseline = ~np.isnan(theirs), baseline_errors(origins, rows).windows["mase"]
    if not said.any():
        return Evidence(champion=champion)
    origin, numbers = np.unique(origins.origin[rows[said]], return_inverse=True)
    # Each origin counts by its windows, so that the mean over origins is the difference of the two mean errors.
    gains = np.bincount(numbers, (theirs - ours)[said]) * (len(origin) / said.sum())
    return Evidence(
        champion=champion,
        ours=float(ours[said].mean()),
        theirs=float(theirs[said].mean()),
        baseline=float(baseline[said].mean()),
        confidence=confidence(gains, -(-origins.horizon // origins.stride)),
        origins=len(origin),
        windows=int(said.sum()),
    )


def _mases(members: Sequence[Member], origins: Origins, rows: Ints) -> Floats:
    return window_errors(partial(predict, make_runnable(members, OnnxEngine)), origins, rows).windows["mase"]


def _useless(number: int, error: Exception) -> Evidence:
    # No reason to fail: the new version is what replaces it.
    logger.warning("the champion cannot be used", extra={"version": number, "reason": str(error)})
    return Evidence(champion=number, usable=False)


def _can_forecast(members: Sequence[Member], panel: Panel) -> bool:
    """Whether ``panel`` has the frequency and the covariates that ``members`` need."""
    if parse_freq(members[0].spec.freq) != panel.freq:
        return False
    try:
        for member in members:
            check_covariates(member.spec, panel)
    except InputError:
        return False
    return True


def ruling(evidence: Evidence, payload: TrainPayload) -> Ruling:
    """The gate's verdict with what it rests on; one that compared holds while the champion is still that one."""
    verdict = decide(payload.gate, evidence, payload.promote)
    return Ruling(
        verdict=verdict.outcome,
        reason=verdict.reason,
        policy={"promote": payload.promote, **payload.gate.to_json()},
        numbers=verdict.numbers,
        compared=payload.promote == "if_better",
        champion=evidence.champion,
    )
