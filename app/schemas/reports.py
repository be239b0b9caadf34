"""Reports of backtests, searches and decisions, as answers show them."""

from typing import Annotated, Literal

from pydantic import Field

from app.schemas.base import Answer, DescribedBy, JsonObject
from app.schemas.specs import MemberAnswer

Coverage = dict[str, float | None]


class ScoreAnswer(Answer):
    """Mean errors of one forecaster over the windows of a backtest; null if an error is undefined."""

    mase: float | None = Field(None, description="Mean absolute scaled error.")
    smape: float | None = Field(None, description="Symmetric mean absolute percentage error.")
    rmse: float | None = Field(None, description="Root mean squared error.")
    mse: float | None = Field(None, description="Mean squared error.")
    rmsse: float | None = Field(None, description="Root mean squared scaled error.")
    owa: float | None = Field(None, description="Overall weighted average relative to Naive2; of a sample only.")


class StepErrorsAnswer(Answer):
    """Mean errors of each step of the horizon."""

    mae: list[float | None]
    mase: list[float | None]


class IntervalScoreAnswer(Answer):
    """Quality of prediction intervals on the later half of the origins."""

    coverage: Coverage = Field(description="Share of values within the interval, by level in percent.")
    coverage_by_steps: dict[str, Coverage] | None = Field(
        None, description="The same of the first, middle and last third of the horizon, and of steps beyond it."
    )
    wql: float | None = Field(description="Weighted quantile loss.")
    msis: float | None = Field(description="Mean scaled interval score at 95 percent.")


class SampleAnswer(Answer):
    """Scores on the windows to which the statistical baselines were fitted."""

    windows: int
    scores: dict[str, ScoreAnswer]
    left_out: dict[str, str] = Field(description="Baselines that could not be fitted, and why.")


class TrialAnswer(Answer):
    """A candidate of a search after some epochs."""

    candidate: str
    why: str = Field(description="Reason to try it.")
    rung: int
    epochs: int
    seconds: float
    error: float | None = Field(description="MASE on the validation windows, or RMSE if there is no MASE.")
    failed: str | None = Field(None, description="Reason why the candidate has no error.")


class SearchAnswer(Answer):
    """Search that chose the spec."""

    budget_s: float
    trials: list[TrialAnswer]


class BacktestAnswer(Answer):
    """Scores of a forecaster and of the baselines on the same windows."""

    horizon: int
    season: int
    origins: int = Field(description="Moments of the past at which forecasts begin.")
    windows: int = Field(description="Forecasts that were scored: series at origins.")
    series_left_out: int = Field(description="Series that are too short for any origin.")
    scores: dict[str, ScoreAnswer] = Field(description="By forecaster: model, seasonal_naive, naive, drift.")
    skill: float | None = Field(description="1 - MASE / MASE of seasonal naive; above 0 is better than the baseline.")
    steps: dict[str, StepErrorsAnswer] | None = Field(None, description="Of model and seasonal_naive.")
    coverage: Coverage = Field(description="Coverage of the model's intervals, by level in percent.")
    intervals: dict[str, IntervalScoreAnswer] | None = Field(None, description="Of model and seasonal_naive.")
    sample: SampleAnswer | None = None


class TrainingRunAnswer(Answer):
    """The run that made a version. Equal runs on one kind of machine give equal weights, bit for bit."""

    forecastle: str
    python: str
    numpy: str
    onnxruntime: str
    keras: str
    backend: str = Field(description="Keras backend: tensorflow, jax or torch.")
    backend_version: str
    device: str = Field(description="cpu or gpu.")
    threads: int = Field(description="Threads of the arithmetic, `FORECASTLE_JOB_THREADS`.")
    processor: str = Field(description="Model of the processor.")
    vector_extensions: list[str] = Field(description="Vector extensions of the processor; empty if unknown.")
    seconds: float = Field(description="Duration of the attempt that made it.")
    peak_bytes: int = Field(description="Greatest memory of its process, which may have run other jobs before.")


