from concurrent.futures import ThreadPoolExecutor, wait
from threading import Barrier

import pytest
from sqlalchemy import select

from app.store.tables import Dataset
from tests.app.api.conftest import SALES, Caller, House, on_both
from tests.app.api.tables import CSV, KINDS, body, columns, parquet, series, table
from tests.fakes import says

ROWS = "/v1/datasets/sales/rows"


@on_both
def test_the_same_rows_are_the_same_data_set_in_every_format(house: House) -> None:
    made = []
    for kind in KINDS:
        answer = house.acme.ask("POST", f"/v1/datasets?name=as-{kind}", **table(SALES, kind))
        assert (answer.status_code, answer.headers["location"]) == (201, f"/v1/datasets/as-{kind}")
        assert house.acme.get(answer.headers["location"]) == answer.json()
        made.append(answer.json())
    assert len({one["sha256"] for one in made}) == 1
    expected = {"freq": "D", "revision": 1, "rows_added": 8, "rows_total": 8, "series_total": 2}
    expected |= {"first_ds": "2026-01-01T00:00:00", "last_ds": "2026-01-04T00:00:00"}
    assert all(expected.items() <= one.items() for one in made)
    assert made[0]["created_by"] == house.acme.key.split("_")[1]


def test_the_order_of_series_does_not_change_the_checksum(house: House) -> None:
    one, two = (house.acme.keep(name, rows) for name, rows in [("a", SALES), ("b", SALES[4:] + SALES[:4])])
    other = house.acme.keep("c", [*SALES[:-1], ("kiosk", "2026-01-04", 6)])
    assert one["sha256"] == two["sha256"] != other["sha256"]


def test_a_name_is_taken_once(house: House) -> None:
    house.acme.keep("sales", SALES)
    assert house.acme.refused("POST", "/v1/datasets?name=sales", **table(SALES, "csv")) == (409, "conflict", None)
    assert house.rival.keep("sales", SALES)["revision"] == 1  # a name of another tenant is free


@on_both
@pytest.mark.parametrize("kind", KINDS)
def test_an_append_is_a_new_revision_and_the_old_one_stays(house: House, kind: str) -> None:
    house.register(says(0, 0, 0))
    acme = house.acme
    first = acme.get("/v1/datasets/sales")
    added = acme.post(ROWS, **table([("shop", "2026-01-05", 20), ("van", "2026-02-01", 1)], kind))
    assert (added["revision"], added["rows_added"], added["rows_total"], added["series_total"]) == (2, 2, 10, 3)
    assert added["last_ds"] == "2026-02-01T00:00:00"
    assert acme.get("/v1/datasets/sales?revision=1") == first
    assert acme.get("/v1/datasets/sales") == added
    assert acme.get("/v1/datasets/sales/revisions")["items"] == [added, first]
    means = [
        acme.forecast(dataset={"name": "sales", "revision": number, "ids": ["shop"]})["forecasts"][0]
        for number in (1, 2)
    ]
    assert [one["mean"][0] for one in means] == [10, 20]
    assert [one["ds"][0][:10] for one in means] == ["2026-01-05", "2026-01-06"]


def test_a_data_set_in_pieces_is_the_data_set_in_one(house: House) -> None:
    rows = series("shop", [4, 6, 8, 10, 12])
    house.acme.keep("sales", rows[:3])
    pieces = [house.acme.post(ROWS, **table([row], "csv")) for row in rows[3:]][-1]
    assert pieces["sha256"] == house.acme.keep("whole", rows)["sha256"]


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([("shop", "2026-09-06", 1)], "gap_too_long"),
        ([("shop", "2026-01-04", 1)], "already_known"),
        ([("shop", "2026-01-05T12:00", 1)], "off_grid_timestamp"),
        ([("shop", "2026-01-05", 1), ("shop", "2026-01-05", 1)], "duplicate_timestamp"),
    ],
)
def test_rows_that_do_not_follow_are_refused_with_the_series(
    house: House, rows: list[tuple[str, str, float]], code: str
) -> None:
    house.acme.keep("sales", SALES)
    answer = house.acme.ask("POST", ROWS, **table(rows, "json"))
    assert answer.status_code == 422
    assert [(error["unique_id"], error["code"]) for error in answer.json()["errors"]] == [("shop", code)]
    assert house.acme.get("/v1/datasets/sales")["revision"] == 1


