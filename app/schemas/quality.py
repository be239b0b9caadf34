"""How good served forecasts turned out to be."""

from typing import Annotated

from pydantic import Field

from app.schemas.base import Answer

Coverage = Annotated[
    dict[str, float | None],
    Field(description="By level in percent, the share of values within the intervals as they were served."),
]


class RealisedAnswer(Answer):
    """What came of forecasts: the mean error in MASE's unit beside what the backtest's was at the same steps."""

    forecasts: int = Field(description="Of one series each, by the horizon once.")
    points: int = Field(description="Values that came.")
    mase: float | None
    backtest_mase: float | None
    drift: float | None = Field(description="Realised over backtest MASE; above 1 errors are larger than they were.")
    confidence: float | None = Field(description="How sure that is, 0 to 1; null where too little came to say.")
    bias: float | None = Field(description="Mean error in MASE's unit; above 0 forecasts were too high.")
    coverage: Coverage


class BandAnswer(Answer):
    """The same for some of the steps."""

    from_step: int
    to_step: int
    points: int
    mase: float | None
    backtest_mase: float | None
    bias: float | None
    coverage: Coverage


class ShadowAnswer(Answer):
    """A challenger that forecast, unseen, what the version was asked for; both held against the same values."""

    challenger: int
    points: int
    mase: float | None
    served_mase: float | None
    gain: float | None = Field(description="By what share the challenger's error is smaller.")
    confidence: float | None = Field(description="How sure it is that it is smaller, 0 to 1.")


class QualityAnswer(Answer):
    """How good the forecasts of a version turned out to be, of the last ``days`` in which values came."""

    model: str
    version: int
    days: int
    served: RealisedAnswer
    bands: list[BandAnswer]
    shadows: list[ShadowAnswer]
    adapted: dict[str, float] | None = Field(
        description="By level, how many times as wide intervals are as the backtest alone would make them."
    )
