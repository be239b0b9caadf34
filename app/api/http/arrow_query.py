"""Forecast requests with an Arrow stream as body and the other fields in the query, and their OpenAPI."""

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import QueryParams

from app.formats import ARROW
from app.problems import UnsupportedMedia
from app.schemas.streams import ForecastQuery
from models.errors import excerpt
from models.types import JsonObject

JSON_TYPES = {"", "application/json", "application/x-www-form-urlencoded"}
LISTS = ("levels", "quantiles", "bounds")  # sent as one parameter, with commas
_BINARY = {"type": "string", "format": "binary"}
ARROW_BODY: JsonObject = {
    ARROW: {
        "schema": {
            **_BINARY,
            "description": "A stream of record batches with the columns unique_id, ds, y, and covariates beside them. "
            "Rows after the last value of a series may say what is known ahead. The rest of the request is in the "
            "query.",
        }
    }
}
ARROW_ANSWER: JsonObject = {
    ARROW: {
        "schema": {
            **_BINARY,
            "description": "Record batches with a row for each series and step: unique_id, ds, median, mean, lo-L "
            "and hi-L for each level L, and q-Q for each quantile Q. All else is JSON under the key 'forecastle' of "
            "the schema's metadata.",
        }
    }
}


def is_arrow(content_type: str) -> bool:
    """Return whether a header ``Content-Type`` announces an Arrow stream."""
    return content_type.partition(";")[0].strip().lower() == ARROW


def check_json(content_type: str, query: bytes) -> None:
    """Refuse a body that is not announced as JSON, and a query beside one that is.

    Raises:
        UnsupportedMedia: the body has another type. A form's is accepted, as curl's ``-d`` gives it to JSON.
        RequestValidationError: the query has parameters, which count only beside an Arrow body.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in JSON_TYPES and not kind.endswith("+json"):
        raise UnsupportedMedia(f"got Content-Type {excerpt(kind)}; send application/json or {ARROW}")
    if query:
        names = dict.fromkeys(name for name, _ in QueryParams(query.decode("latin-1")).multi_items())
        message, hint = "query parameters belong to an Arrow body", "put the field into the JSON body"
        faults = [{"type": "query_beside_json", "loc": ("query", name), "msg": message, "hint": hint} for name in names]
        raise RequestValidationError(faults)


def parse_query(params: QueryParams) -> ForecastQuery:
    """Return the fields of the query.

    Raises:
        RequestValidationError: a field is missing, unknown or has no valid value; each error names its field.
    """
    # Repeated parameters are joined by commas: a list of levels may come so, and in any other field it is no value.
    names = dict.fromkeys(name for name, _ in params.multi_items())
    try:
        return ForecastQuery.model_validate({name: ",".join(params.getlist(name)) for name in names})
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**one, "loc": ("query", *one["loc"])} for one in errors]) from error


def query_parameters() -> list[JsonObject]:
    """Return the OpenAPI parameters of the query that goes with an Arrow body."""
    fields = ForecastQuery.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": f"Where the body is Arrow: {schema.get('description', f'the {name}')}",
            "schema": {key: value for key, value in schema.items() if key not in ("description", "title")},
            **({"style": "form", "explode": False} if name in LISTS else {}),
        }
        for name, schema in fields.items()
    ]
