"""Forecast as the bytes of an Arrow stream."""

from app.forecasting.json_answer import Provenance, head_of
from app.formats import forecast_to_arrow
from models.forecasting.forecast import Forecast


def answer_arrow(provenance: Provenance, forecast: Forecast) -> bytes:
    """Return the whole answer: a row for each series and step, and the head of ``answer_json`` in the metadata."""
    return forecast_to_arrow(forecast, head_of(provenance, forecast))
