"""Guard of a training job against a refit that makes the forecaster worse than its backtest says."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from app.work.champion_comparison import former_origins
from app.work.job_context import JobContext
from models.data.panel import Panel
from models.engines.onnx import OnnxEngine
from models.evaluation.origins import Origins
from models.evaluation.refit_check import RefitCheck, WindowSet, check_refit
from models.forecasting.forecaster import Member, make_runnable, predict
from models.types import Ints


class RefitGuard:
    """Compares members before and after their refit on the newest windows, and on those of the champion's backtest."""

    def __init__(self, context: JobContext, panel: Panel) -> None:
        self._context, self._panel = context, panel
        self.check: RefitCheck | None = None  # of the last comparison

    def keeps(self, before: Sequence[Member], after: Sequence[Member], origins: Origins) -> bool:
        """Return whether the members ``after`` their refit may be served, and store the comparison."""
        champion = self._context.load_champion()
        sets: list[tuple[WindowSet, Origins, Ints]] = [("newest", origins, np.arange(len(origins)))]
        former = None if champion is None else former_origins(self._context, champion, self._panel)
        if former is not None and former.horizon == origins.horizon:
            sets.append(("former", former, np.arange(len(former))))
        first, second = (partial(predict, make_runnable(members, OnnxEngine)) for members in (before, after))
        self.check = check_refit(first, second, sets)
        return self.check.kept
