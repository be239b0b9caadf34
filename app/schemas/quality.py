"""Accuracy of served forecasts, once actual values arrived."""

from typing import Annotated

from pydantic import Field

from app.schemas.base import Answer

Coverage = Annotated[
    dict[str, float | None],
    Field(description="Share of values within the served intervals, by level in percent."),
]


class RealisedAnswer(Answer):
    """Realised accuracy of medians: mean absolute error in units of MASE, beside the backtest's at the same steps."""

    forecasts: int = Field(description="Forecasts of one series over one horizon.")
    points: int = Field(description="Actual values that arrived.")
    mase: float | None
    backtest_mase: float | None
    drift: float | None = Field(description="Realised MASE / backtest MASE; above 1 errors have grown.")
    confidence: float | None = Field(description="Probability that errors have grown, 0 to 1; null if unknown.")
    bias: float | None = Field(
        description="Mean error of the median in units of MASE; above 0 forecasts were too high."
    )
    coverage: Coverage


class BandAnswer(Answer):
    """Realised accuracy of some of the steps."""

    from_step: int
    to_step: int
    points: int
    mase: float | None
    backtest_mase: float | None
    bias: float | None
    coverage: Coverage


class ShadowAnswer(Answer):
    """A challenger that forecast the same requests without being served, compared on the same actual values."""

    challenger: int
    points: int
    mase: float | None
    served_mase: float | None
    gain: float | None = Field(description="Share by which the challenger's error is smaller.")
    confidence: float | None = Field(description="Probability that the challenger's error is smaller, 0 to 1.")


class QualityAnswer(Answer):
    """Realised accuracy of a version over the last ``days`` in which values arrived."""

    model: str
    version: int
    days: int
    served: RealisedAnswer
    reason: str | None = Field(None, description="Why there is nothing to show yet; null if there is.")
    bands: list[BandAnswer]
    shadows: list[ShadowAnswer]
    adapted: dict[str, float] | None = Field(
        description="Factor by which intervals are wider than those of the backtest, by level: mean of the thirds of "
        "the trained horizon."
    )
    adapted_by_steps: dict[str, dict[str, float]] | None = Field(
        description="The same of the first, middle and last third of the trained horizon, and of the steps beyond it."
    )