class ScoresAnswer(BacktestAnswer):
    """Backtest of a version, and how the version was trained. Versions of earlier releases lack some fields."""

    seasonal_naive_share: float | None = Field(None, description="Share of seasonal naive in the mean of the members.")
    refit: bool | None = Field(None, description="Whether training continued on all data after the backtest.")
    engines_differ_by: float | None = Field(None, description="Largest difference between Keras and ONNX Runtime.")
    carry: int | None = Field(None, description="Windows in a row over which the state was carried in training.")
    warm_started_from: str | None = Field(None, description="NAME@NUMBER of the version that training continued.")
    members: list[MemberAnswer] | None = None
    auto: SearchAnswer | None = None
    made_by: TrainingRunAnswer | None = None
    parent_knew_backtest: bool | None = Field(
        None, description="Whether the version of the warm start had been trained on some of the windows."
    )
    promoted: bool | None = None
    promotion: str | None = Field(None, description="Reason why the version became champion or not.")


class WindowSpanAnswer(Answer):
    """Windows of a comparison; ``first`` and ``last`` are the times of the first and of the last forecast value."""

    first: str
    last: str
    origins: int
    windows: int


class FormerErrorsAnswer(Answer):
    """MASE of both on the windows of the champion's own backtest."""

    ours: float
    theirs: float = Field(description="The larger of two: of the champion as it is served, and of its own backtest.")
    span: WindowSpanAnswer


class RefitErrorsAnswer(Answer):
    """Mean absolute errors, in units of MASE, before and after the training on the newest points."""

    on: Literal["newest", "former"]
    windows: int
    before: float
    after: float
    distance: float = Field(description="Mean distance between the forecasts before and after.")


class RefitCheckAnswer(Answer):
    """Comparison of the version after its refit with the scored one; if the refit is not kept, the latter is served."""

    kept: bool
    sets: list[RefitErrorsAnswer]


class AuditFindingAnswer(Answer):
    """Difference between new rows and the past of their series; numbers are medians over the affected series."""

    code: Literal["missing", "zeros", "stuck", "unit", "noise", "season", "spread", "level"]
    series: int = Field(description="Affected series, of those checked.")
    checked: int
    example: str = Field(description="Id of an affected series.")
    before: float
    after: float
    limit: float
    points: int = Field(description="Steps for which the difference has lasted.")
    accepted: bool = Field(description="Whether a moved level has lasted long enough to count as a true change.")


class AuditAnswer(Answer):
    """Audit of the rows since the champion's revision."""

    checked: int = Field(description="Series with enough old and new points.")
    points: int = Field(description="New points of the series with most of them.")
    findings: list[AuditFindingAnswer]


class EvidenceAnswer(Answer):
    """Comparison of a new version with the champion; null if a number is unknown."""

    champion: int | None = Field(description="Number of the version that the new one was compared with.")
    usable: bool = Field(True, description="Whether the champion can be served at all.")
    measure: Literal["MASE", "skill"] = Field(
        description="MASE on the same windows, or the skill of each in its own backtest on the same data."
    )
    ours: float | None
    theirs: float | None
    baseline: float | None = Field(description="Of seasonal naive.")
    confidence: float | None = Field(description="Probability that the new version errs less, from paired errors.")
    origins: int
    windows: int
    gain: float | None = Field(description="Share by which the new version's error is smaller.")
    required_windows: int | None = Field(None, description="Set if fewer windows are new to both: no comparison.")
    newest: WindowSpanAnswer | None = Field(None, description="The windows of 'ours', 'theirs' and 'baseline'.")
    former: FormerErrorsAnswer | None = None
    refit: RefitCheckAnswer | None = None
    audit: AuditAnswer | None = None
    other_dataset: bool = Field(False, description="Whether the champion was trained on another data set.")
    forced: bool = Field(False, description="Whether the request has 'force'.")


ScoresDocument = Annotated[JsonObject, DescribedBy(ScoresAnswer)]
SearchDocument = Annotated[JsonObject, DescribedBy(SearchAnswer)]
EvidenceDocument = Annotated[JsonObject, DescribedBy(EvidenceAnswer)]
