from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.http.pagination import MAX_ID, after_id, after_text, encode, next_token
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


def test_only_a_full_page_has_a_next_one() -> None:
    assert next_token([1, 2], 2, 2) == encode(2)
    assert next_token([1], 2, 1) is None
    assert next_token([], 2, None) is None
