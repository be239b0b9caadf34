"""Accept and Accept-Encoding, as RFC 9110 reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.edge.content_negotiation import MAX_HEADER_LENGTH, coding_for, media_type_for, weights

LINES, ARROW = "application/x-ndjson", "application/vnd.apache.arrow.stream"


@pytest.mark.parametrize(
    ("header", "coding", "must"),
    [
        ("", None, False),
        ("gzip", "gzip", False),
        ("gzip, deflate, br, zstd", "zstd", False),
        ("zstd;q=0.5, gzip;q=0.8", "gzip", False),
        ("zstd;q=0.8, gzip;q=0.8", "zstd", False),
        ("zstd;q=0, gzip", "gzip", False),
        ("GZIP ; Q=1.000", "gzip", False),
        ("x-gzip", "gzip", False),
        ("br", None, False),
        ("*", "zstd", False),
        ("*;q=0.5, zstd;q=0", "gzip", False),
        ("identity", None, False),
        ("identity, gzip;q=0.5", None, False),
        ("identity;q=0.5, gzip;q=0.5", "gzip", False),
        ("gzip;q=0, *;q=0.1", "zstd", False),
        ("gzip, identity;q=0", "gzip", True),
        ("gzip, *;q=0", "gzip", True),
        ("identity;q=0.1, *;q=0", None, False),
        ("br, identity;q=0", None, True),
        ("*;q=0", None, True),
        ("gzip;q=2", None, False),
        ("gzip;q=high", None, False),
        ("gzip;q=0.1234", None, False),
        ("gzip;level=9;q=0.5", "gzip", False),
        (";q=1,,  ,=", None, False),
    ],
)
def test_the_coding_is_the_preferred_one(header: str, coding: str | None, must: bool) -> None:
    assert coding_for(header.encode()) == (coding, must)


@pytest.mark.parametrize(
    ("header", "media_type"),
    [
        ("", LINES),
        ("*/*", LINES),
        ("application/*", LINES),
        (ARROW, ARROW),
        (f"{ARROW}, {LINES};q=0.5", ARROW),
        (f"{LINES}, {ARROW}", LINES),
        (f"*/*;q=0.1, {ARROW}", ARROW),
        (f"application/*, {LINES};q=0", ARROW),
        (f"{ARROW};version=1", ARROW),
        ("Application/X-NDJSON", LINES),
        ("text/html", None),
        ("text/*, */*;q=0", None),
        (f"{LINES};q=0", None),
    ],
)
def test_the_type_is_the_one_that_is_liked_best(header: str, media_type: str | None) -> None:
    assert media_type_for(header, (LINES, ARROW)) == media_type


def test_of_a_name_that_comes_twice_the_higher_weight_counts() -> None:
    assert weights("gzip;q=0.2, GZIP;q=0.7, gzip;q=0.1") == {"gzip": 0.7}


def test_a_header_that_is_too_long_says_nothing() -> None:
    assert weights("gzip" + " " * (MAX_HEADER_LENGTH - 4)) == {"gzip": 1.0}
    assert weights("gzip" + " " * (MAX_HEADER_LENGTH - 3)) == {}


@given(st.text(max_size=80) | st.text("gzipstd*;q=01., \t", max_size=80))
def test_no_header_whatever_breaks_the_reading(header: str) -> None:
    assert all(0 <= weight <= 1 for weight in weights(header).values())
    assert coding_for(header.encode())[0] in (None, "gzip", "zstd")
    assert media_type_for(header, (LINES, ARROW)) in (None, LINES, ARROW)
