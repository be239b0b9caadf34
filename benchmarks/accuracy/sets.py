"""Skill over many sets: MASE beside seasonal naive's and AutoTheta's on the same windows, and honesty of intervals."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.accuracy.protocol import (
    Teach,
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


def measure(dataset: Dataset, teach: Teach, thetas: Mapping[str, Any]) -> dict[str, Any]:
    """What the untuned default reaches on ``dataset``: it is told the horizon and the season, nothing else.

    ``thetas`` is what ``theta.known`` has of AutoTheta.

    ``ratio``: MASE over seasonal naive's; ``theta_ratio``: MASE over AutoTheta's on those windows that it has forecast,
    None where it has none; ``seconds`` and ``cpu_seconds``: what teaching took, compilation included.
    """
    panel = dataset.panel()
    plan = plan_for(panel, dataset.horizon, dataset.season)
    windows = windows_of(panel, plan)
    fields = {"horizon": plan.horizon, "season": plan.season}
    predictor, took = taught(teach, panel.cut(plan.held_out), fields)
    answer = predict(predictor, panel, windows)
    errors = mase_of(windows, answer.mean)
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
        **took,
    }
