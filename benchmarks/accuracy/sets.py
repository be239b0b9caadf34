"""Protocol of many sets: MASE beside seasonal naive and AutoTheta on the same windows, and coverage of the
intervals.
"""

import numpy as np

from benchmarks.accuracy.protocol import (
    Teach,
    coverage_by_steps,
    coverage_of,
    mase_of,
    mean_error,
    plan_for,
    predict,
    seasonal_naive_of,
    taught,
    windows_of,
)
from benchmarks.accuracy.theta import recorded, sample
from benchmarks.data import Dataset
from models.data.windows import take
from models.types import JsonObject

# Sets that are also forecast beyond the trained horizon, and how far: hourly, daily, weekly and monthly, of many series
# and of single ones.
ROLLED = ("electricity_pjm_hourly", "fred_monthly", "m4_weekly", "bike_sharing_hourly", "prophet_wiki_daily")
REACH = 2  # times the horizon


def measure(dataset: Dataset, teach: Teach, thetas: JsonObject) -> JsonObject:
    """Return the scores of the default settings on ``dataset``; only the horizon and the season are given.

    ``thetas`` are the results of ``theta.known``. ``ratio`` is MASE over that of seasonal naive; ``theta_ratio`` is
    MASE over that of AutoTheta on the windows with an AutoTheta forecast, None without any; ``seconds`` and
    ``cpu_seconds`` are the training time, compilation included.
    """
    panel = dataset.panel()
    plan = plan_for(panel, dataset.horizon, dataset.season)
    windows = windows_of(panel, plan)
    fields = {"horizon": plan.horizon, "season": plan.season}
    predictor, took = taught(teach, panel.cut(plan.held_out), fields)
    reach = plan.horizon * (REACH if dataset.name in ROLLED else 1)
    followed = windows._replace(actual=take(panel.y, panel, windows.series, windows.at, reach))
    rolled = predict(predictor, panel, followed)
    answer = rolled.steps(np.arange(plan.horizon))
    errors = mase_of(windows, answer.median)
    naive = mean_error(mase_of(windows, seasonal_naive_of(panel, windows, plan.season)), windows)
    mase, theta = mean_error(errors, windows), recorded(thetas, dataset.name, plan)
    few = mean_error(np.where(sample(panel, windows), errors, np.nan), windows)
    return {
        "plan": str(plan),
        "windows": len(windows.at),
        "mase": mase,
        "seasonal_naive_mase": naive,
        "ratio": mase / naive,
        "theta_ratio": None if theta is None else few / theta,
        "coverage": coverage_of(windows.actual, answer),
        "coverage_by_steps": coverage_by_steps(followed.actual, rolled, plan.horizon),
        **took,
    }
