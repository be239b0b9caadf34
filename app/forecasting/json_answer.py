"""A forecast as the bytes of its answer; ``app.schemas.ForecastAnswer`` says what they are."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from app.schemas import Skill, VersionRef, WarningAnswer
from app.serving.alias_state import Target
from models.evaluation.report import BacktestReport
from models.forecasting.forecast import Forecast, Note


class Origin(NamedTuple):
    """What an answer says of where it comes from: made once for each version that is served, not for each answer."""

    model: orjson.Fragment
    backtest: orjson.Fragment
    skill: float | None
    doubts: tuple[WarningAnswer, ...]


@lru_cache(maxsize=1_000)
def origin_of(target: Target, model: str, members: int) -> Origin:
    """What is said of the version that ``target`` is, asked for as a version of ``model``."""
    reference = VersionRef(
        name=model,
        version=target.number,
        sha256=target.sha256,
        cell=target.spec.cell,
        strategy=target.spec.strategy,
        members=members,
        trained_horizon=target.spec.horizon,
    )
    backtest = skill_of(target.report)
    return Origin(
        orjson.Fragment(reference.model_dump_json()),
        orjson.Fragment(backtest.model_dump_json()),
        backtest.skill,
        tuple(_doubts(target, backtest)),
    )


def answer_json(origin: Origin, made: Forecast, warnings: tuple[WarningAnswer, ...] = ()) -> bytes:
    """The whole answer."""
    return orjson.dumps(
        {**head_of(origin, made, warnings), "forecasts": rows_of(made)}, option=orjson.OPT_SERIALIZE_NUMPY
    )


def head_of(origin: Origin, made: Forecast, warnings: tuple[WarningAnswer, ...] = ()) -> dict[str, Any]:
    """All of the answer but the forecasts themselves."""
    told = [warning.model_dump() for warning in (*origin.doubts, *warnings)]
    return {
        "model": origin.model,
        "freq": str(made.freq),
        "horizon": made.mean.shape[1],
        "skill": origin.skill,
        "backtest": origin.backtest,
        "warnings": told + [_note(note) for note in made.notes],
    }


def rows_of(made: Forecast) -> list[dict[str, Any]]:
    """The forecast of each series; arrays stay arrays, which the encoder knows."""
    bounds = [(str(level), interval.lo, interval.hi) for level, interval in made.intervals.items()]
    return [
        {
            "unique_id": unique_id,
            "ds": made.stamps(i),
            "mean": made.mean[i],
            "intervals": {level: {"lo": lo[i], "hi": hi[i]} for level, lo, hi in bounds},
        }
        for i, unique_id in enumerate(made.ids)
    ]


def _note(note: Note) -> dict[str, Any]:
    return {"code": note.code, "message": note.message, "unique_id": note.unique_id}


def _doubts(target: Target, backtest: Skill) -> Iterator[WarningAnswer]:
    """What is to be known of the version itself."""
    if target.spec.strategy == "seasonal_naive":
        message = "this version is seasonal naive itself: nothing that was taught did better when it was chosen"
        yield WarningAnswer(code="baseline_served", message=message)
    elif backtest.skill is None or backtest.skill <= 0:
        message = "in its backtest this version was not better than seasonal naive"
        yield WarningAnswer(code="no_skill", message=message)
    if target.report.parent_knew_backtest:
        message = "the version that this one went on from had been taught some of its backtest; expect less skill"
        yield WarningAnswer(code="optimistic_backtest", message=message)


def skill_of(report: BacktestReport) -> Skill:
    """The short form of a version's scores."""
    return Skill(
        skill=report.skill,
        mase=report.scores["model"]["mase"],
        seasonal_naive_mase=report.scores["seasonal_naive"]["mase"],
        horizon=report.horizon,
        windows=report.windows,
        coverage=dict(report.coverage),
    )