def test_a_data_set_has_a_limit_of_rows(house: House) -> None:
    house.acme.keep("sales", series("shop", range(500)))
    refused = house.acme.refused("POST", ROWS, **table([("van", "2026-01-01", 1)], "csv"))
    assert refused == (422, "invalid_input", "too_many_rows")


@on_both
def test_of_two_appends_at_once_one_is_told_to_read_again(house: House) -> None:
    house.acme.keep("sales", SALES)

    def append(value: int) -> int:
        request = table([("shop", "2026-01-05", value)], "json")
        return int(house.acme.ask("POST", ROWS, **request).status_code)

    with ThreadPoolExecutor(2) as pool:
        # While a third holds the lock, both read the same revision and then wait to write.
        with house.database.write() as session:
            session.execute(select(Dataset).with_for_update()).all()
            waiting = [pool.submit(append, value) for value in (1, 2)]
            assert wait(waiting, 0.5).done == set()
        assert sorted(one.result(10) for one in waiting) == [201, 409]
    assert house.acme.get("/v1/datasets/sales")["revision"] == 2
    assert house.acme.get("/v1/datasets/sales")["rows_total"] == 9


@on_both
def test_of_two_data_sets_of_one_name_at_once_one_is_made(house: House) -> None:
    start = Barrier(2)

    def create(value: int) -> int:
        start.wait(10)
        return int(house.acme.ask("POST", "/v1/datasets?name=n", **table(SALES[value:4], "json")).status_code)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(create, (0, 1))) == [201, 409]


@pytest.mark.parametrize("media_type", ["text/csv; charset=utf-8", "TEXT/CSV", " text/csv ;header=present"])
def test_a_content_type_may_have_parameters(house: House, media_type: str) -> None:
    data = b"unique_id,ds,y\nshop,2026-01-01,1\nshop,2026-01-02,2\nshop,2026-01-03,3\n"
    assert house.acme.post("/v1/datasets?name=n", **body(data, media_type))["rows_total"] == 3


def test_a_frequency_is_read_off_or_named(house: House) -> None:
    acme = house.acme
    three = series("shop", [1, 2, 3])
    assert acme.keep("inferred", three)["freq"] == "D"
    assert acme.post("/v1/datasets?name=named&freq=D", **table(three[:1], "csv"))["freq"] == "D"
    assert acme.post("/v1/datasets?name=synonym&freq=H", **table(three[:1], "csv"))["freq"] == "h"
    refused = acme.refused("POST", "/v1/datasets?name=hours&freq=h", **table(three, "csv"))
    assert refused == (422, "invalid_input", "gap_too_long")
    assert acme.post("/v1/datasets/inferred/rows", **table([("shop", "2026-01-04", 4)], "csv"))["freq"] == "D"


@on_both
def test_a_list_has_each_data_set_once_though_others_come_between(house: House) -> None:
    acme, names, token = house.acme, [], ""
    for number in range(5):
        acme.keep(f"n{number}", SALES)
    page = acme.get("/v1/datasets?page_size=2")
    while True:
        names += [item["dataset"] for item in page["items"]]
        token = page["next_page_token"]
        if token is None:
            break
        if len(names) == 2:
            acme.keep("late", SALES)
        page = acme.get(f"/v1/datasets?page_size=2&page_token={token}")
    assert names == ["n0", "n1", "n2", "n3", "n4", "late"]
    assert len(acme.get("/v1/datasets?page_size=100000")["items"]) == 6


def test_revisions_are_paged_newest_first_though_others_come_between(house: House) -> None:
    acme = house.acme
    acme.keep("sales", series("shop", [1, 2, 3]))
    for day, value in [("04", 4), ("05", 5)]:
        acme.post(ROWS, **table([("shop", f"2026-01-{day}", value)], "csv"))
    page = acme.get("/v1/datasets/sales/revisions?page_size=2")
    acme.post(ROWS, **table([("shop", "2026-01-06", 6)], "csv"))
    rest = acme.get(f"/v1/datasets/sales/revisions?page_size=2&page_token={page['next_page_token']}")
    assert [item["revision"] for item in page["items"] + rest["items"]] == [3, 2, 1]
    assert rest["next_page_token"] is None


