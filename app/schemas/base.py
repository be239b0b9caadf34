"""Base classes and field types of the request and response bodies."""

from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import definitions_schema

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
VERSION_NAME = NAME.removesuffix("$") + "@" + NAME.removeprefix("^")  # NAME@NUMBER or NAME@ALIAS
Name = Annotated[str, Field(pattern=NAME, description="1 to 128 letters, digits, '.', '_' or '-'")]

MAX_FIELDS = 50
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]  # of a version or revision: the range of a database column
Reason = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]  # databases store no NUL

T = TypeVar("T")

# Validation of a list stops at the first wrong element: a million errors would take a gigabyte to describe.
Texts = Annotated[list[str], Field(fail_fast=True)]
Values = Annotated[list[float | None], Field(fail_fast=True)]
Cells = Annotated[list[Annotated[float | bool | str | None, Field(union_mode="left_to_right")]], Field(fail_fast=True)]
Columns = Annotated[dict[str, Cells], Field(max_length=50)]

JsonObject = dict[str, Any]  # a JSON object that is answered as it is stored


class Body(BaseModel):
    """Request body that refuses unknown fields, with the nearest known name, and numbers written as strings."""

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _known_fields(cls, values: Any) -> Any:
        if isinstance(values, dict):
            # Each unknown field would be an error of its own: a body full of them costs seconds to describe.
            if len(values) > MAX_FIELDS:
                raise ValueError(f"there are more than {MAX_FIELDS} fields")
            if not values.keys() <= field_names(cls):
                raise _unknown_fields(cls, values)
        return values


@cache
def field_names(body: type[BaseModel]) -> frozenset[str]:
    """Return the names that the fields of ``body`` have in JSON."""
    return frozenset(field.alias or name for name, field in body.model_fields.items())


def _unknown_fields(body: type[BaseModel], values: dict[str, Any]) -> ValidationError:
    """Return an error for each of ``values`` that is no field of ``body``; its context has the remedy.

    It is raised before the other fields are read: a misspelt field is not refused as missing at the same time.
    """
    known = sorted(field_names(body))
    errors = []
    for name in [name for name in values if name not in known]:
        near = get_close_matches(str(name), known, n=1)
        context = {"hint": f"did you mean '{near[0]}'?" if near else "remove it"}
        error = PydanticCustomError("extra_forbidden", "there is no field of this name", context)
        errors.append(InitErrorDetails(type=error, loc=(name,), input=values[name]))
    return ValidationError.from_exception_data(body.__name__, errors)


class Answer(BaseModel):
    """Response body."""

    model_config = ConfigDict(protected_namespaces=(), from_attributes=True, defer_build=True)


class DescribedBy:
    """Annotation of a JSON object that is passed through unchanged: OpenAPI describes it as one of ``models``.

    A stored document keeps its order of fields and lacks the fields that an earlier release did not write, so it is
    not parsed and written again. With ``partial`` no field is required or has a default, and no other field is allowed.
    """

    def __init__(self, *models: type[BaseModel], partial: bool = False) -> None:
        self.models, self.partial = models, partial

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the JSON schema of ``models`` in place of the one of any object."""
        # Definitions around a schema make the handler list it by its name, instead of repeating it in place.
        described = [handler(definitions_schema(model.__pydantic_core_schema__, [])) for model in self.models]
        if self.partial:
            properties = {}
            for each in described:
                for name, field in handler.resolve_ref_schema(each)["properties"].items():
                    properties[name] = {key: value for key, value in field.items() if key != "default"}
            return {"type": "object", "properties": properties, "additionalProperties": False}
        return described[0] if len(described) == 1 else {"anyOf": described}


class Page(Answer, Generic[T]):
    """One page of a list; ``next_page_token`` is null on the last one."""

    items: list[T]
    next_page_token: str | None
