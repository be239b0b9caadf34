"""Whether a new version becomes champion: compared with the present one where both forecast what they were not taught.

A version that was taught again after its own backtest knows most of the windows of the next one. What is compared is
MASE on the windows that neither knows; where there are too few, the skill that each had in its own backtest.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from app.problems import CorruptBundle
from app.store.outcomes import Ruling
from app.store.tasks import VersionFacts
from app.work.desk import Desk
from models import bundle
from models.backtest import score
from models.calendar import Ints, parse_freq
from models.engines.onnx import OnnxEngine
from models.errors import BundleError, InputError, ModelBroken
from models.forecaster import Member, check_covariates, predict, ready
from models.origins import Origins, plan_for
from models.panel import Panel

logger = logging.getLogger(__name__)

LEAST_COMPARED = 10  # windows: fewer tell nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """The version that the new one must beat, and the ``measure`` of both; None where that cannot be said."""

    number: int
    measure: str = "MASE"  # on the same windows; or skill, each in its own backtest
    theirs: float | None = None
    ours: float | None = None
    usable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rival:
    """The new version, before it was taught the windows of ``origins``, and its ``skill`` there.

    ``known`` (N,): of each series the points that the version knew from which it went on; 0 where it began anew.
    """

    members: Sequence[Member]
    skill: float | None
    origins: Origins
    known: Ints


def compare(desk: Desk, rival: Rival) -> Champion | None:
    """The model's champion beside ``rival``; None where there is no champion."""
    version = desk.champion()
    if version is None:
        return None
    try:
        theirs = bundle.from_bytes(desk.bundle(version.id)).members
    except (CorruptBundle, BundleError) as error:
        return _useless(version.number, error)
    origins = rival.origins
    if not _can_forecast(theirs, origins.panel):
        return Champion(number=version.number)
    known = np.maximum(rival.known, known_to(desk, version, origins.panel))
    rows = np.flatnonzero(origins.at >= known[origins.series])
    if len(rows) < LEAST_COMPARED:
        ours = None if rival.known.any() else rival.skill  # which would count what its parent knew already
        return Champion(number=version.number, measure="skill", theirs=version.skill, ours=ours)
    try:
        return Champion(
            number=version.number, theirs=_mase(theirs, origins, rows), ours=_mase(rival.members, origins, rows)
        )
    except ModelBroken as error:
        return _useless(version.number, error)


def known_to(desk: Desk, version: VersionFacts, panel: Panel) -> Ints:
    """How many points of each series of ``panel``, the job's own, were taught to ``version``, (N,).

    What was learned of another data set counts as unknown.
    """
    if version.dataset_id != desk.job.dataset_id:
        return np.zeros(len(panel), dtype=np.int64)
    taught = desk.panel(version.revision_id)
    held_out = 0
    if not (version.scores.get("refit") or version.scores.get("warm_started_from")):
        held_out = plan_for(taught, version.spec["horizon"], version.spec["season"]).held_out
    points = dict(zip(taught.ids, (taught.observed_lengths - held_out).tolist(), strict=True))
    return np.array([max(0, points.get(name, 0)) for name in panel.ids], dtype=np.int64)


def _mase(members: Sequence[Member], origins: Origins, rows: Ints) -> float | None:
    return score(partial(predict, ready(members, OnnxEngine)), origins, rows)["mase"]


def _useless(number: int, error: Exception) -> Champion:
    # No reason to fail: the new version is what replaces it.
    logger.warning("the champion cannot be used", extra={"version": number, "reason": str(error)})
    return Champion(number=number, usable=False)


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


def verdict(champion: Champion | None, promote: str) -> tuple[bool, str]:
    """Whether the new version becomes champion, and the reason to be kept."""
    if promote != "if_better":
        return promote == "always", f"the job says to promote {promote}"
    if champion is None:
        return True, "the first version"
    name, ours, theirs = f"version {champion.number}", champion.ours, champion.theirs
    if not champion.usable:
        return True, f"{name} cannot be used any more"
    if ours is None or theirs is None:
        return False, f"the two cannot be compared on these data, {name} stays; move the alias by hand if you want"
    if champion.measure == "MASE":
        better = ours < theirs
        both = f"MASE {ours:.4g} is {'below' if better else 'not below'} the {theirs:.4g} of {name}"
        return better, f"{both} on windows that neither was taught"
    better = ours > theirs
    both = f"skill {ours:.4g} is {'above' if better else 'not above'} the {theirs:.4g} of {name}"
    return better, f"{both}, each in its own backtest"


def ruling(champion: Champion | None, promote: str) -> Ruling:
    """The verdict with the numbers that it rests on; one that compared holds while the champion is still that one."""
    promoted, reason = verdict(champion, promote)
    return Ruling(
        verdict="promoted" if promoted else "kept",
        reason=reason,
        policy={"promote": promote},
        numbers={} if champion is None else asdict(champion),
        compared=promote == "if_better",
        champion=None if champion is None else champion.number,
    )