def test_a_data_set_of_numbers_in_every_form_is_read(house: House) -> None:
    data = "\r\n".join(
        ["\ufeffunique_id,ds,y", '"shop",2026-01-01,"1.5"', "", "shop,2026-01-02,-2e1", "shop,2026-01-03,.5"]
    )
    made = house.acme.post("/v1/datasets?name=n", **body(data.encode(), CSV))
    clean = house.acme.keep("clean", series("shop", [1.5, -20, 0.5]))
    assert made["sha256"] == clean["sha256"]


def test_integers_are_names_too(house: House) -> None:
    rows = columns(series("7", [1, 2, 3]))
    numbers = {**rows, "unique_id": [7, 7, 7]}
    text = house.acme.keep("text", series("7", [1, 2, 3]))
    made = house.acme.post("/v1/datasets?name=numbers", **body(parquet(**numbers), KINDS["parquet"]))
    assert text["sha256"] == made["sha256"]


def test_a_reader_of_the_list_sees_the_newest_revision(acme: Caller) -> None:
    added = acme.post(ROWS, **table([("shop", "2026-01-05", 1)], "csv"))
    assert acme.get("/v1/datasets")["items"] == [added]


WITH_PRICE = b"unique_id,ds,y,price,kind\nshop,2026-01-01,1,5,a\nshop,2026-01-02,2,5,7\nshop,2026-01-03,3,,a\n"


@on_both
def test_covariates_are_kept_named_and_demanded_of_later_rows(house: House) -> None:
    acme = house.acme
    made = acme.post("/v1/datasets?name=sales", **body(WITH_PRICE, CSV))
    assert (made["covariates"], made["missing_total"]) == (["kind", "price"], 0)
    # A column of text stays one where the new rows alone look like numbers.
    added = acme.post(ROWS, **body(b"unique_id,ds,y,kind,price\nshop,2026-01-04,4,7,6\n", CSV))
    assert (added["covariates"], added["rows_total"]) == (["kind", "price"], 4)
    assert acme.get("/v1/datasets/sales") == added
    whole = WITH_PRICE + b"shop,2026-01-04,4,6,7\n"
    assert acme.post("/v1/datasets?name=whole", **body(whole, CSV))["sha256"] == added["sha256"]
    for rows, code in [
        (b"unique_id,ds,y,price\nshop,2026-01-05,5,6\n", "missing_column"),
        (b"unique_id,ds,y,price,kind,colour\nshop,2026-01-05,5,6,a,red\n", "unknown_column"),
        (b"unique_id,ds,y,price,kind\nshop,2026-01-05,5,dear,a\n", "other_kind"),
    ]:
        assert acme.refused("POST", ROWS, **body(rows, CSV)) == (422, "invalid_input", code)


def test_what_is_missing_is_counted_and_what_is_ahead_may_come_again(house: House) -> None:
    acme = house.acme
    rows = series("shop", [1, None, 3, 4]) + series("shop", [6, None, None], "2026-01-06")
    made = acme.keep("sales", rows)
    assert (made["rows_added"], made["rows_total"], made["missing_total"]) == (4, 8, 2)  # an empty cell, the 5th
    later = acme.post(ROWS, **table(series("shop", [7, 8], "2026-01-07"), "json"))
    assert (later["rows_added"], later["rows_total"], later["missing_total"]) == (2, 8, 2)
    far = acme.post(ROWS, **table(series("shop", [9], "2026-01-10"), "parquet"))
    assert (far["rows_added"], far["rows_total"], far["missing_total"]) == (1, 10, 3)


def test_a_series_without_any_value_is_no_data(house: House) -> None:
    rows = series("shop", [1, 2, 3]) + series("kiosk", [None, None])
    answer = house.acme.ask("POST", "/v1/datasets?name=n", **table(rows, "csv"))
    assert [(error["unique_id"], error["code"]) for error in answer.json()["errors"]] == [("kiosk", "no_values")]


def test_missing_rows_count_towards_the_limit_of_rows(house: House) -> None:
    house.acme.keep("sales", series("shop", range(400)))
    refused = house.acme.refused("POST", ROWS, **table(series("shop", [1], "2028-01-01"), "csv"))
    assert refused == (422, "invalid_input", "too_many_rows")
