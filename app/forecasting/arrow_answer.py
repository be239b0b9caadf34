"""Forecasts of tables: Arrow in, with the rest of the request in the query, and Arrow out."""

from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import QueryParams

from app.forecasting.json_answer import Origin, head_of
from app.formats import ARROW, forecast_to_arrow
from app.schemas import WarningAnswer
from app.schemas.streams import ForecastQuery
from models.forecasting.forecast import Forecast

_BINARY = {"type": "string", "format": "binary"}
ARROW_BODY: dict[str, Any] = {
    ARROW: {
        "schema": {
            **_BINARY,
            "description": "A stream of record batches with the columns unique_id, ds, y, and covariates beside them. "
            "Rows after the last value of a series may say what is known ahead. The rest of the request is in the "
            "query.",
        }
    }
}
ARROW_ANSWER: dict[str, Any] = {
    ARROW: {
        "schema": {
            **_BINARY,
            "description": "Record batches with a row for each series and step: unique_id, ds, mean, and lo-L and hi-L "
            "for each level L. All else is JSON under the key 'forecastle' of the schema's metadata.",
        }
    }
}


def is_arrow(content_type: str) -> bool:
    """Whether the body is said to be a stream of Arrow."""
    return content_type.partition(";")[0].strip().lower() == ARROW


def queried(params: QueryParams) -> ForecastQuery:
    """What is asked in the query.

    Raises:
        RequestValidationError: it is not what a query can be; each error names its field.
    """
    # What is there twice is joined: of levels that is what is meant, of anything else it fits no field.
    names = dict.fromkeys(name for name, _ in params.multi_items())
    try:
        return ForecastQuery.model_validate({name: ",".join(params.getlist(name)) for name in names})
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**one, "loc": ("query", *one["loc"])} for one in errors]) from error


def query_parameters() -> list[dict[str, Any]]:
    """The query of a request whose body is Arrow, for OpenAPI."""
    fields = ForecastQuery.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": f"Where the body is Arrow: {schema.get('description', f'the {name}')}",
            "schema": {key: value for key, value in schema.items() if key not in ("description", "title")},
            **({"style": "form", "explode": False} if name == "levels" else {}),
        }
        for name, schema in fields.items()
    ]


def answer_arrow(origin: Origin, made: Forecast, warnings: tuple[WarningAnswer, ...] = ()) -> bytes:
    """The whole answer as an Arrow stream; see ``answer_json``."""
    return forecast_to_arrow(made, head_of(origin, made, warnings))
