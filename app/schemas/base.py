"""What all bodies are made of."""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
VERSION_NAME = NAME.removesuffix("$") + "@" + NAME.removeprefix("^")  # NAME@NUMBER or NAME@ALIAS
Name = Annotated[str, Field(pattern=NAME, description="1 to 128 letters, digits, '.', '_' or '-'")]

MAX_FIELDS = 50
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]  # of a version or revision: what a column of a database holds
Reason = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]  # databases keep no NUL

T = TypeVar("T")

# Lists stop at their first wrong element: a million errors would cost a gigabyte to describe.
Texts = Annotated[list[str], Field(fail_fast=True)]
Values = Annotated[list[float | None], Field(fail_fast=True)]
Cells = Annotated[list[Annotated[float | bool | str | None, Field(union_mode="left_to_right")]], Field(fail_fast=True)]
Columns = Annotated[dict[str, Cells], Field(max_length=50)]


class Body(BaseModel):
    """A request body: no unknown fields, no numbers in strings."""

    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, values: Any) -> Any:
        # Each unknown field would be an error of its own: a body full of them costs seconds to describe.
        if isinstance(values, dict) and len(values) > MAX_FIELDS:
            raise ValueError(f"there are more than {MAX_FIELDS} fields")
        return values


class Answer(BaseModel):
    """A response body."""

    model_config = ConfigDict(protected_namespaces=(), from_attributes=True)


class Page(Answer, Generic[T]):
    """One page of a list; ``next_page_token`` is null on the last one."""

    items: list[T]
    next_page_token: str | None
