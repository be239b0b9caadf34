from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.http.pagination import MAX_ID, MAX_PAGE_BYTES, after_id, after_text, encode, read_page, row_id
from app.schemas.base import Answer, Page
from models.errors import InputError


@given(st.integers(0, MAX_ID))
def test_a_number_comes_back(number: int) -> None:
    assert after_id(encode(number)) == number


@given(st.text("0123456789abcdef", min_size=1, max_size=40))
def test_a_name_comes_back(name: str) -> None:
    assert after_text(encode(name)) == name


def test_without_a_token_it_is_the_first_page() -> None:
    assert (after_id(None), after_text(None)) == (None, None)


@given(st.text(max_size=30))
def test_a_token_is_ours_or_refused(token: str) -> None:
    with suppress(InputError):
        text = after_text(token)
        assert text is not None
        assert encode(text) == token


@pytest.mark.parametrize("text", ["", "-1", "1.5", "a", "2147483648", "1" * 30, "1 ", "\n1"])
def test_a_token_of_no_number_that_a_database_holds_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        after_id(encode(text))


class Row(Answer):
    id: int
    text: str = ""


def page(rows: list[Row], size: int, after: int | None = None) -> Page[Row]:
    """Return a page of ``rows``, whose ids rise."""

    def read(after: int | None, count: int) -> list[Row]:
        assert count <= 50  # however large the page is
        return [row for row in rows if row.id > (after or 0)][:count]

    return read_page(size, after, read, list, row_id)


def test_only_a_full_page_has_a_next_one() -> None:
    rows = [Row(id=1), Row(id=2)]
    assert page(rows, 2) == Page(items=rows, next_page_token=encode(2))
    assert page(rows, 3) == Page(items=rows, next_page_token=None)
    assert page(rows, 3, after=2) == page([], 2) == Page(items=[], next_page_token=None)


def test_a_page_of_large_items_ends_after_a_mebibyte_and_the_next_goes_on() -> None:
    rows = [Row(id=number, text="x" * 300_000) for number in range(1, 8)]
    first = page(rows, 1_000)
    assert [row.id for row in first.items] == [1, 2, 3]  # 0.9 MB; a fourth would make 1.2
    assert first.next_page_token == encode(3)
    assert [row.id for row in page(rows, 1_000, after=6).items] == [7]


def test_an_item_that_is_larger_than_a_page_has_one_of_its_own() -> None:
    rows = [Row(id=1, text="x" * MAX_PAGE_BYTES), Row(id=2)]
    assert [row.id for row in page(rows, 10).items] == [1]
    assert [row.id for row in page(rows, 10, after=1).items] == [2]
