"""Pages of lists: an opaque token names the row after which the next page begins."""

import base64
from collections.abc import Sequence
from typing import Annotated

from fastapi import Query

from models.errors import InputError, excerpt

MAX_PAGE_SIZE = 1_000
MAX_ID = 2**31 - 1  # the largest number of a database column

PageToken = Annotated[str | None, Query(max_length=200, description="'next_page_token' of the previous page.")]
PageSize = Annotated[
    int, Query(ge=1, description=f"Items on a page; more than {MAX_PAGE_SIZE} counts as {MAX_PAGE_SIZE}.")
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


def next_token(rows: Sequence[object], size: int, last: str | int | None) -> str | None:
    """Return the token that follows a page of ``rows``, which ends with ``last``; None if the page was not full."""
    return encode(last) if last is not None and len(rows) == size else None


def bad_token(token: str | None) -> InputError:
    """Return the error for a token that ``encode`` did not make."""
    message = f"{excerpt(token)} is not a page token"
    hint = "send 'next_page_token' of the previous page, or leave 'page_token' out"
    return InputError.of("bad_page_token", message, hint, field="page_token")
