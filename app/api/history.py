"""What a forecast is asked of, as it came or as it is stored; and what is kept of what was said of stored series."""

from typing import NamedTuple

from app.api.http.services import Service
from app.forecasting.request_panel import asked
from app.formats import panel_from_arrow
from app.schemas import ForecastRequest
from app.schemas.streams import ForecastQuery
from app.serving.alias_state import Target
from app.serving.batcher import Finish
from app.serving.forecast_log import Entry, Source
from app.store import datasets, panels
from models.data.panel import Panel
from models.forecasting.forecast import Forecast


class Known(NamedTuple):
    """What a request is asked of; ``dataset_id`` and ``revision`` where that is the newest of a stored data set."""

    panel: Panel
    dataset_id: int | None = None
    revision: int = 0


def known_for(
    the: Service, tenant_id: int, request: ForecastRequest | ForecastQuery, freq: str, body: bytes = b""
) -> Known:
    """What the request is asked of; see ``asked``. ``body`` is the history where only a query goes with it."""
    if isinstance(request, ForecastQuery):
        return Known(panel_from_arrow(body, request.freq, the.settings.max_rows))
    if request.dataset is None:
        return Known(asked(request, None, freq))
    with the.database.read() as session:
        revision = datasets.revision(session, tenant_id, request.dataset.name, request.dataset.revision)
        key = (revision.dataset_id, revision.number)
        stored = the.panels.get(key, lambda: panels.load(session, tenant_id, revision))
    panel = asked(request, stored, freq)
    # Of an older revision what came is known already: no test of what was said.
    return Known(panel, revision.dataset_id, revision.number) if request.dataset.revision is None else Known(panel)


def logged(the: Service, target: Target, known: Known, finish: Finish) -> Finish:
    """``finish``, which also gives the forecast to the log where it is one of the sample."""
    if known.dataset_id is None or not the.served.wants():
        return finish
    source = Source(
        tenant_id=target.tenant_id,
        model=target.model,
        version_id=target.version_id,
        season=target.spec.season,
        stretch=the.stretches.of(target.version_id),
        dataset_id=known.dataset_id,
        revision=known.revision,
    )

    def finish_and_log(made: Forecast) -> bytes:
        content = finish(made)
        the.served.put(Entry(source, known.panel, made))
        return content

    return finish_and_log
