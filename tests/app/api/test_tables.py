"""Data sets from tables as people have them, over HTTP: what was recognised is said, and kept for the next table."""

from tests.app.api.conftest import House
from tests.app.api.tables import CSV, body

GERMAN = "Tag;Filiale;Umsatz\n1.2.2026;Süd;1,5\n2.2.2026;Süd;2,5\n3.2.2026;Süd;3,5\n".encode("latin-1")


def test_the_answer_says_how_the_table_was_read(house: House) -> None:
    made = house.acme.post("/v1/datasets?name=sales&id=Filiale", **body(GERMAN, CSV))
    assert made["reading"] == {
        "id": ["Filiale"],
        "time": "Tag",
        "target": ["Umsatz"],
        "ignored": [],
        "written": {"delimiter": ";", "encoding": "windows-1252", "time": "day.month.year"},
        "repairs": {},
    }
    assert house.acme.get("/v1/datasets/sales")["reading"] == made["reading"]


def test_later_rows_are_read_as_the_first_were(house: House) -> None:
    first = b"when,shop,kind,sold\n1/13/2026,A,x,1\n1/14/2026,A,x,2\n1/15/2026,A,x,3\n"
    house.acme.post("/v1/datasets?name=sales&id=shop&target=sold", **body(first, CSV))
    added = house.acme.post("/v1/datasets/sales/rows", **body(b"when,shop,kind,sold\n1/16/2026,A,y,4\n", CSV))
    assert (added["rows_total"], added["reading"]["written"]["time"]) == (4, "month/day/year")
    # A table with the columns of the service fits every data set.
    plain = b"unique_id,ds,y,kind\nA,2026-01-17,5,x\n"
    assert house.acme.post("/v1/datasets/sales/rows", **body(plain, CSV))["rows_total"] == 5


def test_repairs_are_recorded_with_the_revision_that_they_made(house: House) -> None:
    twice = b"ds,y\n2026-01-02,1\n2026-01-01,3\n2026-01-01,5\n2026-01-03,n/a\n2026-01-04,2\n"
    options = "on_duplicate=mean&on_unparsable=missing"
    made = house.acme.post(f"/v1/datasets?name=sales&{options}", **body(twice, CSV))
    assert made["reading"]["repairs"] == {"sorted_rows": 1, "joined_rows": 1, "unparsable_cells": 1}
    assert (made["rows_added"], made["missing_total"]) == (3, 1)
    newest = house.acme.get("/v1/datasets/sales/revisions")["items"][0]
    assert newest["reading"] == made["reading"]


def test_several_columns_are_given_by_repeating_the_option(house: House) -> None:
    rows = "".join(f"2026-01-0{day},{shop},{day},{day * 2}\n" for shop in "AB" for day in range(1, 5))
    table = body(f"day,shop,sold,returned\n{rows}".encode(), CSV)
    made = house.acme.post("/v1/datasets?name=sales&target=sold&target=returned", **table)
    assert (made["series_total"], made["reading"]["target"]) == (4, ["sold", "returned"])
    again = house.acme.refused("POST", "/v1/datasets?name=other&time=day&time=day", **table)
    assert again == (422, "invalid_request", "repeated")


def test_an_option_that_does_not_exist_is_refused_with_the_nearest(house: House) -> None:
    answer = house.acme.ask("POST", "/v1/datasets?name=sales&on_duplicates=mean", **body(b"ds,y\n2026-01-01,1\n", CSV))
    assert answer.status_code == 422
    assert "on_duplicate" in answer.json()["errors"][0]["hint"]
