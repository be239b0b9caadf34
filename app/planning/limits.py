"""Limits of a job's file and arithmetic, checked when the job is planned and again when it runs."""

from collections.abc import Iterable

from app.store.job_limits import JobLimits
from models.errors import InputError
from models.network.sizes import forecast_flop
from models.network.spec import Spec


def check_points(limits: JobLimits, rows: int, horizon: int, numbers_each: int) -> None:
    """Refuse a file of ``rows`` forecasts of ``horizon`` steps with ``numbers_each`` numbers each, if it is too large.

    Raises:
        InputError: ``file_too_large``.
    """
    points = rows * horizon * numbers_each
    if points > limits.max_points:
        message = f"the file of {rows} forecasts of {horizon} steps with {numbers_each} numbers each has {points}"
        hint = f"ask for at most {limits.max_points} a job (FORECASTLE_MAX_JOB_POINTS): fewer series, steps or levels"
        raise InputError.of("file_too_large", message, hint, field="horizon")


def check_work(limits: JobLimits, specs: Iterable[Spec], forecasts: int, horizon: int) -> None:
    """Refuse ``forecasts`` of ``horizon`` steps by members of ``specs``, if they need too much arithmetic.

    Raises:
        InputError: ``too_much_work``.
    """
    gflop = forecasts * sum(forecast_flop(spec, horizon) for spec in specs) / 1e9
    if gflop > limits.max_gflop:
        message = f"{forecasts} forecasts of {horizon} steps need {gflop:.0f} billion operations of this version"
        hint = f"ask for at most {limits.max_gflop} billion a job (FORECASTLE_MAX_JOB_GFLOP): fewer series or steps"
        raise InputError.of("too_much_work", message, hint, field="horizon")
