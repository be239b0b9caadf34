"""Audit of the rows that a data set got since the revision that the champion was trained on."""

from app.planning.training_payload import TrainPayload
from app.work.champion_comparison import is_of_another_dataset
from app.work.job_context import JobContext
from models.data.panel import Panel
from models.evaluation.data_audit import Audit, audit


def audit_new_rows(context: JobContext, panel: Panel, payload: TrainPayload) -> Audit | None:
    """Compare the rows of ``panel``, the job's own, since the champion's revision with those before them.

    None without a champion, or if it was imported or trained on another data set: the rows that it knew are unknown.
    """
    champion = context.load_champion()
    if champion is None or champion.revision_id is None or is_of_another_dataset(context, champion):
        return None
    known = context.series_lengths(champion.revision_id).points_in(panel)
    season = payload.spec.season
    return audit(panel, known, season, payload.gate.steps_to_accept(season, payload.spec.horizon))
