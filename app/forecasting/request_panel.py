"""What a forecast is asked of, as one panel: what is known of each series, then what is known ahead of it."""

from app.schemas import ForecastRequest, Future, History
from models.data.calendar import parse_freq
from models.data.concat import with_future
from models.data.from_series import Posted, panel_of_series
from models.data.panel import Panel, panel_from_columns
from models.errors import Fault, InputError


def asked(request: ForecastRequest, stored: Panel | None, freq: str) -> Panel:
    """The panel of ``request``: its inline history or its series of ``stored``, followed by its ``future``.

    ``freq`` is the model's, for a future without history that says none itself. A forecast begins after the last value
    of each series; rows beyond hold covariates only, and a series of nothing else has no history.

    Raises:
        InputError: rows that cannot be read, or a future that does not follow.
    """
    ids = request.dataset.ids if request.dataset is not None else None
    known = _known(request, stored, freq)
    if known is not None and ids is not None:
        known = known.select(ids)
    if request.future is None:
        assert known is not None  # the schema: one of the three
        return known
    ahead = future_of(request.future, request.freq or freq if known is None else str(known.freq))
    if ids is not None:
        ahead = ahead.select([name for name in ahead.ids if name in set(ids)])
    return ahead if known is None else with_future(known, ahead)


def _known(request: ForecastRequest, stored: Panel | None, freq: str) -> Panel | None:
    if request.history is not None:
        return _history(request.history, request.freq)
    if request.series is not None:
        posted = [Posted(one.unique_id, one.start, one.y) for one in request.series]
        return panel_of_series(posted, parse_freq(request.freq or freq))
    return stored


def _history(history: History, freq: str | None) -> Panel:
    if len(history.ds) == 1 and freq is None:
        message, hint = "one timestamp has no frequency", "name it in 'freq'"
        raise InputError([Fault(code="unknown_frequency", field="freq", message=message, hint=hint)])
    return panel_from_columns(history.unique_id, history.ds, history.y, freq, history.covariates)


def future_of(future: Future, freq: str) -> Panel:
    """What is known ahead, as a panel without values."""
    return panel_from_columns(future.unique_id, future.ds, [None] * len(future.ds), freq, future.covariates)
