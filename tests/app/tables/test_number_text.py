"""Numbers as people write them: the whole column decides what a comma and a point mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tables.number_text import describe_bad_number, looks_like_numbers, read_numbers
from models.errors import InputError

COLUMNS = {
    "decimal comma": (["27,4", "18,5", "3"], [27.4, 18.5, 3]),
    "points in thousands": (["1.234,5", "2"], [1234.5, 2]),
    "commas in thousands": (["1,234.5", "7"], [1234.5, 7]),
    "two commas": (["1,234,567", "8"], [1234567, 8]),
    "two points": (["1.234.567", "8"], [1234567, 8]),
    "blanks in thousands": (["1 234,5", "12 345 678"], [1234.5, 12345678]),
    "apostrophes in thousands": (["1'234.5"], [1234.5]),
    "a comma that cannot be in thousands": (["1,234", "12345"], [1.234, 12345]),
    "three decimals beside one": (["1,234", "1,5"], [1.234, 1.5]),
    "plain": (["-1.5", "+2e3", ".5", ""], [-1.5, 2000, 0.5, np.nan]),
}


@pytest.mark.parametrize(("texts", "values"), COLUMNS.values(), ids=COLUMNS)
def test_a_column_shows_its_decimal_sign(texts: list[str], values: list[float]) -> None:
    read = read_numbers(texts, None, "y")
    np.testing.assert_array_equal(read.values, values)
    assert len(read.bad) == 0


def test_a_comma_that_may_mean_either_is_refused_with_the_option_that_decides() -> None:
    with pytest.raises(InputError, match="'1,234' is a thousand times as large") as refused:
        read_numbers(["1,234", "5,678", "9"], None, "price")
    assert (refused.value.faults[0].code, refused.value.faults[0].field) == ("ambiguous_numbers", "price")
    assert read_numbers(["1,234", "5,678", "9"], ",", "price").values.tolist() == [1.234, 5.678, 9]
    assert read_numbers(["1,234", "5,678", "9"], ".", "price").values.tolist() == [1234, 5678, 9]


@pytest.mark.parametrize("text", ["12,34,5", "1,23.4", "0x10", "1_000", "--", "n/a", "1.2.3", "5 %", "€ 7", "3 EUR"])
def test_what_is_no_number_is_found(text: str) -> None:
    assert read_numbers(["1.5", "2.5", text], None, "y").bad.tolist() == [2]


def test_a_unit_is_named_as_the_fault() -> None:
    assert describe_bad_number("5 %")[0] == "'5 %', a number with a unit"
    assert "on_unparsable=missing" in describe_bad_number("n/a")[1]


def test_one_stray_text_does_not_make_a_column_of_numbers_a_category() -> None:
    assert looks_like_numbers([*map(str, range(10)), "N/A"])
    assert not looks_like_numbers(["36", "38", "XL", "L"])
    assert not looks_like_numbers(["", "nan"])


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1), st.sampled_from([",", ".", " "]))
def test_grouped_digits_are_read_as_the_whole_number(numbers: list[int], sign: str) -> None:
    texts = [f"{number:,}".replace(",", sign) for number in numbers]
    decimal = {",": ".", ".": ",", " ": "."}[sign]
    np.testing.assert_array_equal(read_numbers(texts, decimal, "y").values, numbers)
