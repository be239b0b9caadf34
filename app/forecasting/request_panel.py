"""Input panel of a forecast request: the history of each series, then the rows known ahead of it."""

from typing import NamedTuple

from app.formats import panel_from_arrow
from app.schemas.forecasts import ForecastRequest, Future
from app.schemas.streams import ForecastQuery
from app.serving.panel_cache import PanelCache
from app.store import datasets, panels
from app.store.db import Database
from models.data.calendar import parse_freq
from models.data.concat import with_future
from models.data.frequency_choice import PreferredFreq
from models.data.from_series import panel_from_series
from models.data.panel import Panel, panel_from_columns

MAX_INLINE_VALUES = 2_000  # a larger panel is built in a thread: a millisecond of the event loop delays every request

Request = ForecastRequest | ForecastQuery
# Input that the request does not hold itself: a panel, or the bytes of an Arrow stream.
Input = Panel | bytes | None


class RequestPanel(NamedTuple):
    """Panel of a request; ``dataset_id`` and ``revision`` where it is the newest revision of a stored data set."""

    panel: Panel
    dataset_id: int | None = None
    revision: int = 0


class PanelReader:
    """Builds the panels of requests from their own rows or from the data sets that they name.

    ``max_rows`` is the largest number of rows in an Arrow stream.
    """

    def __init__(self, database: Database, cache: PanelCache, max_rows: int) -> None:
        self._database, self._cache, self._max_rows = database, cache, max_rows

    def read(self, tenant_id: int, request: Request, data: Input, freq: str) -> RequestPanel:
        """Return the panel of a request; ``freq`` is the model's. A stored data set may block this.

        Raises:
            NotFound: the tenant has no such data set or revision.
            InputError: rows that cannot be read, or a future that does not follow them.
        """
        if isinstance(data, Panel):
            return RequestPanel(data)
        if isinstance(request, ForecastQuery):
            return RequestPanel(panel_from_arrow(data or b"", request.freq or PreferredFreq(freq), self._max_rows))
        if request.dataset is None:
            return RequestPanel(panel_of(request, None, freq))
        with self._database.read() as session:
            revision = datasets.revision(session, tenant_id, request.dataset.name, request.dataset.revision)
            key = (revision.dataset_id, revision.number)
            stored = self._cache.get(key, lambda: panels.load(session, tenant_id, revision))
        panel = panel_of(request, stored, freq)
        # The values that follow an older revision are known already: they are no test of a forecast.
        is_newest = request.dataset.revision is None
        return RequestPanel(panel, revision.dataset_id, revision.number) if is_newest else RequestPanel(panel)


def is_large(request: Request, data: Input) -> bool:
    """Return whether building the panel of a request may take more than about a millisecond."""
    if data is not None or isinstance(request, ForecastQuery) or request.dataset is not None:
        return True
    history, future = request.history, request.future
    values = 0 if history is None else len(history.ds) * (1 + len(history.covariates))
    values += 0 if future is None else len(future.ds) * (1 + len(future.covariates))
    return values + sum(len(one.y) for one in request.series or ()) > MAX_INLINE_VALUES


def panel_of(request: ForecastRequest, stored: Panel | None, freq: str) -> Panel:
    """Return the panel of ``request``: its inline history or its series of ``stored``, followed by its ``future``.

    ``freq`` is the model's; it counts where the request names none and the timestamps fit it. A forecast begins after
    the last value of each series; rows after it hold covariates only, and a series with only such rows has no history.

    Raises:
        InputError: rows that cannot be read, or a future that does not follow.
    """
    ids = request.dataset.ids if request.dataset is not None else None
    known = _history(request, stored, freq)
    if known is not None and ids is not None:
        known = known.select(ids)
    if request.future is None:
        assert known is not None  # the schema requires one of the three
        return known
    ahead = future_panel(request.future, request.freq or freq if known is None else str(known.freq))
    if ids is not None:
        ahead = ahead.select([name for name in ahead.ids if name in set(ids)])
    return ahead if known is None else with_future(known, ahead)


def _history(request: ForecastRequest, stored: Panel | None, freq: str) -> Panel | None:
    if request.history is not None:
        history = request.history
        choice = request.freq or PreferredFreq(freq)
        return panel_from_columns(history.unique_id, history.ds, history.y, choice, history.covariates)
    if request.series is not None:
        return panel_from_series(request.series, parse_freq(request.freq or freq))
    return stored


def future_panel(future: Future, freq: str) -> Panel:
    """Return the covariates known ahead as a panel without values."""
    return panel_from_columns(future.unique_id, future.ds, [None] * len(future.ds), freq, future.covariates)
