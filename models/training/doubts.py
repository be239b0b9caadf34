"""Warnings that every forecast of a version carries, because of its backtest and of its training."""

from collections.abc import Iterator

from models.forecasting.forecast import Note
from models.training.report import VersionReport

MAX_COVERAGE_ERROR = 10  # percentage points between the level of an interval and its coverage in the backtest


def doubts_of(strategy: str, report: VersionReport) -> Iterator[Note]:
    """Yield the warnings about a version: seasonal naive itself, no skill, unknown skill, an optimistic backtest."""
    if strategy == "seasonal_naive":
        message = "this version is seasonal naive itself: no trained network had a lower error when it was selected"
        yield Note(code="baseline_served", message=message)
    elif not report.windows:
        message = "this version was imported without a backtest: its skill against seasonal naive is unknown"
        yield Note(code="no_skill", message=message)
    elif report.skill is None or report.skill <= 0:
        yield Note(code="no_skill", message="this version was not better than seasonal naive in its backtest")
    for level, covered in report.coverage.items():
        if covered is not None and abs(100 * covered - int(level)) > MAX_COVERAGE_ERROR:
            message = f"its intervals of {level} % held {100 * covered:.0f} % of the values in its backtest"
            yield Note(code="coverage_off", message=message)
    if report.parent_knew_backtest:
        message = "this version started from one that was trained on part of this backtest; expect less skill"
        yield Note(code="optimistic_backtest", message=message)
