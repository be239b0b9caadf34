"""Lists page by page: an opaque token says after which row the next page begins."""

import base64
from collections.abc import Sequence
from typing import Annotated

from fastapi import Query

from models.errors import Fault, InputError, excerpt

MAX_PAGE_SIZE = 1_000
LARGEST = 2**31 - 1  # number that a column of a database holds

PageToken = Annotated[str | None, Query(max_length=200, description="'next_page_token' of the page before.")]
PageSize = Annotated[
    int, Query(ge=1, description=f"Items on a page; more than {MAX_PAGE_SIZE} counts as {MAX_PAGE_SIZE}.")
]


def encode(after: str | int) -> str:
    """The token of the page that begins after ``after``."""
    return base64.urlsafe_b64encode(str(after).encode()).decode().rstrip("=")


def after_text(token: str | None) -> str | None:
    """What ``encode`` was given, as text; None for the first page.

    Raises:
        InputError: the token is none of ours.
    """
    if token is None:
        return None
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii")
    except ValueError as error:
        raise foreign(token) from error
    if encode(text) != token or not text.isalnum():
        raise foreign(token)
    return text


def after_id(token: str | None) -> int | None:
    """What ``encode`` was given, as a number; None for the first page.

    Raises:
        InputError: the token is none of ours.
    """
    text = after_text(token)
    if text is None:
        return None
    if not (text.isdecimal() and len(text) < 11 and int(text) <= LARGEST):
        raise foreign(token)
    return int(text)


def next_token(rows: Sequence[object], size: int, last: str | int | None) -> str | None:
    """The token that follows a page of ``rows``, which ends with ``last``; None where it was not full."""
    return encode(last) if last is not None and len(rows) == size else None


def foreign(token: str | None) -> InputError:
    """The refusal of a token that is none of ours."""
    message = f"{excerpt(token)} is no page token"
    hint = "pass on 'next_page_token' of the page before, or leave it out"
    return InputError([Fault(code="bad_page_token", field="page_token", message=message, hint=hint)])
