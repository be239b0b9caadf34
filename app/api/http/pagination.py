"""Pages of lists: an opaque token names the row after which the next page begins; a page is bounded in bytes."""

import base64
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query

from app.schemas.base import Answer, Page
from models.errors import InputError, excerpt

R = TypeVar("R")
A = TypeVar("A", bound=Answer)
K = TypeVar("K", int, str)

MAX_PAGE_SIZE = 1_000
MAX_PAGE_BYTES = 1024**2  # of the JSON of its items; a larger item has a page of its own
ROWS_AT_ONCE = 50  # read from the database: a page whose items are large reads few
MAX_ID = 2**31 - 1  # the largest number of a database column

PageToken = Annotated[str | None, Query(max_length=200, description="'next_page_token' of the previous page.")]
PageSize = Annotated[
    int,
    Query(
        ge=1,
        description=f"Items on a page; more than {MAX_PAGE_SIZE} counts as {MAX_PAGE_SIZE}. It ends at 1 MiB.",
    ),
]


def encode(after: str | int) -> str:
    """Return the token of the page that begins after the row ``after``, a name or an id."""
    return base64.urlsafe_b64encode(str(after).encode()).decode().rstrip("=")


def after_text(token: str | None) -> str | None:
    """Decode a page token: return the text after which the page begins, None for the first page.

    Raises:
        InputError: the token was not made by ``encode``.
    """
    if token is None:
        return None
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii")
    except ValueError as error:
        raise bad_token(token) from error
    if encode(text) != token or not text.isalnum():
        raise bad_token(token)
    return text


def after_id(token: str | None) -> int | None:
    """Decode a page token: return the row id after which the page begins, None for the first page.

    Raises:
        InputError: the token was not made by ``encode``.
    """
    text = after_text(token)
    if text is None:
        return None
    if not (text.isdecimal() and len(text) < 11 and int(text) <= MAX_ID):
        raise bad_token(token)
    return int(text)


def read_page(
    size: int,
    after: K | None,
    read: Callable[[K | None, int], Sequence[R]],
    answer: Callable[[Sequence[R]], list[A]],
    key: Callable[[R], K],
) -> Page[A]:
    """Return up to ``size`` items, fewer if they would have more than ``MAX_PAGE_BYTES``.

    ``read`` returns up to so many rows after a key (None: the first), ``answer`` their public forms, ``key`` that of a
    row.
    """
    items, size_bytes, size = list[A](), 0, min(size, MAX_PAGE_SIZE)
    while len(items) < size:
        wanted = min(ROWS_AT_ONCE, size - len(items))
        rows = read(after, wanted)
        for row, item in zip(rows, answer(rows), strict=True):
            size_bytes += len(item.model_dump_json())
            if items and size_bytes > MAX_PAGE_BYTES and after is not None:
                return Page(items=items, next_page_token=encode(after))
            items.append(item)
            after = key(row)
        if len(rows) < wanted:
            return Page(items=items, next_page_token=None)
    return Page(items=items, next_page_token=None if after is None else encode(after))


def row_id(row: Any) -> int:
    """Return the id of a row, by which most lists are ordered."""
    number: int = row.id
    return number


def bad_token(token: str | None) -> InputError:
    """Return the error for a token that ``encode`` did not make."""
    message = f"{excerpt(token)} is not a page token"
    hint = "send 'next_page_token' of the previous page, or leave 'page_token' out"
    return InputError.of("bad_page_token", message, hint, field="page_token")
