"""The table of calls that cannot work: what is asked, and exactly how it is refused."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.app.api.conftest import forecast_request
from tests.app.api.tables import CSV, JSON, KINDS, PARQUET, body, columns, days, parquet, series, table

INF = float("inf")


class Bad(NamedTuple):
    """A call; ``first`` is what the first error says at least."""

    label: str
    method: str
    path: str
    request: dict[str, Any]
    status: int
    code: str
    first: dict[str, Any]


def history(rows: list[Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {"history": columns(series("shop", [4, 6, 8, 10]) if rows is None else rows), **changes}


def forecast(label: str, changes: dict[str, Any], code: str, first: dict[str, Any]) -> Bad:
    return Bad(label, "POST", "/v1/forecasts", {"json": forecast_request(**changes)}, 422, code, first)


def rows_that_cannot_be() -> Iterator[tuple[str, list[Any], dict[str, Any]]]:
    """Rows, and the complaint that names id, row and remedy."""
    good = series("shop", [4, 6, 8, 10])
    kiosk = series("kiosk", [1, 2, 3, 5])

    def at(row: int, **changes: Any) -> list[Any]:
        names = ("unique_id", "ds", "y")
        broken = [changes.get(name, old) for name, old in zip(names, good[row - 1], strict=True)]
        return kiosk + good[: row - 1] + [tuple(broken)] + good[row:]

    third = {"unique_id": "shop", "row": 7}
    yield "a duplicate", at(3, ds="2026-01-02"), {"code": "duplicate_timestamp", **third}
    yield "unsorted rows", at(3, ds="2025-12-31"), {"code": "unsorted_timestamps", **third}
    gap = {"code": "gap_too_long", "unique_id": "shop", "row": 8}
    yield "a gap too long", [*kiosk, *good[:3], ("shop", "2026-06-01", 10)], gap
    yield "a moment off the grid", at(3, ds="2026-01-03T12:00"), {"code": "off_grid_timestamp", **third}
    for text in ("yesterday", "01/02/2026", "2026-02-30", "9999-01-01", "1677-01-01", "now"):
        yield f"the timestamp {text}", at(3, ds=text), {"code": "bad_timestamp", "field": "ds", **third}
    yield "zones on some rows", at(3, ds="2026-01-03T00:00:00Z"), {"code": "mixed_zones", "field": "ds"}
    yield "a value too large", at(3, y=1e101), {"code": "value_too_large", "field": "y", **third}
    yield "a name too long", at(3, unique_id="x" * 129), {"code": "bad_id", "field": "unique_id", "row": 7}
    yield "a name with space around it", at(3, unique_id=" shop"), {"code": "bad_id", "field": "unique_id", "row": 7}
    yield "a name in form NFD", at(3, unique_id="cafe\u0301"), {"code": "bad_id", "field": "unique_id", "row": 7}
    yield "a name with a NUL", at(3, unique_id="a\0b"), {"code": "bad_id", "field": "unique_id", "row": 7}
    yield "an empty name", at(3, unique_id=""), {"code": "bad_id", "field": "unique_id", "row": 7}


def in_file(kind: str, first: dict[str, Any]) -> dict[str, Any]:
    """The complaint as it names the row in a file of this kind: the header of a CSV file counts."""
    return {**first, "row": first["row"] + 1} if kind == "csv" and "row" in first else first


def bad_rows() -> Iterator[Bad]:
    for label, rows, first in rows_that_cannot_be():
        yield forecast(f"{label}, inline", history(rows), "invalid_input", first)
        if first["code"] == "unsorted_timestamps":
            continue  # the rows of a data set are sorted
        for kind in KINDS:
            request = table(rows, kind)
            found = in_file(kind, first)
            yield Bad(f"{label}, {kind}", "POST", "/v1/datasets?name=n", request, 422, "invalid_input", found)
    infinite = {"code": "infinite_value", "unique_id": "shop", "row": 2, "field": "y"}
    for kind, value, first in [
        ("csv", "1e999", infinite),
        ("json", INF, infinite),
        ("parquet", -INF, infinite),
        ("csv", "0x10", {**infinite, "code": "bad_value"}),
        ("csv", "1_000", {**infinite, "code": "bad_value"}),
        ("json", "5", {"code": "bad_value", "row": 2, "field": "y"}),
        ("json", True, {"code": "bad_value", "row": 2, "field": "y"}),
    ]:
        request, found = table(series("shop", [1.5, value, 2.5]), kind), in_file(kind, first)
        yield Bad(f"{value} in {kind}", "POST", "/v1/datasets?name=n", request, 422, "invalid_input", found)
    for kind in KINDS:
        path, request = "/v1/datasets?name=n", table(series("shop", [None, None, None]), kind)
        first = {"code": "no_values", "unique_id": "shop", "field": "y"}
        yield Bad(f"no values, {kind}", "POST", path, request, 422, "invalid_input", first)
        request = table([], kind)
        yield Bad(f"no rows, {kind}", "POST", path, request, 422, "invalid_input", {"code": "no_rows"})
        request = table(series("shop", range(501)), kind)
        yield Bad(f"too many rows, {kind}", "POST", path, request, 422, "invalid_input", {"code": "too_many_rows"})
        request = table(series("shop", [1, 2]), kind)
        first = {"code": "unknown_frequency", "field": "freq"}
        yield Bad(f"two rows without freq, {kind}", "POST", path, request, 422, "invalid_input", first)
        for freq in ("0D", "-1D", "fortnight", "1ns", "W-XYZ", "99999D"):
            yield Bad(f"freq {freq}, {kind}", "POST", f"{path}&freq={freq}", request, 422, "invalid_input", first)


HOURS = {"ds": [f"2026-01-01T0{hour}:00" for hour in range(4)], "y": [4, 6, 8, 10]}


def bad_forecasts() -> Iterator[Bad]:
    for label, changes, code, pointer in [
        ("no model", {"model": None}, "missing", "/model"),
        ("a model of no name", {"model": "a b"}, "string_pattern_mismatch", "/model"),
        ("horizon 0", {"horizon": 0}, "greater_than_equal", "/horizon"),
        ("horizon -1", {"horizon": -1}, "greater_than_equal", "/horizon"),
        ("horizon 1.5", {"horizon": 1.5}, "int_type", "/horizon"),
        ("horizon in quotes", {"horizon": "3"}, "int_type", "/horizon"),
        ("horizon true", {"horizon": True}, "int_type", "/horizon"),
        ("level 0", {"levels": [0]}, "greater_than_equal", "/levels/0"),
        ("level 100", {"levels": [50, 100]}, "less_than_equal", "/levels/1"),
        ("eleven levels", {"levels": list(range(1, 12))}, "too_long", "/levels"),
        ("a level twice", {"levels": [80, 80]}, "value_error", ""),
        ("no history", {"history": None}, "value_error", ""),
        ("history and data set", {"dataset": {"name": "sales"}, **history()}, "value_error", ""),
        ("version and alias", {"version": 1, "alias": "champion"}, "value_error", ""),
        ("freq of a data set", {"dataset": {"name": "sales"}, "freq": "D"}, "value_error", ""),
        ("version 0", {"version": 0}, "greater_than_equal", "/version"),
        ("version 2**31", {"version": 2**31}, "less_than_equal", "/version"),
        ("version 2**64", {"version": 2**64}, "less_than_equal", "/version"),
        ("revision 2**70", {"dataset": {"name": "sales", "revision": 2**70}}, "less_than_equal", "/dataset/revision"),
        ("an id twice", {"dataset": {"name": "sales", "ids": ["shop"] * 2}}, "value_error", "/dataset"),
        ("no ids", {"dataset": {"name": "sales", "ids": []}}, "too_short", "/dataset/ids"),
        ("y in quotes", {"history": {"ds": days(4), "y": [4, 6, "8", 10]}}, "float_type", "/history/y/2"),
        ("y true", {"history": {"ds": days(4), "y": [4, True, 8, 10]}}, "float_type", "/history/y/1"),
        ("ds as numbers", {"history": {"ds": [1, 2, 3, 4], "y": [4, 6, 8, 10]}}, "string_type", "/history/ds/0"),
        ("an unknown field", {"horizont": 3}, "extra_forbidden", "/horizont"),
        ("freq as a number", {"freq": 5}, "string_type", "/freq"),
    ]:
        yield forecast(label, changes, "invalid_request", {"code": code, "pointer": pointer})
    for label, changes, first in [
        ("ragged columns", {"history": {"ds": days(4), "y": [4, 6, 8]}}, {"code": "ragged_columns"}),
        ("an empty history", {"history": {"ds": [], "y": []}}, {"code": "no_rows"}),
        ("hours that name no freq", {"history": HOURS, "freq": None}, {"code": "other_frequency", "field": "freq"}),
        ("no value", history(series("shop", [None] * 4)), {"code": "no_history", "unique_id": "shop"}),
        ("freq fortnight", history(freq="fortnight"), {"code": "unknown_frequency", "field": "freq"}),
        ("hours for a model of days", history(freq="h"), {"code": "gap_too_long", "row": 2}),
        ("other freq", history(series("a", range(4), "2026-01-05"), freq="B"), {"code": "other_frequency"}),
        ("an unknown series", {"dataset": {"name": "sales", "ids": ["x"]}}, {"code": "unknown_series"}),
        ("the end of the calendar", history(series("s", [4, 6, 8, 10], "2261-12-28")), {"code": "beyond_calendar"}),
        ("an absurd horizon", {"horizon": 10**9}, {"code": "horizon_too_long", "field": "horizon"}),
    ]:
        yield forecast(label, changes, "invalid_input", first)


def bad_bytes() -> Iterator[Bad]:
    path = "/v1/datasets?name=n"
    wide = b",".join([b"a"] * 100_000) + b"\n1\n"
    for label, data, media_type, code in [
        ("CSV without y", b"unique_id,ds\na,2026-01-01\n", CSV, "missing_column"),
        ("CSV with two y", b"unique_id,ds,y,y\na,2026-01-01,1,2\n", CSV, "bad_header"),
        ("CSV of 100,000 columns", wide, CSV, "bad_header"),
        ("CSV of nothing", b"", CSV, "empty_file"),
        ("CSV without a header", b"2026-01-01,4\n2026-01-02,5\n", CSV, "bad_header"),
        ("CSV of one column", b"y\n4\n5\n", CSV, "bad_header"),
        (
            "CSV with a field of 200,000",
            b"unique_id,ds,y\n" + b"a" * 200_000 + b",2026-01-01,1\n",
            CSV,
            "text_too_long",
        ),
        ("half a letter of UTF-16", "unique_id,ds,y\n".encode("utf-16") + b"a", CSV, "bad_encoding"),
        ("CSV with a row too short", b"unique_id,ds,y\na,2026-01-01\n", CSV, "ragged_row"),
        ("CSV with an open quote", b'unique_id,ds,y\n"a,2026-01-01,1\na,2026-01-02,2\n', CSV, "ragged_row"),
        ("JSON that is none", b"{", JSON, "bad_json"),
        ("JSON of nothing", b"", JSON, "bad_json"),
        ("an empty JSON list", b"[]", JSON, "no_rows"),
        ("a JSON list of numbers", b"[1]", JSON, "bad_json"),
        ("JSON without y", b'{"unique_id":["a"],"ds":["2026-01-01"],"z":["x"]}', JSON, "missing_column"),
        ("JSON with ragged columns", b'{"unique_id":[],"ds":[],"y":[],"z":[1]}', JSON, "ragged_columns"),
        (
            "JSON with an endless price",
            b'{"unique_id":["a"],"ds":["2026-01-01"],"y":[1],"z":[1e999]}',
            JSON,
            "infinite_value",
        ),
        ("JSON with y twice", b'{"unique_id":["a"],"ds":["2026-01-01"],"y":[1],"y":[2]}', JSON, "bad_json"),
        ("JSON with y a number", b'{"unique_id":["a"],"ds":["2026-01-01"],"y":1}', JSON, "bad_json"),
        ("JSON nested deep", b"[" * 100_000, JSON, "bad_json"),
        ("JSON of 5,000 digits", b'{"unique_id":["a"],"ds":["x"],"y":[' + b"9" * 5000 + b"]}", JSON, "bad_json"),
        ("Parquet of nothing", b"", PARQUET, "bad_parquet"),
        ("Parquet cut short", parquet(**columns(series("a", range(9))))[:-9], PARQUET, "bad_parquet"),
        ("a pickle named Parquet", b"\x80\x04K\x01.", PARQUET, "bad_parquet"),
        ("Parquet without y", parquet(unique_id=["a"], ds=["2026-01-01"]), PARQUET, "missing_column"),
    ]:
        yield Bad(label, "POST", path, body(data, media_type), 422, "invalid_input", {"code": code})
    surrogate = b'{"unique_id":["\\ud800","a","a"],"ds":["2026-01-01","2026-01-02","2026-01-03"],"y":[1,2,3]}'
    names_that_are_none: list[tuple[list[Any], str]] = [([True] * 3, "bad_column"), ([1, "1", 1], "bad_value")]
    for names, code in names_that_are_none:
        request = {"json": {**columns(series("a", [1, 2, 3])), "unique_id": names}}
        first = {"code": code, "field": "unique_id"}
        yield Bad(f"names {names}", "POST", path, request, 422, "invalid_input", first)
    first = {"code": "bad_id", "row": 1}
    yield Bad("a lone surrogate", "POST", path, body(surrogate, JSON), 422, "invalid_input", first)
    for media_type in ("text/plain", "application/octet-stream", "", "multipart/form-data; boundary=x"):
        request = body(b"unique_id,ds,y\n", media_type)
        yield Bad(f"Content-Type {media_type!r}", "POST", path, request, 415, "unsupported_media_type", {})
    yield Bad("over 4 MiB", "POST", path, body(b" " * (4 * 1024**2 + 1), CSV), 413, "body_too_large", {})
    long = ("?name=" + "x" * 129, "?name=n&freq=" + "D" * 21)
    for query in ("", "?name=", "?name=a%20b", "?name=..", "?name=a%00b", *long):
        label, path = f"data set query {query[:20]!r}", f"/v1/datasets{query}"
        yield Bad(label, "POST", path, table([], "csv"), 422, "invalid_request", {})


def bad_jobs() -> Iterator[Bad]:
    job: dict[str, Any] = {"model": "demand", "dataset": "sales"}
    for label, changes, code, first in [
        ("no cell of the name", {"spec": {"cell": "gnu"}}, "invalid_spec", {"field": "cell"}),
        ("no field of the name", {"spec": {"celll": "gru"}}, "invalid_spec", {"code": "unknown_field"}),
        ("another freq", {"spec": {"freq": "h"}}, "invalid_spec", {"field": "freq"}),
        ("units of 0", {"spec": {"units": 0}}, "invalid_spec", {"field": "units"}),
        ("a season of text", {"spec": {"season": "x"}}, "invalid_spec", {"field": "season"}),
        ("a horizon of NaN digits", {"spec": {"horizon": 10**400}}, "invalid_spec", {"field": "horizon"}),
        ("epochs below 1", {"training": {"max_epochs": 0}}, "invalid_spec", {"field": "max_epochs"}),
        ("no rate of text", {"training": {"learning_rate": "fast"}}, "invalid_spec", {"field": "learning_rate"}),
        ("series too short", {"spec": {"horizon": 4}}, "invalid_input", {"code": "too_short"}),
        ("a context too long", {"spec": {"context": 5}}, "invalid_spec", {"code": "too_short", "field": "context"}),
        ("no such covariate", {"spec": {"future_covariates": ["x"]}}, "invalid_input", {"field": "future_covariates"}),
        ("no recipe of the name", {"recipe": "best"}, "invalid_spec", {"field": "recipe"}),
        ("no refit", {"refit": "no"}, "invalid_request", {"pointer": "/refit"}),
        ("no time", {"auto": {"budget_s": 0}}, "invalid_request", {"pointer": "/auto/budget_s"}),
        ("endless time", {"auto": {"budget_s": INF}}, "invalid_request", {"pointer": "/auto/budget_s"}),
        ("no members", {"ensemble": []}, "invalid_request", {"pointer": "/ensemble"}),
        ("eleven members", {"ensemble": [{}] * 11}, "invalid_request", {"pointer": "/ensemble"}),
        ("a member of another horizon", {"ensemble": [{"horizon": 2}]}, "invalid_spec", {"field": "ensemble"}),
        ("a member of another field", {"ensemble": [{"unitz": 2}]}, "invalid_spec", {"code": "unknown_field"}),
        ("two ways", {"ensemble": [{}], "auto": {"budget_s": 9}}, "invalid_request", {"code": "value_error"}),
        ("a start of no version", {"warm_start_from": "demand"}, "invalid_request", {"pointer": "/warm_start_from"}),
        ("an unknown baseline", {"baselines": ["arima"]}, "invalid_request", {"pointer": "/baselines/0"}),
        ("51 spec fields", {"spec": {f"f{i}": 1 for i in range(51)}}, "invalid_request", {"code": "too_long"}),
        ("another kind", {"kind": "dance"}, "invalid_request", {"pointer": "/kind", "code": "unknown_kind"}),
        ("promote maybe", {"promote": "maybe"}, "invalid_request", {"pointer": "/promote"}),
        ("revision 2**31", {"revision": 2**31}, "invalid_request", {"pointer": "/revision"}),
    ]:
        yield Bad(f"a job: {label}", "POST", "/v1/jobs", {"json": {**job, **changes}}, 422, code, first)
    for start in ("x@1", "demand@9", "demand@x", "demand@99999999999999999999", "demand@" + "9" * 128):
        request = {"json": {**job, "warm_start_from": start}}
        yield Bad(f"a job from {start[:20]}{len(start)}", "POST", "/v1/jobs", request, 404, "not_found", {})
    yield Bad("a job of no data", "POST", "/v1/jobs", {"json": {**job, "dataset": "x"}}, 404, "not_found", {})
    yield Bad("a job without body", "POST", "/v1/jobs", {}, 422, "invalid_request", {"code": "missing"})


def bad_elsewhere() -> Iterator[Bad]:
    alias = "/v1/models/demand/aliases/champion"
    for label, move, status, code in [
        ("no version", {}, 422, "invalid_request"),
        ("version 0", {"version": 0}, 422, "invalid_request"),
        ("version 9", {"version": 9}, 404, "not_found"),
        ("version 2**31", {"version": 2**31}, 422, "invalid_request"),
        ("a NUL in the reason", {"version": 1, "reason": "a\0b"}, 422, "invalid_request"),
        ("a reason too long", {"version": 1, "reason": "x" * 501}, 422, "invalid_request"),
    ]:
        yield Bad(f"a move: {label}", "PUT", alias, {"json": move}, status, code, {})
    yield Bad("no model to move", "PUT", "/v1/models/x/aliases/a", {"json": {"version": 1}}, 404, "not_found", {})
    lists = ["/v1/datasets", "/v1/datasets/sales/revisions", "/v1/jobs", "/v1/models"]
    lists += ["/v1/models/demand/versions", f"{alias}/moves"]
    for path in lists:
        # "MTA" is 10, "OTk5OTk5OTk5OTk" is 99999999999, "LTE" is -1; the last is a token with something behind it.
        for token in ("x", "%00", "é", "LTE", "OTk5OTk5OTk5OTk", "MTA=", "MTA%0A"):
            first = {"code": "bad_page_token", "field": "page_token"}
            yield Bad(f"token {token} for {path}", "GET", f"{path}?page_token={token}", {}, 422, "invalid_input", first)
        for size in ("0", "-1", "x", "1.5"):
            where, query = {"field": "page_size"}, f"{path}?page_size={size}"
            yield Bad(f"pages of {size} for {path}", "GET", query, {}, 422, "invalid_request", where)
    for path in ("/v1/jobs?state=lost", "/v1/datasets/sales?revision=0", "/v1/datasets/sales?revision=99999999999"):
        yield Bad(path, "GET", path, {}, 422, "invalid_request", {})
    for path in ("/v1/models/demand/versions/0", "/v1/models/demand/versions/x", "/v1/models/a%00b", "/v1/jobs/%00"):
        yield Bad(path, "GET", path, {}, 422, "invalid_request", {})
    for path in ("/v1/models/demand/versions/9", "/v1/datasets/x", "/v1/jobs/x", "/v1/models/x", "/v1/nothing"):
        yield Bad(path, "GET", path, {}, 404, "not_found", {})
    for path in ("/v1/datasets/a%00b/rows", "/v1/jobs/a%00b/cancel"):
        yield Bad(path, "POST", path, table([], "csv"), 422, "invalid_request", {})
    yield Bad("DELETE of a data set", "DELETE", "/v1/datasets/sales", {}, 405, "method_not_allowed", {})


BAD_CALLS = [*bad_rows(), *bad_forecasts(), *bad_bytes(), *bad_jobs(), *bad_elsewhere()]
