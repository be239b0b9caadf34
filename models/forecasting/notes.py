"""Notes on single series of a forecast: short, missing, constant or unsuitable values of their history."""

from collections.abc import Sequence

from models.data.masks import Mask
from models.data.panel import Panel
from models.evaluation.prediction import Prediction
from models.forecasting.forecast import Note
from models.network.spec import Spec


def series_notes(specs: Sequence[Spec], panel: Panel, prediction: Prediction) -> list[tuple[int, Note]]:
    """Return notes on single series, each with the series' number."""
    context, lengths, missing = max(spec.context for spec in specs), panel.observed_lengths, panel.missing
    notes, left_out = [], [spec for spec in specs if spec.context > 0]
    short = lengths < context
    for i in _rows(short & (lengths == 0)):
        message = f"the series has no history: {len(left_out)} of {len(specs)} members, which read it, are left out"
        notes.append((i, Note(code="members_left_out", message=message, unique_id=panel.ids[i])))
    for i in _rows(short & (lengths > 0)):
        message = f"the series has {lengths[i]} points; the model reads up to {context}, so it is less accurate"
        notes.append((i, Note(code="short_history", message=message, unique_id=panel.ids[i])))
    for i in _rows(missing > 0):
        message = f"{missing[i]} values are missing; they are masked, not imputed"
        notes.append((i, Note(code="missing_values", message=message, unique_id=panel.ids[i])))
    basis, still = prediction.basis, prediction.spread[:, 0] == 0
    for i in _rows(~basis.measured[:, 0]):
        message = "too few values were observed to know how much they vary; the intervals span what a usual series does"
        if still[i]:
            message = "too few values were observed to know how much they vary; the intervals have no width"
        notes.append((i, Note(code="spread_unknown", message=message, unique_id=panel.ids[i])))
    if basis.is_transformed:
        transform = next(spec.transform for spec in specs if spec.transform != "none")
        for i in _rows(~basis.change.positive[:, 0]):
            message = (
                f"the last values are not all above 0; the model learned their {transform} and reads them as they are"
            )
            notes.append((i, Note(code="not_transformed", message=message, unique_id=panel.ids[i])))
    for i in _rows(still & basis.measured[:, 0]):
        message = "the last values are constant; the forecast repeats them and the intervals have no width"
        notes.append((i, Note(code="constant_history", message=message, unique_id=panel.ids[i])))
    return notes


def _rows(mask: Mask) -> list[int]:
    found: list[int] = mask.nonzero()[0].tolist()
    return found
